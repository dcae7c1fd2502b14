"""The pages that set the App up: the code, the manifest on its way to GitHub, and the way back.

Knows the use case by its values alone. Its cookie is its own: for one browser, below /setup, for an hour. A page that
sends a form somewhere names that place in its content policy, and no other.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.core import words_setup as words
from app.core.appform import EVENTS, PERMISSIONS
from app.core.appmanifest import Addresses, is_github, manifest, origin
from app.core.names import Secret
from app.core.setup import LIFE, AppCredentials
from app.flows.setup import Denied, Sending, SetUp, Stage
from app.web.body import BodyRefused, read_body
from app.web.guard import HEADERS
from app.web.templating import Renderer

COOKIE: Final = "trackside_setup"
MAX_FORM_BYTES: Final = 16 * 1024
MAX_QUERY_CHARS: Final = 2_000
Handler = Callable[[Request], Awaitable[Response]]
_POLICY: Final = HEADERS["content-security-policy"]


class SetupPages:
    """The pages of one process without an App."""

    def __init__(self, set_up: SetUp, is_open: Callable[[], bool]) -> None:
        """`is_open`: whether the database is there, and at this version."""
        self._set_up, self._is_open, self._renderer = set_up, is_open, Renderer({})

    def routes(self) -> list[Route]:
        """The set-up's addresses."""
        return [
            Route("/setup", self._opened(self.begin), methods=["GET"]),
            Route("/setup", self._opened(self.send), methods=["POST"]),
            Route("/setup/callback", self._opened(self.finish), methods=["GET"]),
        ]

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page, with the set-up's addresses."""
        shown = {"addresses": self._addresses, "is_github": self._is_github, **values}
        return self._renderer.page(template, shown, status)

    def error(self, status: int, text: str) -> Response:
        """A page for a status."""
        return self.page("setup_error.html", status, code=status, text=text)

    def closed(self) -> Response:
        """The page of every other address, until there is an App."""
        return self.page("setup_error.html", 503, code=0, text=words.NOT_CONFIGURED)

    async def begin(self, request: Request) -> Response:
        """GET /setup: asks for the code and the account, and shows what the App will be."""
        return await self._form(request)

    async def send(self, request: Request) -> Response:
        """POST /setup: the manifest as a form that goes to GitHub."""
        if request.headers.get("origin", "") != origin(self._addresses.public_url):
            return self.error(403, words.foreign_form(self._addresses.public_url))
        body = await read_body(request.scope, request.receive, max_bytes=MAX_FORM_BYTES)
        if isinstance(body, BodyRefused):
            return self.error(body.status, body.error)
        given = _fields(body.decode("utf-8", "replace"))
        sending = await to_thread.run_sync(
            lambda: self._set_up.send(
                code=given.get("code", ""), session=_session(request), organisation=_organisation(given)
            )
        )
        if isinstance(sending, Denied):
            return await self._form(request, sending, given)
        return self._sending(sending)

    async def finish(self, request: Request) -> Response:
        """GET /setup/callback: where GitHub sends the browser once the App is made."""
        query = request.scope["query_string"][:MAX_QUERY_CHARS].decode("ascii", "replace")
        given = _fields(query)
        app = await to_thread.run_sync(
            lambda: self._set_up.finish(
                session=_session(request), code=given.get("code", ""), state=given.get("state", "")
            )
        )
        if isinstance(app, Denied):
            return self.error(app.status, app.text)
        return self._made(app)

    def _opened(self, handle: Handler) -> Handler:
        async def endpoint(request: Request) -> Response:
            return await handle(request) if self._is_open() else self.error(503, words.NO_DATABASE)

        return endpoint

    async def _form(
        self, request: Request, denied: Denied | None = None, given: Mapping[str, str] | None = None
    ) -> Response:
        stage = await to_thread.run_sync(self._set_up.stage, _session(request))
        if stage is Stage.DONE:  # GitHub may lead back faster than processes start
            return self.page("setup_starting.html")
        problem = self._set_up.problem
        response = self.page(
            "setup.html",
            denied.status if denied else 200,
            has_session=stage is Stage.BEGUN,
            problem=problem,
            denied=denied.text if denied and not problem else "",
            account=(given or {}).get("account", ""),
            organisation=(given or {}).get("organisation", ""),
            manifest=manifest(self._addresses.public_url),
            permissions=PERMISSIONS,
            events=EVENTS,
        )
        return _sends_to(response, "'self'")

    def _sending(self, sending: Sending) -> Response:
        response = self.page("setup_send.html", sending=sending, manifest=json.dumps(sending.manifest))
        if sending.session is not None:
            self._set_cookie(response, sending.session)
        return _sends_to(response, origin(sending.url))

    def _made(self, app: AppCredentials) -> Response:
        response = self.page("setup_made.html", app=app)
        response.delete_cookie(COOKIE, path="/setup")
        return response

    def _set_cookie(self, response: Response, session: Secret) -> None:
        """For the way back from GitHub, which is a link from another site: so not stricter than `lax`."""
        response.set_cookie(
            COOKIE,
            session.reveal(),
            max_age=int(LIFE.total_seconds()),
            path="/setup",
            secure=self._addresses.public_url.startswith("https://"),
            httponly=True,
            samesite="lax",
        )

    @property
    def _addresses(self) -> Addresses:
        return self._set_up.addresses

    @property
    def _is_github(self) -> bool:
        return is_github(self._addresses.server_url)


def _sends_to(response: Response, place: str) -> Response:
    """The page, whose forms go there alone, and say from which host they come: else a browser sends no Origin."""
    response.headers["content-security-policy"] = _POLICY.replace("form-action 'none'", f"form-action {place}")
    response.headers["referrer-policy"] = "strict-origin"
    return response


def _session(request: Request) -> str:
    return request.cookies.get(COOKIE, "")


def _organisation(given: Mapping[str, str]) -> str | None:
    """The organisation that was named; empty: the person's own account; None: neither was chosen."""
    match given.get("account", ""):
        case "own":
            return ""
        case "organisation":
            return given.get("organisation", "").strip().removeprefix("@") or None
        case _:
            return None


def _fields(text: str) -> dict[str, str]:
    """A form or a query, each field once; what cannot be read has none."""
    try:
        return {name: values[0] for name, values in parse_qs(text, max_num_fields=20).items()}
    except ValueError:
        return {}
