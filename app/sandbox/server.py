"""The sandbox over HTTP: REST API under /api, git under /OWNER/REPO.git, pages for people everywhere else.

`serve_in_thread` runs it on loopback beside whatever else the process does.
"""

import asyncio
import socket
import threading
import time
from types import TracebackType

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.sandbox import (
    api,
    githttp,
    pages,
    routes_app,
    routes_checks,
    routes_environments,
    routes_git,
    routes_graphql,
    routes_login,
    routes_talk,
)
from app.sandbox.errors import SandboxError
from app.sandbox.trouble import CUT
from app.sandbox.world import World

ROUTES = (routes_app, routes_checks, routes_environments, routes_git, routes_graphql, routes_login, routes_talk)
"""The modules whose import registers the API's routes."""
_START_S = 15.0
_TICK_S = 0.02
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def make_app(world: World) -> Starlette:
    """The ASGI application of one sandbox."""

    async def rest(request: Request) -> Response:
        path = "/" + request.path_params["path"]
        if path == routes_login.EXCHANGE:  # beside the pages, and nowhere else
            path = f"/api{path}"
        return await answered(request, path)

    async def exchange(request: Request) -> Response:
        return await answered(request, routes_login.EXCHANGE)

    async def answered(request: Request, path: str) -> Response:
        asked = api.Request(
            request.method, path, dict(request.query_params), dict(request.headers), await request.body()
        )
        result = await run_in_threadpool(api.answer, world, asked)
        headers = dict(result.headers)
        if result.status == CUT:
            return _Cut()
        if result.body is None:
            return Response(None, result.status, headers)
        return JSONResponse(result.body, result.status, headers)

    async def git(request: Request) -> Response:
        names = request.path_params
        asked = githttp.GitRequest(
            request.method,
            names["owner"],
            names["repo"],
            names["path"],
            request.url.query,
            dict(request.headers),
            await request.body(),
        )
        result = await run_in_threadpool(githttp.serve, world, asked)
        return Response(result.body, result.status, dict(result.headers))

    return Starlette(
        routes=[
            Route("/api/{path:path}", rest, methods=_METHODS),
            Route(routes_login.EXCHANGE, exchange, methods=["POST"]),
            Route("/{owner}/{repo}.git/{path:path}", git, methods=["GET", "POST"]),
            *pages.routes(world),
        ]
    )


class _Cut(Response):
    """An answer that begins and never comes: the connection ends."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10000")]})


class _Server(uvicorn.Server):
    """uvicorn that notices within a moment that it should stop, since tests start and stop hundreds of them."""

    async def main_loop(self) -> None:
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 1) % 864_000
            await asyncio.sleep(_TICK_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for one in sockets or []:
            one.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()


class Served:
    """A running sandbox server; a context manager that stops it."""

    def __init__(self, world: World, *, host: str = "127.0.0.1", port: int = 0) -> None:
        # asyncio sends at once (TCP_NODELAY) only where the protocol is named: else each answer waits 40 ms for an ACK.
        self._socket = socket.socket(proto=socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            raise SandboxError(f"listening on {host}:{port}: {error.strerror}") from error
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{host}:{self.port}"
        self.api_url = f"{self.url}/api"
        self._world = world
        world.server_url = self.url
        # One date, the sandbox's own: a second header would make the first unreadable.
        config = uvicorn.Config(
            make_app(world), log_level="error", lifespan="off", access_log=False, loop="asyncio", date_header=False
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._run, name="sandbox-http", daemon=True)
        self._thread.start()
        self._wait()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])

    def _wait(self) -> None:
        end = time.monotonic() + _START_S
        while not self._server.started:
            if time.monotonic() > end or not self._thread.is_alive():
                raise SandboxError(f"starting the sandbox at {self.url}: it does not answer")
            time.sleep(0.005)

    def stop(self) -> None:
        """Stop listening, and stop the post once its queue is empty."""
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(_START_S)
        self._socket.close()
        self._world.post.close()

    def __enter__(self) -> "Served":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve_in_thread(world: World, *, host: str = "127.0.0.1", port: int = 0) -> Served:
    """Start the sandbox on loopback; `.url`, `.api_url`, `.stop()`, or a with block. Port 0 takes a free one."""
    return Served(world, host=host, port=port)
