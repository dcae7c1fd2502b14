"""The web process's app: every door at its address, the webhook's outside of every middleware.

Composes and nothing else.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from app.web.access import Access
from app.web.acting import Acting
from app.web.answers import problem
from app.web.doors import Doors
from app.web.external import External
from app.web.gate import Gate
from app.web.guard import HEADERS, Guard
from app.web.health import Health
from app.web.identity import WellKnown
from app.web.installed import InstalledPage
from app.web.login import LoginPages
from app.web.metrics import Metrics
from app.web.pages import Pages
from app.web.state import StateApi
from app.web.templating import Renderer
from app.web.webhook import Webhook
from app.web.worker_api import WorkerApi


def make_app(doors: Doors) -> Starlette:
    """The app over those doors. Its lifespan listens for work and, at the end, waits for what is being stored.

    Run it with uvicorn's `access_log`, `proxy_headers` and `server_header` off: the guard writes the access line, and a
    peer's address must stay the peer's.
    """
    metrics = Metrics()
    access = Access(pages=doors.pages_access, public_url=doors.public_url, metrics_token=doors.metrics_token)
    webhook = Webhook(
        doors.record_deliveries, doors.webhook_secrets, connections=doors.database_connections, metrics=metrics
    )
    worker, state = WorkerApi(doors, metrics), StateApi(doors)
    renderer = Renderer({"server": doors.github_server_url})
    health = Health(doors, access, metrics)

    def chatty(door: str) -> Middleware:
        return Middleware(Guard, door=door, metrics=metrics, is_chatty=True)

    routes: list[BaseRoute] = [
        Route("/webhooks/github", webhook),
        Mount("/worker/v1", routes=worker.routes(), middleware=[chatty("worker")]),
        Mount("/external", routes=External(doors).routes(), middleware=[chatty("external")]),
        Mount("/state", routes=state.routes(), middleware=[chatty("state")]),
        Route("/healthz", health.healthz, middleware=[chatty("health")]),
        Route("/readyz", health.readyz, middleware=[chatty("health")]),
        Route("/metrics", health.metrics, middleware=[chatty("health")]),
        *[Route(one.path, one.endpoint, middleware=[chatty("identity")]) for one in WellKnown(doors).routes()],
        Route("/schema/stacks.json", health.schema, middleware=[chatty("health")]),
        Route("/schema/organisation.json", health.organisation_schema, middleware=[chatty("health")]),
        Mount(
            "/",
            routes=_pages(doors, Gate(doors, access, renderer.error), renderer),
            middleware=[Middleware(Guard, door="pages", metrics=metrics, answer=renderer.error)],
        ),
    ]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        unsubscribe = _listen(doors, worker)
        try:
            yield
        finally:
            unsubscribe()
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(webhook.close)

    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _refuse})


def _pages(doors: Doors, gate: Gate, renderer: Renderer) -> list[Route]:
    """What people read; and for those who can log in, the login, and what they do."""
    people = doors.people
    routes = [*InstalledPage(doors, gate, renderer).routes(), *Pages(doors, gate, renderer).routes()]
    if people is None:
        return routes
    login = LoginPages(people, gate, renderer, doors.public_url)
    return [*login.routes(), *Acting(people, gate, renderer).routes(), *routes]


def _listen(doors: Doors, worker: WorkerApi) -> Callable[[], object]:
    """Wake the waiting room from whatever thread the signal calls back on; gives what ends that."""
    loop = asyncio.get_running_loop()

    def wake(pool: str) -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(worker.wake, pool)

    unsubscribe = doors.work_signal.subscribe(wake)
    return unsubscribe if callable(unsubscribe) else lambda: None


async def _refuse(_request: Request, error: Exception) -> Response:
    """For what no guard stands around: a method that an address does not take."""
    status, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (500, None)
    return problem(status, "this address does not take that method", {**HEADERS, **(headers or {})})
