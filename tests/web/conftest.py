"""The world of the web room's tests."""

from collections.abc import Iterator

import pytest

from tests.web.memory import World


@pytest.fixture
def world() -> Iterator[World]:
    """Doors in memory, and clients of the app over them."""
    made = World()
    with made.runner:
        yield made
