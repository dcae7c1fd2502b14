"""The database's versions: `migrate` brings a database to the newest, `pending_migrations` says what is missing.

Runs alembic inside the package, under an advisory lock, so that any number of processes may start at once.
"""

from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, NullPool, create_engine, text

from app.core.errors import UserError
from app.store.url import engine_url
from app.store.wall import wall

_LOCK: Final = 7_116_283_094_001
"""Key of the advisory lock that makes migrations wait for each other."""


def migrate(url: str, *, revision: str = "head") -> None:
    """Bring the database to the newest version, or to one on the way; the same again changes nothing.

    Raises: UserError when this version does not know the revision; RetryableError when the database does not answer;
    BrokenError when a migration is refused.
    """
    if revision != "head" and revision not in {step.revision for step in _script().walk_revisions()}:
        raise UserError(f"bringing the database to version {revision[:40]}: a newer release than this one made it")
    with wall(), _engine(url).connect() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


def pending_migrations(url: str) -> list[str]:
    """The revisions that the database lacks, oldest first; empty when it is current.

    Raises: RetryableError when the database does not answer.
    """
    script = _script()
    with wall(), _engine(url).connect() as connection:
        current = MigrationContext.configure(connection).get_current_heads()
    missing = [step.revision for step in script.iterate_revisions("heads", current or "base")]
    return missing[::-1]


def _engine(url: str) -> Engine:
    return create_engine(engine_url(url), poolclass=NullPool, hide_parameters=True)


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "app.store:migrations")
    return config
