"""A machine for a whole file of trouble: Trackside as processes on a database of its own, used by one case after the
other, so that each also begins on what the ones before left behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.trouble import Machine, open_machine
from tests.database import made_database


@pytest.fixture(scope="module")
def machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, server_url: str, database_template: str
) -> Iterator[Machine]:
    """Trackside as processes, and a repository with one stack that was applied once. A file whose trouble ends leases
    asks for short ones (LEASE_S)."""
    with made_database(server_url, template=database_template) as url:
        root: Path = tmp_path_factory.mktemp("machine")
        with open_machine(root, url, LEASE_S=getattr(request.module, "LEASE_S", "60")) as made:
            yield made
