"""One DATABASE_URL, two readers: SQLAlchemy wants the driver named in it, psycopg does not.

Knows nothing of pools or schemas.
"""

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.core.errors import UserError

_SCHEMES = frozenset({"postgres", "postgresql", "postgresql+psycopg"})


def engine_url(url: str) -> URL:
    """The URL for SQLAlchemy, whatever PostgreSQL scheme it came with.

    Raises: UserError when it is no PostgreSQL URL; the text does not repeat it, because it may hold a password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise UserError("reading DATABASE_URL: it must begin with postgresql://")
    try:
        return make_url(f"postgresql+psycopg://{rest}")
    except ArgumentError as error:
        raise UserError("reading DATABASE_URL: not a URL like postgresql://user:password@host:5432/name") from error


def conninfo(url: str) -> str:
    """The same URL for psycopg and procrastinate. Raises: as `engine_url`."""
    return engine_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
