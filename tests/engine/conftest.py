"""A repository on disk, and a mirror that may read it."""

from pathlib import Path

import pytest

from app.engine.git import Mirror
from tests.engine.upstream import Upstream


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    """A repository that something is pushed to."""
    return Upstream(tmp_path / "upstream")


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """Where it is mirrored."""
    return Mirror(tmp_path / "mirrors", allow_file=True)
