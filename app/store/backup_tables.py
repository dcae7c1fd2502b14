"""Every row of the database, out and in: one consistent moment, table by table, in PostgreSQL's own text form.

Knows nothing of what the rows mean, and nothing of files: bytes go to and come from whoever asks.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from graphlib import TopologicalSorter
from typing import BinaryIO, Final, LiteralString, cast

import msgspec
import psycopg
from psycopg.sql import SQL, Composed, Identifier

from app.core.errors import BrokenError, UserError
from app.store.migrations import migrate, pending_migrations
from app.store.url import conninfo
from app.store.wall import wall

CHUNK_BYTES: Final = 256 * 1024
_REVISIONS: Final = "alembic_version"
_OF_ITS_TIME: Final = frozenset({"app_setups", "logins", "sessions"})
"""What a browser holds the other half of: who logged out since is not logged in again."""
_TABLES: Final = """
SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
  AND a.attgenerated = ''
GROUP BY c.relname ORDER BY c.relname
"""
_REFERENCES: Final = """
SELECT DISTINCT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint
WHERE contype = 'f' AND NOT condeferrable AND conrelid <> confrelid AND connamespace = 'public'::regnamespace
"""
_SEQUENCES: Final = "SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"


class TableInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One table of a backup."""

    name: str
    columns: tuple[str, ...]


class SequenceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Where a sequence stood."""

    name: str
    last_value: int
    is_called: bool


class DatabaseInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the rows fit."""

    revision: str
    tables: tuple[TableInfo, ...]
    sequences: tuple[SequenceInfo, ...]


class Snapshot:
    """The database as it was at one moment."""

    def __init__(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        self._connection = connection
        revision = _value(connection, "SELECT version_num FROM alembic_version")
        tables = [
            TableInfo(name=str(name), columns=tuple(cast(list[str], found)))
            for name, found in _rows(connection, _TABLES)
        ]
        self.info = DatabaseInfo(
            revision=str(revision),
            tables=tuple(table for table in tables if table.name != _REVISIONS),
            sequences=tuple(self._sequence(str(row[0])) for row in _rows(connection, _SEQUENCES)),
        )

    def copy_out(self, table: TableInfo, write: Callable[[bytes], object]) -> None:
        """Hand every row to `write`, piece by piece."""
        with wall(), self._connection.cursor().copy(_copy(table, "TO STDOUT")) as rows:
            for piece in rows:
                write(bytes(piece))

    def _sequence(self, name: str) -> SequenceInfo:
        with wall():
            row = self._connection.execute(
                SQL("SELECT last_value, is_called FROM {}").format(Identifier(name))
            ).fetchone()
        if row is None:
            raise BrokenError(f"reading sequence {name}: nothing is there")
        return SequenceInfo(name=name, last_value=cast(int, row[0]), is_called=bool(row[1]))


@contextmanager
def snapshot(url: str) -> Iterator[Snapshot]:
    """The database as it is now, however long the reading takes.

    Raises: UserError when it was not brought to this version; RetryableError when it does not answer.
    """
    missing = pending_migrations(url)
    if missing:
        raise UserError("backing up the database: it is not at this version; run `trackside migrate` first")
    with wall(), psycopg.connect(conninfo(url)) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield Snapshot(connection)


def check_empty(url: str, info: DatabaseInfo) -> None:
    """Nothing when the database has no table, or those of the backup's version without a row.

    Raises: UserError otherwise.
    """
    with wall(), psycopg.connect(conninfo(url)) as connection:
        tables = [str(row[0]) for row in _rows(connection, _TABLES)]
        if not tables:
            return
        filled = [name for name in tables if name != _REVISIONS and _has_rows(connection, name)]
        is_known = _REVISIONS in tables
        revision = _value(connection, "SELECT version_num FROM alembic_version") if is_known else None
    if filled:
        raise UserError(
            f"restoring the database: it is not empty ({', '.join(filled[:5])}); give DATABASE_URL an empty one"
        )
    if revision != info.revision:
        raise UserError("restoring the database: it has tables of another version; give DATABASE_URL one without any")


def copy_in(url: str, info: DatabaseInfo, open_table: Callable[[str], BinaryIO]) -> None:
    """Make the tables as they were, fill them in one transaction, and bring them to this version.

    Raises: UserError when the backup is of a newer version; BrokenError when rows do not fit.
    """
    migrate(url, revision=info.revision)
    with wall(), psycopg.connect(conninfo(url)) as connection:
        known = {str(name) for name, _ in _rows(connection, _TABLES)} - {_REVISIONS}
        if known != {table.name for table in info.tables}:
            raise BrokenError("restoring the database: the backup's tables are not those of its version")
        # Guards look at changes; these rows are what they let pass before. Keys and checks hold all the same.
        _each(connection, "ALTER TABLE {} DISABLE TRIGGER USER", known)
        _each(connection, "DELETE FROM {}", _in_order(connection, known)[::-1])
        columns = {table.name: table for table in info.tables}
        for name in _in_order(connection, known - _OF_ITS_TIME):
            _fill(connection, columns[name], open_table(name))
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        _each(connection, "ALTER TABLE {} ENABLE TRIGGER USER", known)
        for sequence in info.sequences:
            values = (f'public."{sequence.name}"', sequence.last_value, sequence.is_called)
            connection.execute("SELECT setval(%s::regclass, %s, %s)", values)
    migrate(url)


def _fill(connection: "psycopg.Connection[tuple[object, ...]]", table: TableInfo, rows: BinaryIO) -> None:
    with rows, connection.cursor().copy(_copy(table, "FROM STDIN")) as copy:
        while piece := rows.read(CHUNK_BYTES):
            copy.write(piece)


def _in_order(connection: "psycopg.Connection[tuple[object, ...]]", tables: set[str]) -> list[str]:
    """Tables so that each comes after those that its rows point at."""
    before: dict[str, set[str]] = {name: set() for name in sorted(tables)}
    for table, other in _rows(connection, _REFERENCES):
        if table in before and other in before:
            before[str(table)].add(str(other))
    return list(TopologicalSorter(before).static_order())


def _copy(table: TableInfo, how: LiteralString) -> Composed:
    names = SQL(", ").join([Identifier(name) for name in table.columns])
    return SQL("COPY {} ({}) " + how).format(Identifier("public", table.name), names)


def _each(
    connection: "psycopg.Connection[tuple[object, ...]]", words: LiteralString, tables: Sequence[str] | set[str]
) -> None:
    for name in tables:
        connection.execute(SQL(words).format(Identifier("public", name)))


def _rows(connection: "psycopg.Connection[tuple[object, ...]]", words: LiteralString) -> list[tuple[object, ...]]:
    return connection.execute(words).fetchall()


def _has_rows(connection: "psycopg.Connection[tuple[object, ...]]", table: str) -> bool:
    found = connection.execute(SQL("SELECT EXISTS (SELECT FROM {})").format(Identifier("public", table))).fetchone()
    return bool(found and found[0])


def _value(connection: "psycopg.Connection[tuple[object, ...]]", words: LiteralString) -> object:
    row = connection.execute(words).fetchone()
    return row[0] if row else None
