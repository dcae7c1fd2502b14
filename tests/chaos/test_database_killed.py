"""kill -9 of PostgreSQL, in every state of a run: it recovers, is started again, and the run goes on."""

from collections.abc import Iterator

import pytest

from app.core.run import RunState
from app.store.embedded import EmbeddedPostgres
from app.store.migrations import migrate
from tests.chaos.trouble import Machine, kill_server, often_in, open_machine


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedPostgres, Machine]]:
    """A machine on a server of its own, which keeps what it promised: no setting of it is loosened."""
    root = tmp_path_factory.mktemp("server")
    server = EmbeddedPostgres(root)
    url = server.start()
    try:
        migrate(url)
        with open_machine(root, url, LEASE_S="60") as machine:
            yield server, machine
    finally:
        server.stop()


@pytest.mark.parametrize("state", often_in(RunState.APPLYING))
def test_a_run_outlives_its_database(server: tuple[EmbeddedPostgres, Machine], state: RunState) -> None:
    """Web and workers ask again until it is back; what was committed is there, and nothing is done twice."""
    postgres, machine = server

    def trouble(_run: object) -> None:
        kill_server(postgres)
        postgres.start()

    sha = machine.through(state, trouble)
    machine.expect_end(sha, RunState.FINISHED)
