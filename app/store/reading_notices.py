"""What `trackside doctor` asks of a database about endpoints: without keys, which it must not make."""

import psycopg

from app.core.notice import Endpoint
from app.store.url import conninfo
from app.store.wall import wall

_ENDPOINTS = "SELECT name, is_on, failures, problem, accounts FROM endpoints ORDER BY name"


def read_endpoints(url: str) -> list[Endpoint]:
    """Every endpoint, by name, without its address and its secret.

    Raises: RetryableError when the database does not answer.
    """
    with wall(), psycopg.connect(conninfo(url), autocommit=True, connect_timeout=10) as connection:
        rows = connection.execute(_ENDPOINTS).fetchall()
    return [
        Endpoint(name=name, is_on=on, failures=failures, problem=problem, accounts=tuple(accounts))
        for name, on, failures, problem, accounts in rows
    ]
