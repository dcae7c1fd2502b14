"""The pages of logging in and out: to GitHub and back again, with one cookie each way.

What is decided there is `flows.login`'s; here are addresses, cookies and words.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from app.core.host import is_loopback
from app.core.visitor import HOME, LoginRefused, way_back
from app.core.words_login import login_refused
from app.flows.login import CameBack
from app.web.access import host_of
from app.web.doors_people import People
from app.web.form import Form
from app.web.gate import Gate, Guest, login_path
from app.web.templating import Renderer

MAX_PARAMETER: Final = 200
CALLBACK: Final = "/login/callback"


@dataclass(frozen=True, slots=True)
class LoginPages:
    """Those of one process."""

    people: People
    gate: Gate
    render: Renderer
    public_url: str

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/login", self.login),
            Route("/login/start", self.start),
            Route(CALLBACK, self.callback),
            Route("/logout", self.gate.form(self.logout), methods=["POST"]),
        ]

    async def login(self, request: Request) -> Response:
        """GET /login: the way to GitHub; back to the page for somebody who has a session."""
        if not self.gate.may_come(request):
            return self.render.error(404, "")
        back = way_back(request.query_params.get("back", "")[:MAX_PARAMETER])
        if self._is_other_name(request):
            return RedirectResponse(f"{self.public_url}{login_path(back)}", 303)
        guest = await self.gate.guest(request)
        return RedirectResponse(back, 303) if guest.visitor is not None else self._page(back)

    async def start(self, request: Request) -> Response:
        """GET /login/start: off to GitHub."""
        if not self.gate.may_come(request):
            return self.render.error(404, "")
        back = request.query_params.get("back", "")[:MAX_PARAMETER]
        begun = await self.gate.threaded(self.people.login.begin, back)
        response = RedirectResponse(begun.url, 303)
        self.gate.cookies.begin_login(response, begun.browser)
        return response

    async def callback(self, request: Request) -> Response:
        """GET /login/callback: back from GitHub, with a session or with the reason why there is none."""
        if not self.gate.may_come(request):
            return self.render.error(404, "")
        state, code, error = (_parameter(request, name) for name in ("state", "code", "error"))
        cookies = self.gate.cookies
        browser, session = cookies.login(request), cookies.session(request)
        came = CameBack(state=state, code=code, error=error, browser=browser, session=session)
        done = await self.gate.threaded(self.people.login.complete, came)
        if isinstance(done, LoginRefused):
            return self._page(done.back, problem=login_refused(done), status=403)
        response = RedirectResponse(done.back, 303)
        cookies.begin_session(response, done.token)
        return response

    async def logout(self, request: Request, guest: Guest, _form: Form) -> Response:
        """POST /logout: the session is over."""
        await self.gate.threaded(self.people.visits.end, self.gate.cookies.session(request))
        response = RedirectResponse(HOME if guest.reads_all else "/login", 303)
        self.gate.cookies.end_session(response)
        return response

    def _page(self, back: str, *, problem: str = "", status: int = 200) -> Response:
        start = "/login/start" if back == HOME else f"/login/start?back={quote(back, safe='/')}"
        return self.render.page("login.html", {"start": start, "problem": problem}, status)

    def _is_other_name(self, request: Request) -> bool:
        """True on this machine under another of its names than GitHub leads back to: cookies are kept for each name."""
        host = host_of(request.headers.get("host", "").encode("latin-1", "replace"))
        ours = urlsplit(self.public_url).hostname or ""
        return host != ours and is_loopback(host) and is_loopback(ours)


def _parameter(request: Request, name: str) -> str:
    """What came back under that name; empty for what is too long to be GitHub's."""
    found = request.query_params.get(name, "")
    return found if len(found) <= MAX_PARAMETER else ""
