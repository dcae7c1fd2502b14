"""The world of a journey."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.driver import World, open_world


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    """GitHub and Trackside with one worker."""
    with open_world(tmp_path, database_url) as made:
        yield made


@pytest.fixture
def unboxed(tmp_path: Path, database_url: str) -> Iterator[World]:
    """A world whose runs may reach outside of their workspaces: where a backend is a file that others write as well."""
    with open_world(tmp_path, database_url, ISOLATION="none") as made:
        yield made
