"""What commands given on the server stand on: the settings and the database of this process's environment."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from app.wiring import ControlPlane


def actor() -> str:
    """Who gives the command, for the audit log."""
    return f"{getpass.getuser()} (on the server)"


def database_url() -> str:
    """DATABASE_URL, or the embedded database when `serve` runs it here."""
    from app.store.embedded import EmbeddedPostgres

    given = os.environ.get("DATABASE_URL", "").strip()
    return given or EmbeddedPostgres(_data_dir()).url


@contextmanager
def running_database() -> Iterator[str]:
    """The same, running: the embedded one is started when `serve` does not run, and stopped afterwards."""
    from app.store.embedded import EmbeddedPostgres

    given = os.environ.get("DATABASE_URL", "").strip()
    if given:
        yield given
        return
    server = EmbeddedPostgres(_data_dir())
    try:
        yield server.start()
    finally:
        server.stop()


def control() -> "AbstractContextManager[ControlPlane]":
    """The control plane, for one command."""
    from app.settings import load_settings
    from app.wiring import open_control

    return open_control(load_settings(os.environ), database_url())


def _data_dir() -> Path:
    return Path(os.environ.get("DATA_DIR", "") or "data")
