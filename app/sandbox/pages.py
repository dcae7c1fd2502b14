"""Pages for people: the frame around each request (who looks, at what, is the form ours), and the table of pages.

Loopback's kind of safety: the Host must be ours, a form comes from our own pages, all is escaped, no inline scripts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from jinja2 import Environment, FileSystemLoader
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from app.sandbox.errors import ApiError, SandboxError
from app.sandbox.markdown import render
from app.sandbox.people import Repo
from app.sandbox.records import User
from app.sandbox.talk import boxes
from app.sandbox.world import World

COOKIE: Final = "sandbox_viewer"
_HERE: Final = Path(__file__).parent
POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' http: https: data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class View:
    """One look at a page: the world, who looks, what the address and the form say."""

    world: World
    viewer: User
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]
    referrer: str

    @property
    def repo(self) -> Repo:
        """The repository of the address. Raises: SandboxError when it is not there or not for the viewer."""
        found = self.world.find_repository(self.params["owner"], self.params["repo"])
        if found is None or self.world.role(found, self.viewer.login) == "none":
            name = f"{self.params['owner']}/{self.params['repo']}"
            raise SandboxError(f"{self.viewer.login} cannot see a repository {name}: it is not there, or it is private")
        return Repo(self.world, found)

    def page(self, template: str, **values: Any) -> Response:
        """A page with the frame's own values."""
        people = sorted((user for user in self.world.users.values() if user.type == "User"), key=lambda user: user.id)
        frame = {"viewer": self.viewer, "people": people, "path": self.path, "error": self.query.get("error", "")}
        frame |= {"app": self.world.app, "now": self.world.now(), "buttons_on_commits": self.world.buttons_on_commits}
        return HTMLResponse(_templates().get_template(template).render(**frame, **values))

    def leading_on(self, response: Response, url: str) -> Response:
        """The page, whose form may lead to that place: browsers hold redirects of forms against the policy, too."""
        parts = urlsplit(url)
        policy = POLICY.replace("form-action 'self'", f"form-action 'self' {parts.scheme}://{parts.netloc}")
        response.headers["Content-Security-Policy"] = policy
        return response

    def back(self, path: str = "", *, error: str = "") -> Response:
        """To a page of ours, by default where the form was."""
        target = path or self.referrer or "/"
        if error:
            target, _, anchor = target.partition("#")
            target = target.partition("?error=")[0].partition("&error=")[0]
            target += ("&" if "?" in target else "?") + f"error={quote(error)}" + (f"#{anchor}" if anchor else "")
        return RedirectResponse(target, status_code=303)


Handler = Callable[[View], Response]


def _ago(moment: datetime, now: datetime) -> str:
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "now" if seconds < 5 else f"{seconds} seconds ago"


_ENVIRONMENT: list[Environment] = []


def _templates() -> Environment:
    if not _ENVIRONMENT:
        made = Environment(
            loader=FileSystemLoader(_HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
        )
        made.filters["markdown"] = render
        made.filters["ago"] = _ago
        made.filters["boxes"] = boxes
        _ENVIRONMENT.append(made)
    return _ENVIRONMENT[0]


def _is_ours(world: World, request: Request) -> bool:
    """True for a request to our own host and, when it changes something, from our own pages."""
    host = urlsplit(world.server_url).netloc
    if request.headers.get("host") not in {host, host.replace("127.0.0.1", "localhost")}:
        return False
    if request.method != "POST":
        return True
    origin = request.headers.get("origin") or request.headers.get("referer", "")
    return urlsplit(origin).netloc == request.headers["host"]


def _viewer(world: World, request: Request) -> User:
    chosen = world.users.get(request.cookies.get(COOKIE, ""))
    if chosen is not None and chosen.type == "User":
        return chosen
    people = [user for user in world.users.values() if user.type == "User"]
    return people[0] if people else world.app.owner


def _referrer(request: Request) -> str:
    parts = urlsplit(request.headers.get("referer", ""))
    return (
        parts.path + (f"?{parts.query}" if parts.query else "") if parts.netloc == request.headers.get("host") else ""
    )


def framed(world: World, handler: Handler, *, is_for_all: bool = False) -> Callable[[Request], Any]:
    """The handler as an endpoint: checked, under the mutex, its refusals as a page or a note on the page before.

    `is_for_all`: its forms come from other sites, as manifests do.
    """

    def answer(view: View, method: str) -> Response:
        with world.mutex:
            try:
                return handler(view)
            except (SandboxError, ApiError) as error:
                text = str(error)
        if method == "POST" and view.referrer:
            return view.back(error=text)
        page = view.page("message.html", title="Not here", text=text)
        page.status_code = 404
        return page

    async def endpoint(request: Request) -> Response:
        if not is_for_all and not _is_ours(world, request):
            return HTMLResponse("This form did not come from the sandbox's own pages.", 403, headers=_HEADERS)
        form = (
            {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
            if request.method == "POST"
            else {}
        )
        params = {name: str(value) for name, value in request.path_params.items()}
        view = View(
            world,
            _viewer(world, request),
            request.url.path,
            params,
            dict(request.query_params),
            form,
            _referrer(request),
        )
        response = await run_in_threadpool(answer, view, request.method)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return endpoint


def routes(world: World) -> list[Route]:
    """Every page, the most special first."""
    from app.sandbox import pages_act, pages_apps, pages_login, pages_read

    table: list[tuple[str, str, Handler]] = [
        ("GET", "/", pages_read.index),
        ("GET", "/-/static/{name}", _static),
        ("GET", "/-/avatar/{id}", pages_read.avatar),
        ("GET", "/-/deliveries", pages_read.deliveries),
        ("GET", "/-/deliveries/{id:int}", pages_read.delivery),
        ("POST", "/-/deliveries/{id:int}/redeliver", pages_act.redeliver),
        ("POST", "/-/act-as", pages_act.act_as),
        ("POST", "/-/buttons", pages_act.switch_buttons),
        ("GET", "/login/oauth/authorize", pages_login.authorize),
        ("POST", "/login/oauth/authorize", pages_login.decide),
        ("POST", "/-/apps", pages_apps.make),
        ("GET", "/apps/{slug}", pages_apps.app),
        ("GET", "/apps/{slug}/installations/new", pages_apps.choose),
        ("POST", "/apps/{slug}/installations/new", pages_apps.install),
        ("GET", "/{owner}/{repo}", pages_read.code),
        ("GET", "/{owner}/{repo}/tree/{branch:path}", pages_read.tree),
        ("GET", "/{owner}/{repo}/blob/{revision}/{path:path}", pages_read.blob),
        ("GET", "/{owner}/{repo}/edit", pages_read.edit),
        ("POST", "/{owner}/{repo}/edit", pages_act.edit),
        ("GET", "/{owner}/{repo}/pulls", pages_read.pulls),
        ("POST", "/{owner}/{repo}/pulls", pages_act.open_pull),
        ("GET", "/{owner}/{repo}/pull/{number:int}", pages_read.pull),
        ("POST", "/{owner}/{repo}/pull/{number:int}/{verb}", pages_act.on_pull),
        ("GET", "/{owner}/{repo}/branches", pages_read.branches),
        ("POST", "/{owner}/{repo}/refs", pages_act.on_ref),
        ("GET", "/{owner}/{repo}/deployments", pages_read.deployments),
        ("GET", "/{owner}/{repo}/commit/{sha}", pages_read.commit),
        ("POST", "/{owner}/{repo}/commit/{sha}/comment", pages_act.comment_on_commit),
        ("GET", "/{owner}/{repo}/compare/{basehead:path}", pages_read.compare),
        ("GET", "/{owner}/{repo}/runs/{id:int}", pages_read.run),
        ("POST", "/{owner}/{repo}/runs/{id:int}/press", pages_act.press),
        ("POST", "/{owner}/{repo}/runs/{id:int}/rerequest", pages_act.rerequest),
    ]
    manifests = framed(world, pages_apps.show, is_for_all=True)
    return [
        *(Route(path, manifests, methods=["POST"]) for path in pages_apps.MANIFESTS),
        *(Route(path, framed(world, handler), methods=[method]) for method, path, handler in table),
    ]


def _static(view: View) -> Response:
    kinds = {"style.css": "text/css", "live.js": "text/javascript"}
    name = view.params["name"]
    if name not in kinds:
        raise SandboxError(f"there is no file {name!r}")
    return Response((_HERE / "static" / name).read_bytes(), media_type=kinds[name])
