"""What time does: each thing for itself, and what only history needs not every few seconds."""

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import text
from ulid import ULID

from app.core.errors import BrokenError
from app.core.names import Digest
from app.core.record import StateVersion
from app.core.run import Run, RunState, RunType, Step, Transition, advance
from app.flows.held import archive_key
from app.flows.tidy import Kept, Tidy
from app.store.artifacts_disk import DiskArtifacts
from tests.database import made_database
from tests.flows.outbox import Outbox, open_outbox
from tests.store.world import plan_of

DAY = 86_400


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


def reviewed_preview(outbox: Outbox, name: str) -> Run:
    """A preview that waits for a review."""
    run = outbox.run(outbox.stack(name), kind=RunType.PROPOSED)
    hold = outbox.begin(run)
    with outbox.world.plane.store.begin() as tx:
        at = tx.now()

        def planned(found: Run) -> tuple[Run, Transition]:
            return advance(replace(found, plan=plan_of()), Step.REVIEW, by="w1", at=at)

        waiting = tx.change_run(run.id, planned)
        tx.end_assignment(hold)
    return waiting


def test_a_preview_that_nobody_reviews_expires_as_a_plan_does_and_says_how_to_get_the_next_one(outbox: Outbox) -> None:
    """Announced a day before, on the same check; then ended, and not as something that a branch rule lets pass."""
    run = reviewed_preview(outbox, "eyes")
    sweep = outbox.world.plane.tasks.sweep
    outbox.pass_time(5.9 * DAY)
    sweep()
    outbox.publish()
    check = outbox.repo.check_run(None, "plan/eyes")
    assert check is not None
    assert "expires" not in (check.summary or "")

    outbox.pass_time(0.2 * DAY)
    sweep()
    outbox.publish()
    assert outbox.checks("plan/eyes") == [("1", "completed", "action_required")]
    assert "Nobody has reviewed it yet: this preview expires, and is discarded, at 20" in (check.summary or "")

    outbox.pass_time(1.1 * DAY)
    sweep()
    outbox.publish()
    assert outbox.checks("plan/eyes") == [("1", "completed", "failure")]
    said = check.summary or ""
    assert "expired: nobody reviewed it within 7 days" in said
    assert f"`/trackside retry {run.id}` makes it once more, of the same commit." in said
    ended = outbox.world.runs("eyes")[0]
    assert (ended.state, ended.decided_by) == (RunState.DISCARDED, "")


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
    states = {name: outbox.world.runs(name)[0].state for name in ("stuck", "lost")}
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


def test_an_artifact_that_cannot_be_deleted_keeps_no_other(outbox: Outbox) -> None:
    """The older versions of a state go, though one of them is no file that could be deleted, and so do orphans."""
    stack, root = outbox.stack("stored"), outbox.world.root / "data" / "artifacts"
    with outbox.world.plane.store.begin() as tx:
        for number in range(3):
            made, name = tx.now(), str(ULID())
            key = f"state/{stack.id.lower()}/{name.lower()}"
            tx.add_state_version(
                StateVersion(
                    id=name,
                    stack_id=stack.id,
                    serial=number,
                    lineage="one",
                    digest=Digest("a" * 64),
                    size_bytes=1,
                    artifact_key=key,
                    assignment_id=None,
                    is_quarantined=False,
                    created_at=made,
                )
            )
            (root / key).mkdir(parents=True) if number == 0 else (root / key).write_bytes(b"x")
    orphan = root / "workspaces" / "01arz3ndektsv4rrffq69g5fav" / "1-0123456789abcdef"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"of nobody")
    os.utime(orphan, (0, 0))
    kept = Kept(logs_days=30, deliveries_days=30, decisions_days=30, state_versions=1)
    tidy = Tidy(store=outbox.world.plane.store, artifacts=DiskArtifacts(root), kept=kept)
    with pytest.raises(BrokenError, match="deleting artifact state/"):
        tidy.tidy()
    assert not orphan.exists()
    assert sum(path.is_file() for path in (root / "state").rglob("*")) == 1
