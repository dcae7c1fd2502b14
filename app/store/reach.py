"""Whether a database is there and at this version, before a person's command begins: else what is wrong, and where.

Services wait for a database that is away; somebody at a terminal is told at once.
"""

from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from app.core.errors import UserError
from app.core.markdown import shortened
from app.store.migrations import pending_migrations

OLDEST: Final = 15
"""PostgreSQL's major version from which on the migrations and guards work."""
_TIMEOUT_S: Final = 10
_HIDDEN: Final = frozenset({"password", "sslpassword", "passfile"})


def check_reachable(url: str, *, embedded_in: str = "") -> None:
    """Nothing, when the database answers and is new enough.

    `embedded_in`: the folder of the embedded one; empty: DATABASE_URL names it.
    Raises: UserError with the place and the way out; never with a password.
    """
    try:
        with psycopg.connect(url, connect_timeout=_TIMEOUT_S, autocommit=True) as connection:
            major = connection.info.server_version // 10_000
    except psycopg.OperationalError as error:
        if embedded_in:
            raise UserError(
                f"reaching the embedded database in {embedded_in}: it does not run; start `trackside serve` with this "
                "DATA_DIR, or name another database by DATABASE_URL"
            ) from error
        raise UserError(
            f"reaching the database{_place(url)}: {_reason(error, url)}; DATABASE_URL says where it is"
        ) from error
    except psycopg.Error as error:
        raise UserError(
            "reading DATABASE_URL: it is no address of a database; give one like postgresql://USER:PASSWORD@HOST/NAME"
        ) from error
    if major < OLDEST:
        raise UserError(
            f"using the database{_place(url)}: it is PostgreSQL {major}, and {OLDEST} or newer is needed; upgrade it, "
            "or name another one by DATABASE_URL"
        )


def check_ready(url: str, *, embedded_in: str = "") -> None:
    """The same, and that it is at this version.

    Raises: UserError with the place and the way out.
    """
    check_reachable(url, embedded_in=embedded_in)
    if pending_migrations(url):
        raise UserError(f"using the database{_place(url)}: it is not at this version; run `trackside migrate` first")


def _place(url: str) -> str:
    parts = conninfo_to_dict(url)
    host, port, name = (parts.get(key) for key in ("host", "port", "dbname"))
    where = f"{host or 'localhost'}{f':{port}' if port else ''}{f'/{name}' if name else ''}"
    return f" at {shortened(where, 200)}"


def _reason(error: psycopg.OperationalError, url: str) -> str:
    """What the server or the network says, in one line."""
    text = next((line for line in str(error).splitlines() if line.strip()), "it does not answer")
    for key, value in conninfo_to_dict(url).items():
        if key in _HIDDEN and value:
            text = text.replace(str(value), "***")
    return shortened(text.removeprefix("connection failed: ").strip(), 300)
