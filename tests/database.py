"""Real databases for tests: one embedded PostgreSQL per test session, one fresh copy of the migrated template per test.

`TEST_DATABASE_URL` names a server to use instead; its account must be allowed to create databases.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from app.store.embedded import EmbeddedPostgres
from app.store.migrations import migrate
from app.store.postgres import PostgresStore
from app.store.url import conninfo, engine_url
from app.vault.keys import Keyring

FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
"""For data that nobody misses."""
KEY = bytes(range(32))


@contextmanager
def running_server() -> Iterator[str]:
    """The URL of a server for this process: `TEST_DATABASE_URL`, or an embedded one in a folder that goes away."""
    given = os.environ.get("TEST_DATABASE_URL", "")
    if given:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="pgtest-"))
    server = EmbeddedPostgres(folder, settings=FAST)
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def on_database(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    return engine_url(url).set(database=name, drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def made_database(server_url: str, *, template: str = "template0") -> Iterator[str]:
    """The URL of a new database, dropped afterwards together with whatever is still connected to it."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(conninfo(server_url), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        try:
            yield on_database(server_url, name)
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def made_template(server_url: str) -> Iterator[str]:
    """The name of a database with every migration, to be copied."""
    with made_database(server_url) as url:
        migrate(url)
        yield engine_url(url).database or ""


@contextmanager
def made_store(url: str, *, pool_size: int = 10) -> Iterator[PostgresStore]:
    """A store on that database, with a keyring of its own; closed afterwards."""
    store = PostgresStore(url, sealer=Keyring([KEY]), pool_size=pool_size)
    try:
        yield store
    finally:
        store.close()
