"""What time does: each thing for itself, and what only history needs not every few seconds."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from app.core.errors import BrokenError
from app.core.run import RunState
from app.flows.held import archive_key
from tests.database import made_database
from tests.flows.outbox import Outbox, open_outbox


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory, server_url: str, database_template: str) -> Iterator[Outbox]:
    """A repository whose runs are moved by hand: each test has a stack of its own there."""
    with (
        made_database(server_url, template=database_template) as url,
        open_outbox(tmp_path_factory.mktemp("outbox"), url) as made,
    ):
        yield made


def execute(outbox: Outbox, statement: str) -> None:
    """Change the database as time would."""
    with outbox.world.plane.store.begin() as tx:
        tx._connection.execute(text(statement))


def test_what_cannot_be_done_for_one_run_keeps_no_other_waiting(outbox: Outbox) -> None:
    """A plan expires whose workspace cannot be deleted: the run of a worker that is gone is given back all the same."""
    stuck = outbox.plan(outbox.run(outbox.stack("stuck")))
    assert stuck.plan is not None
    here = outbox.world.root / "data" / "artifacts" / archive_key(stuck.id, stuck.plan)
    here.mkdir(parents=True)  # a folder, where a file should be
    outbox.begin(outbox.run(outbox.stack("lost")))
    execute(outbox, "UPDATE runs SET expires_at = now() - interval '1 s' WHERE stack_name = 'stuck'")
    execute(outbox, "UPDATE assignments SET lease_until = now() - interval '1 s'")
    with pytest.raises(BrokenError, match="deleting artifact workspaces/"):
        outbox.world.plane.tasks.sweep()
    states = {run.stack_name: run.state for run in outbox.world.runs()}
    assert states == {"stuck": RunState.DISCARDED, "lost": RunState.READY}


def test_old_decisions_go_every_hour_and_no_sweep_looks_at_them(outbox: Outbox) -> None:
    """Their number only grows, and lost leases must not wait for it."""
    files = {".trackside/stacks.yml": "version: 1\nstacks:\n  - name: odd\n    project_root: odd\n", "README.md": "#\n"}
    outbox.world.push(outbox.repo, files, "Nothing for odd")
    outbox.deliver()
    with outbox.world.plane.store.begin() as tx:
        tx._connection.execute(text("SET LOCAL session_replication_role = replica"))
        tx._connection.execute(text("UPDATE decisions SET created_at = created_at - interval '40 days'"))
    outbox.world.plane.tasks.sweep()
    assert outbox.world.sql("SELECT verdict FROM decisions WHERE stack_name = 'odd'") == [("ignore",)]
    outbox.world.plane.tasks.tidy()
    assert outbox.world.sql("SELECT verdict FROM decisions WHERE stack_name = 'odd'") == []
