"""The floor under the webhook's door: a bare Starlette app that checks the same signature and commits the same body.

Three kinds: `async` (psycopg's asynchronous pool), `threads` (its pool behind Starlette's thread pool), and `job`:
`threads` over the product's own store, the row together with its job. Each is a process of its own.
"""

import hmac
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from typing import Any

import uvicorn
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.core.names import DeliveryId
from app.core.record import NewDelivery
from app.store.postgres import PostgresStore
from app.store.url import conninfo
from app.vault.keys import Keyring

TABLE = "CREATE TABLE bare_deliveries (guid text PRIMARY KEY, event text NOT NULL, body bytea NOT NULL)"
INSERT = "INSERT INTO bare_deliveries (guid, event, body) VALUES (%(guid)s, %(event)s, %(body)s)"
CONNECTIONS = 10
"""As many as the product's own default, DATABASE_POOL_SIZE."""
PATH = "/webhooks/github"

Store = Callable[[dict[str, Any]], Awaitable[None]]
KINDS = ("async", "threads", "job")


def make_app(secret: bytes, store: Store, lifespan: Callable[[Starlette], object]) -> Starlette:
    """One route: signature, row, 202."""

    async def receive(request: Request) -> Response:
        body = await request.body()
        expected = "sha256=" + hmac.digest(secret, body, "sha256").hex()
        if not hmac.compare_digest(expected, request.headers.get("x-hub-signature-256", "")):
            return JSONResponse({"error": "wrong signature"}, 401)
        headers = request.headers
        await store({"guid": headers["x-github-delivery"], "event": headers["x-github-event"], "body": body})
        return JSONResponse({"outcome": "stored"}, 202)

    return Starlette(routes=[Route(PATH, receive, methods=["POST"])], lifespan=lifespan)  # type: ignore[arg-type]


def async_app(url: str, secret: bytes) -> Starlette:
    """Database calls in the event loop."""
    pool = AsyncConnectionPool(
        conninfo(url), min_size=CONNECTIONS, max_size=CONNECTIONS, open=False, kwargs={"autocommit": True}
    )

    async def store(values: dict[str, object]) -> None:
        async with pool.connection() as connection:
            await connection.execute(INSERT, values, binary=True)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with pool:
            yield

    return make_app(secret, store, lifespan)


def thread_app(url: str, secret: bytes) -> Starlette:
    """Database calls on threads."""
    pool = ConnectionPool(
        conninfo(url), min_size=CONNECTIONS, max_size=CONNECTIONS, open=False, kwargs={"autocommit": True}
    )

    def insert(values: dict[str, object]) -> None:
        with pool.connection() as connection:
            connection.execute(INSERT, values, binary=True)

    async def store(values: dict[str, object]) -> None:
        await run_in_threadpool(insert, values)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        with pool:
            yield

    return make_app(secret, store, lifespan)


def job_app(url: str, secret: bytes) -> Starlette:
    """The product's store behind the bare app."""
    kept = PostgresStore(url, sealer=Keyring([bytes(32)]), pool_size=CONNECTIONS)

    def record(guid: str, event: str, body: bytes) -> None:
        kept.record_deliveries([NewDelivery(guid=DeliveryId(guid), event=event, body=body)])

    async def store(values: dict[str, Any]) -> None:
        await run_in_threadpool(record, **values)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        with closing(kept):
            yield

    return make_app(secret, store, lifespan)


def main(kind: str) -> None:
    """Serve with the settings that the product's web process gives uvicorn."""
    url, secret = os.environ["DATABASE_URL"], os.environ["GITHUB_WEBHOOK_SECRET"].encode()
    app = {"async": async_app, "threads": thread_app, "job": job_app}[kind](url, secret)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=int(os.environ["PORT"]), log_config=None, access_log=False, server_header=False
    )
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main(sys.argv[1])
