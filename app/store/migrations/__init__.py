"""The database's versions: `migrate` brings a database to the newest, `pending_migrations` says what is missing.

Runs alembic inside the package, under an advisory lock, so that any number of processes may start at once.
"""

from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, NullPool, create_engine, text

from app.core.errors import UserError
from app.store.url import engine_url
from app.store.wall import wall

_LOCK: Final = 7_116_283_094_001
"""Key of the advisory lock that makes migrations wait for each other."""


def migrate(url: str, *, revision: str = "head") -> None:
    """Bring the database to the newest version, or to one on the way; the same again changes nothing.

    Raises: UserError when this version does not know the revision, or the one that the database is at; RetryableError
    when the database does not answer; BrokenError when a migration is refused.
    """
    if revision != "head" and revision not in {step.revision for step in _script().walk_revisions()}:
        raise UserError(f"bringing the database to version {revision[:40]}: a newer release than this one made it")
    with wall(), _engine(url).connect() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        _known_heads(connection)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


def pending_migrations(url: str) -> list[str]:
    """The revisions that the database lacks, oldest first; empty when it is current.

    Raises: UserError when a newer release made it; RetryableError when the database does not answer.
    """
    with wall(), _engine(url).connect() as connection:
        current = _known_heads(connection)
    missing = [step.revision for step in _script().iterate_revisions("heads", current or "base")]
    return missing[::-1]


def _known_heads(connection: Connection) -> tuple[str, ...]:
    """The revisions that the database is at. Raises: UserError when this version does not know one of them."""
    current = MigrationContext.configure(connection).get_current_heads()
    unknown = sorted(set(current) - {step.revision for step in _script().walk_revisions()})
    if unknown:
        raise UserError(
            f"using the database: it is at version {unknown[0][:40]}, which a newer release than this one made; "
            "install that release, or restore a backup into an empty database"
        )
    return current


def _engine(url: str) -> Engine:
    return create_engine(engine_url(url), poolclass=NullPool, hide_parameters=True)


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "app.store:migrations")
    return config
