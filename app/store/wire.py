"""One database connection inside one transaction: what every part of the store's transaction stands on.

Runs statements behind the wall, seals and opens what must not lie in clear, makes ids and reads the database's clock.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

from sqlalchemy import Connection, CursorResult, Executable, Row, text
from ulid import ULID

from app.store.wall import wall

MAX_TEXT_CHARS: Final = 10_000
"""How much of a text from outside one column keeps."""


class Sealer(Protocol):
    """What the store needs of the vault. Shape of a context: column, id."""

    def seal(self, data: bytes, context: Mapping[str, str]) -> bytes: ...
    def open(self, sealed: bytes, context: Mapping[str, str]) -> bytes: ...


def safe_text(words: str, limit: int = MAX_TEXT_CHARS) -> str:
    """Text that PostgreSQL can keep: no NUL, no lone surrogate, bounded."""
    return words[:limit].replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def safe_json(value: Any) -> Any:
    """The same JSON value with every text as PostgreSQL can keep it; what is no JSON becomes text."""
    match value:
        case str():
            return safe_text(value)
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {safe_text(str(key)): safe_json(each) for key, each in value.items()}
        case Sequence() | set() | frozenset():
            return [safe_json(each) for each in value]
        case _:
            return safe_text(str(value))


def sealed_as(column: str, row_id: str) -> dict[str, str]:
    """The context of one sealed value: it opens in its own column and row alone."""
    return {"column": column, "id": row_id}


class Wire:
    """A connection in a transaction, and the sealer."""

    def __init__(self, connection: Connection, sealer: Sealer) -> None:
        self._connection = connection
        self._sealer = sealer

    def now(self) -> datetime:
        """The database's clock, aware UTC."""
        moment: datetime = self._scalar(text("SELECT clock_timestamp()"))
        return moment

    def new_id(self) -> str:
        """A fresh ULID."""
        return str(ULID())

    def _execute(
        self, statement: Executable, values: Mapping[str, object] | Sequence[Mapping[str, object]] | None = None
    ) -> CursorResult[Any]:
        with wall():
            return self._connection.execute(statement, values)

    def _all(self, statement: Executable, values: Mapping[str, object] | None = None) -> Sequence[Row[Any]]:
        with wall():
            return self._connection.execute(statement, values).all()

    def _first(self, statement: Executable, values: Mapping[str, object] | None = None) -> Row[Any] | None:
        with wall():
            return self._connection.execute(statement, values).first()

    def _scalar(self, statement: Executable, values: Mapping[str, object] | None = None) -> Any:
        with wall():
            return self._connection.execute(statement, values).scalar()
