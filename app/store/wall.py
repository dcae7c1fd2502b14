"""The wall where the database's exceptions stop: what may succeed later, and what must not happen at all.

Every statement and every commit of the room runs inside `wall()`; flows never see sqlalchemy or psycopg.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import psycopg_pool
import sqlalchemy.exc

from app.core.errors import BrokenError, RetryableError

_TRANSIENT = (psycopg.OperationalError, psycopg.InterfaceError)
"""Connection lost, deadlock, serialization failure, lock or statement timeout, server shutting down."""


@contextmanager
def wall() -> Iterator[None]:
    """Translate the database's exceptions.

    Raises: RetryableError when the same transaction may succeed later; BrokenError when a guard or the SQL refused.
    """
    try:
        yield
    except sqlalchemy.exc.DBAPIError as error:
        raise _translate(error.orig) from error
    except (sqlalchemy.exc.TimeoutError, psycopg_pool.PoolTimeout, psycopg_pool.PoolClosed) as error:
        raise RetryableError("connecting to the database: no free connection") from error
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise BrokenError(f"using the database: {type(error).__name__}") from error
    except psycopg.Error as error:
        raise _translate(error) from error


def _translate(error: BaseException | None) -> RetryableError | BrokenError:
    if not isinstance(error, psycopg.Error):
        return BrokenError(f"using the database: {type(error).__name__}")
    words = error.diag.message_primary or type(error).__name__
    if isinstance(error, _TRANSIENT):
        return RetryableError(f"using the database: {words}")
    table = error.diag.table_name
    return BrokenError(f"writing {table}: {words}" if table else f"using the database: {words}")
