"""Runs an ASGI app as this process's HTTP doors."""

import threading
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

GRACE_S = 20


def run_app(app: ASGIApp, host: str, port: int, *, until: Callable[[threading.Event], None] | None = None) -> None:
    """Listen until a signal comes, or until `until` returns, which runs on a thread of its own; what it is given is set
    when listening ends before."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        proxy_headers=False,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server, ended = uvicorn.Server(config), threading.Event()

    def wait() -> None:
        if until is not None:
            until(ended)
            server.should_exit = True

    waiting = threading.Thread(target=wait, name="until")
    if until is not None:
        waiting.start()
    try:
        server.run()
    finally:
        ended.set()
        if until is not None:
            waiting.join()
