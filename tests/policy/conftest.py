"""One pool of real OPA workers for all tests of the policy room."""

from collections.abc import Iterator

import pytest

from app.policy.pool import OpaPool


@pytest.fixture(scope="session")
def pool() -> Iterator[OpaPool]:
    """OPA in one child process."""
    with OpaPool(1) as started:
        yield started
