"""The web process's app before there is a GitHub App: the set-up's pages; every other door says that it is not
configured.

Composes and nothing else.
"""

from collections.abc import Callable
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Scope, Send

from app.core.words_setup import NOT_CONFIGURED
from app.flows.setup import SetUp
from app.web.answers import Constant, encoded, problem
from app.web.guard import Guard
from app.web.metrics import Metrics
from app.web.setup import SetupPages
from app.web.static_files import static_files

CLOSED: Final = ("/worker", "/external", "/state", "/.well-known", "/schema")
ALL: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "LOCK", "UNLOCK")
_RETRY: Final = {"retry-after": "10"}


def make_setup_app(set_up: SetUp, is_open: Callable[[], bool] = lambda: True) -> Starlette:
    """The app over that set-up, whose pages are there while `is_open`. Run it as `app.web.app.make_app`."""
    metrics, pages, static = Metrics(), SetupPages(set_up, is_open), static_files()

    async def file(request: Request) -> Response:
        found = static.get(request.path_params["name"])
        return pages.error(404, "") if found is None else Response(found[0], media_type=found[1])

    async def other(_request: Request) -> Response:
        return pages.closed()

    def guarded(door: str) -> Middleware:
        return Middleware(Guard, door=door, metrics=metrics, is_chatty=True)

    routes: list[BaseRoute] = [
        Route("/webhooks/github", _Webhook()),
        Route("/healthz", _healthz, middleware=[guarded("health")]),
        Route("/readyz", _readyz, middleware=[guarded("health")]),
        Route("/metrics", _closed, middleware=[guarded("health")]),
        *[
            Mount(path, routes=[Route("/{path:path}", _closed, methods=ALL)], middleware=[guarded(path[1:])])
            for path in CLOSED
        ],
        Mount(
            "/",
            routes=[*pages.routes(), Route("/static/{name}", file), Route("/{path:path}", other)],
            middleware=[Middleware(Guard, door="pages", metrics=metrics, answer=pages.error)],
        ),
    ]
    return Starlette(routes=routes)


class _Webhook:
    """The webhook's door, for every method, outside of every middleware. GitHub keeps what was refused in its log."""

    def __init__(self) -> None:
        self._answer = Constant(503, {"error": NOT_CONFIGURED}, _RETRY)

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._answer.send(send)


async def _closed(_request: Request) -> Response:
    """503, for programs."""
    return problem(503, NOT_CONFIGURED, _RETRY)


async def _healthz(_request: Request) -> Response:
    """200 as long as the process answers."""
    return encoded({"status": "ok"})


async def _readyz(_request: Request) -> Response:
    """503: nothing can be done before there is an App."""
    parts = {"GitHub App": "not configured: open /setup"}
    return encoded({"error": "not ready: GitHub App", "status": "not ready", "parts": parts}, 503)
