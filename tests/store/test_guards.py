"""The database refuses by itself what must never be: each guard is tried with raw SQL, past all of our code."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from procrastinate.schema import migrations_path
from sqlalchemy import create_engine

from app.core.errors import UserError
from app.core.names import AssignmentId
from app.core.record import ReportKind
from app.core.run import Run, RunState, RunType, Step, Transition, advance
from app.measure import readiness
from app.store import migrations
from app.store.artifacts_disk import DiskArtifacts
from app.store.migrations import migrate, pending_migrations
from app.store.postgres import PostgresStore
from app.store.schema import metadata
from app.store.url import engine_url
from tests.database import made_store
from tests.store.world import (
    NOW,
    PLAN_DIGEST,
    REPOSITORY,
    bring_to_confirmed,
    bring_to_unconfirmed,
    hold_of,
    make_ready_run,
    make_run,
    make_stack,
    run_of,
    step,
)

Connection = psycopg.Connection[tuple[object, ...]]
VERSIONS = sorted(path.name[1:5] for path in Path(migrations.__file__).parent.glob("versions/v*.py"))
"""Every migration's number, in the order in which they are applied."""


@pytest.fixture
def sql(database_url: str) -> Iterator[Connection]:
    """A plain connection in autocommit."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def replanned(run: Run) -> tuple[Run, Transition]:
    """The change that asks for the next plan."""
    return advance(replace(run, plan=None, plan_number=2), Step.REPLAN, by="ada", at=NOW)


def refused(sql: Connection, statement: str, *, by: str) -> None:
    """The statement is refused by the guard of that name (or with those words)."""
    with pytest.raises(psycopg.IntegrityError, match=by):
        sql.execute(statement.encode())


def test_an_ended_run_is_never_changed_or_deleted(store: PostgresStore, sql: Connection) -> None:
    run = make_run(store, make_stack(store))
    with store.begin() as tx:
        tx.change_run(run.id, step(Step.CANCEL))
    refused(sql, "UPDATE runs SET state = 'ready'", by="has ended as canceled")
    refused(sql, "UPDATE runs SET reason = 'another'", by="has ended")
    refused(sql, "UPDATE runs SET sealed_data_key = 'new'", by="has ended")
    refused(sql, "DELETE FROM runs", by="append-only")
    sql.execute("UPDATE runs SET sealed_outputs = 'once'")
    refused(sql, "UPDATE runs SET sealed_outputs = 'twice'", by="has ended")


def test_what_a_run_is_about_never_changes(store: PostgresStore, sql: Connection) -> None:
    make_run(store, make_stack(store))
    refused(sql, "UPDATE runs SET head_sha = repeat('b', 40)", by="what it is about")
    refused(sql, "UPDATE runs SET stack_digest = repeat('b', 64)", by="what it is about")
    refused(sql, "UPDATE runs SET fencing = -1", by="what it is about")
    refused(sql, "UPDATE runs SET head_seq = 99", by="what it is about")
    refused(sql, "UPDATE runs SET retry_of = id", by="what it is about")
    refused(sql, "UPDATE runs SET ref = 'refs/heads/evil'", by="what it is about")
    refused(sql, "UPDATE runs SET triggered_by = 'eve'", by="what it is about")


def test_history_audit_decisions_and_confirmations_are_append_only(store: PostgresStore, sql: Connection) -> None:
    run = make_ready_run(store)
    with store.begin() as tx:
        bring_to_confirmed(tx, run.id)
    sql.execute(
        "INSERT INTO audit (at, actor, source, command, is_allowed, reason) VALUES (now(), 'ada', 'cli', 'x', true, '')"
    )
    for table in ("run_steps", "audit", "confirmations"):
        refused(sql, f"DELETE FROM {table}", by="append-only")  # noqa: S608 - our own words only
    refused(sql, "UPDATE run_steps SET by = 'eve'", by="append-only")
    refused(sql, "UPDATE audit SET actor = 'eve'", by="append-only")
    refused(sql, "UPDATE confirmations SET actor = 'eve'", by="append-only")
    refused(sql, "TRUNCATE run_steps", by="append-only")
    refused(sql, "TRUNCATE audit", by="append-only")


def test_nothing_is_confirmed_without_a_digest_and_a_confirmation_of_that_plan(
    store: PostgresStore, sql: Connection
) -> None:
    run = make_ready_run(store)
    with store.begin() as tx:
        bring_to_unconfirmed(tx, run.id)
    for state in ("confirmed", "preparing_apply", "applying"):
        refused(sql, f"UPDATE runs SET state = '{state}'", by="confirmed_by_digest")  # noqa: S608 - our own words only
    refused(
        sql,
        f"UPDATE runs SET state = 'confirmed', confirmed_digest = '{PLAN_DIGEST}'",  # noqa: S608 - our own words only
        by="fk_runs_id_current_plan_confirmed_digest",
    )


def test_a_confirmation_is_of_an_existing_plan_of_this_commit_and_these_settings(
    store: PostgresStore, sql: Connection
) -> None:
    run = make_ready_run(store)
    with store.begin() as tx:
        bring_to_unconfirmed(tx, run.id)
    good = {"head": "head_sha", "settings": "stack_digest", "digest": f"'{PLAN_DIGEST}'"}
    insert = (
        "INSERT INTO confirmations (run_id, plan_number, plan_digest, head_sha, stack_digest, actor, at)"
        " SELECT id, 1, {digest}, {head}, {settings}, 'eve', now() FROM runs"
    )
    refused(sql, insert.format(**good | {"head": "repeat('b', 40)"}), by="another commit")
    refused(sql, insert.format(**good | {"settings": "repeat('b', 64)"}), by="another commit or other settings")
    refused(sql, insert.format(**good | {"digest": "repeat('b', 64)"}), by="fk_confirmations")
    sql.execute(insert.format(**good).encode())
    refused(sql, insert.format(**good), by="pk_confirmations")


def test_a_confirmation_is_of_the_newest_plan_while_it_waits(store: PostgresStore, sql: Connection) -> None:
    run = make_ready_run(store)
    with store.begin() as tx:
        bring_to_unconfirmed(tx, run.id)
    insert = (
        "INSERT INTO confirmations (run_id, plan_number, plan_digest, head_sha, stack_digest, actor, at)"  # noqa: S608
        f" SELECT id, 1, '{PLAN_DIGEST}', head_sha, stack_digest, 'eve', now() FROM runs"
    )
    with store.begin() as tx:
        tx.change_run(run.id, replanned)
    refused(sql, insert, by="plan 1 does not wait for one")
    with store.begin() as tx:
        tx.change_run(run.id, step(Step.DISCARD))
    refused(sql, insert.replace("id, 1,", "id, 2,"), by="plan 2 does not wait for one")


@pytest.mark.parametrize("kind", [RunType.PROPOSED, RunType.DRIFT])
@pytest.mark.parametrize("state", ["unconfirmed", "confirmed", "preparing_apply", "applying"])
def test_what_changes_no_state_is_never_applied(
    store: PostgresStore, sql: Connection, kind: RunType, state: str
) -> None:
    make_run(store, make_stack(store), state=RunState.PLANNING, kind=kind)
    refused(sql, f"UPDATE runs SET state = '{state}', confirmed_digest = 'x'", by="ck_runs_")  # noqa: S608 - ours


ASSIGN = (
    "INSERT INTO assignments (id, run_id, stack_id, phase, fencing, worker, pool, token_hash, state_token_hash,"
    " is_state_read_only, lease_until)"
    " SELECT 'hold', id, stack_id, '{phase}', 1, 'w', 'default', 't', 's', {read_only}, now() FROM runs"
)


def test_a_fork_s_commit_is_assigned_to_be_validated_and_nothing_else_is(store: PostgresStore, sql: Connection) -> None:
    stack = make_stack(store)
    fork = replace(run_of(stack, state=RunState.PREPARING, kind=RunType.PROPOSED), is_from_fork=True)
    with store.begin() as tx:
        tx.add_run(fork, event_key=None)
    for phase in ("plan", "apply"):
        refused(sql, ASSIGN.format(phase=phase, read_only="true"), by=f"not there to {phase}")
    refused(sql, ASSIGN.format(phase="validate", read_only="false"), by="not there to validate")
    sql.execute(ASSIGN.format(phase="validate", read_only="true").encode())


def test_an_apply_is_assigned_for_a_confirmed_run_alone_and_a_preview_writes_no_state(
    store: PostgresStore, sql: Connection
) -> None:
    make_run(store, make_stack(store), state=RunState.PREPARING, kind=RunType.PROPOSED)
    for phase, read_only in (("apply", "true"), ("validate", "true"), ("plan", "false")):
        refused(sql, ASSIGN.format(phase=phase, read_only=read_only), by=f"not there to {phase}")
    sql.execute(ASSIGN.format(phase="plan", read_only="true").encode())


def test_what_an_assignment_is_for_never_changes_and_its_end_stands(store: PostgresStore, sql: Connection) -> None:
    make_run(store, make_stack(store), state=RunState.READY, kind=RunType.PROPOSED)
    with store.begin() as tx:
        assert tx.claim("default", hold_of(), step(Step.CLAIM)) is not None
    for change in ("phase = 'apply'", "fencing = 9", "token_hash = 'eve'", "is_state_read_only = false"):
        refused(sql, f"UPDATE assignments SET {change}", by="what it is for")  # noqa: S608 - our own words only
    sql.execute("UPDATE assignments SET ended_at = now()")
    refused(sql, "UPDATE assignments SET ended_at = NULL", by="and its end, cannot change")


def test_a_plan_that_was_shown_stays_what_it_was(store: PostgresStore, sql: Connection) -> None:
    run = make_ready_run(store)
    with store.begin() as tx:
        bring_to_unconfirmed(tx, run.id)
    refused(sql, "UPDATE plans SET digest = repeat('b', 64)", by="shown to a person")
    refused(sql, "UPDATE plans SET is_frozen = false", by="shown to a person")
    with store.begin() as tx:
        tx.mark_plan_published(run.id, 1)
    first = sql.execute("SELECT published_at FROM plans").fetchone()
    with store.begin() as tx:  # a command may mean it later than it was told, never earlier
        comment = tx.want_report(ReportKind.COMMENT, REPOSITORY.id, "7", run_id=None, document=b"")
        tx.save_remote(comment, "comment", remote_id=7, published="a" * 64, is_completed=True)
        tx.mark_plan_shown(run.id, 1, comment)
    assert sql.execute("SELECT published_at FROM plans").fetchone() != first
    refused(sql, "UPDATE plans SET published_at = published_at - interval '1 s'", by="shown to a person")
    refused(sql, "UPDATE plans SET published_at = NULL", by="shown to a person")
    refused(sql, "UPDATE plans SET state_serial = 7", by="shown to a person")
    refused(sql, "UPDATE plans SET state_lineage = 'another'", by="shown to a person")
    refused(sql, "UPDATE runs SET targeting = '{}'", by="what its plan is restricted to")


def test_a_stack_has_one_state_changing_run_and_any_number_of_queued_and_proposed_ones(
    store: PostgresStore, sql: Connection
) -> None:
    stack = make_stack(store)
    first = make_run(store, stack, state=RunState.READY)
    second = make_run(store, stack)
    make_run(store, stack, state=RunState.READY, kind=RunType.PROPOSED)
    refused(sql, f"UPDATE runs SET state = 'ready' WHERE id = '{second.id}'", by="ux_runs_one_state_changing")  # noqa: S608 - ours
    with store.begin() as tx:
        tx.change_run(first.id, step(Step.CANCEL))
        tx.change_run(second.id, step(Step.RELEASE))


def test_a_worker_makes_a_state_current_only_while_its_run_applies(store: PostgresStore, sql: Connection) -> None:
    run = make_ready_run(store)
    write = (
        "INSERT INTO state_versions (id, stack_id, serial, lineage, digest, size_bytes, artifact_key, assignment_id,"
        " is_quarantined, created_at) SELECT %s || state || 'x', stack_id, 1, 'l', repeat('e', 64), 1, %s || state,"
        " (SELECT max(id) FROM assignments WHERE run_id = runs.id), %s, now() FROM runs"
    )

    def writes(name: str, *, is_quarantined: bool) -> None:
        sql.execute(write.encode(), (name, name, is_quarantined))

    with store.begin() as tx:
        assert tx.claim("default", hold_of(number="a1"), step(Step.CLAIM)) is not None
    with pytest.raises(psycopg.IntegrityError, match="assignment a1 does not apply"):
        writes("planned", is_quarantined=False)
    writes("apart", is_quarantined=True)
    with store.begin() as tx:
        tx.change_run(run.id, step(Step.LOSE))
        tx.end_assignment(AssignmentId("a1"))
        bring_to_confirmed(tx, run.id)
        assert tx.claim("default", hold_of(number="z9"), step(Step.CLAIM)) is not None
    with pytest.raises(psycopg.IntegrityError, match="does not apply"):
        writes("before", is_quarantined=False)
    with store.begin() as tx:
        tx.change_run(run.id, step(Step.APPLY))
    writes("applied", is_quarantined=False)
    refused(sql, "UPDATE state_versions SET is_quarantined = false, assignment_id = 'a1'", by="a1 does not apply")
    with store.begin() as tx:
        tx.end_assignment(AssignmentId("z9"))
    with pytest.raises(psycopg.IntegrityError, match="z9 does not apply"):
        writes("late", is_quarantined=False)


def test_a_run_has_one_live_assignment_and_each_fencing_number_once(store: PostgresStore, sql: Connection) -> None:
    make_ready_run(store)
    with store.begin() as tx:
        assert tx.claim("default", hold_of(), step(Step.CLAIM)) is not None
    copy = (
        "INSERT INTO assignments (id, run_id, stack_id, phase, fencing, worker, pool, token_hash, state_token_hash,"
        " is_state_read_only, lease_until, ended_at) SELECT 'other', run_id, stack_id, phase, {fencing}, worker, pool,"
        " token_hash, state_token_hash, false, lease_until, {ended} FROM assignments"
    )
    refused(sql, copy.format(fencing="fencing + 1", ended="NULL"), by="ux_assignments_live")
    refused(sql, copy.format(fencing="fencing", ended="now()"), by="uq_assignments_run_id_fencing")


def test_words_outside_the_enums_are_refused(store: PostgresStore, sql: Connection) -> None:
    make_run(store, make_stack(store))
    refused(sql, "UPDATE runs SET state = 'dreaming'", by="ck_runs_state")
    refused(sql, "UPDATE runs SET obstacle = 'whim'", by="ck_runs_obstacle")
    refused(sql, "UPDATE reports SET kind = 'rumour'", by="ck_reports_kind")
    refused(sql, "UPDATE stacks SET state_mode = 'lost'", by="ck_stacks_state_mode")


def test_names_of_live_stacks_are_unique_but_may_be_swapped_in_one_commit(
    store: PostgresStore, sql: Connection
) -> None:
    one, two = make_stack(store, "one"), make_stack(store, "two")
    refused(sql, "UPDATE stacks SET name = 'one'", by="ex_stacks_name")
    with sql.transaction():
        sql.execute("UPDATE stacks SET name = 'two' WHERE id = %s", (one.id,))
        sql.execute("UPDATE stacks SET name = 'one' WHERE id = %s", (two.id,))
    sql.execute("UPDATE stacks SET is_detached = true, name = 'one' WHERE id = %s", (one.id,))


# migrations


def test_a_database_is_made_from_nothing_and_the_second_time_changes_nothing(empty_database_url: str) -> None:
    assert pending_migrations(empty_database_url) == VERSIONS
    migrate(empty_database_url)
    assert pending_migrations(empty_database_url) == []
    migrate(empty_database_url)
    assert pending_migrations(empty_database_url) == []
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for asked in (migrate, pending_migrations):
        with pytest.raises(UserError, match="it is at version 9999, which a newer release than this one made; install"):
            asked(empty_database_url)


def test_readiness_tells_a_database_that_is_away_from_one_of_another_version(
    store: PostgresStore, database_url: str, tmp_path: Path
) -> None:
    artifacts = DiskArtifacts(tmp_path)
    assert readiness(store, artifacts) == {"database": "", "migrations": "", "artifacts": ""}
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", (VERSIONS[-2],))
    told = f"{VERSIONS[-1]} missing: run `trackside migrate`"
    assert readiness(store, artifacts) == {"database": "", "migrations": told, "artifacts": ""}
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "a newer release" in readiness(store, artifacts)["migrations"]
    with made_store("postgresql://postgres@127.0.0.1:1/none?connect_timeout=1", pool_size=1) as nowhere:
        told = readiness(nowhere, artifacts)["migrations"]
        assert told == "not looked at: the database comes first"
        assert readiness(nowhere, artifacts)["database"]


def test_the_migrations_make_what_the_schema_says(database_url: str, empty_database_url: str) -> None:
    engine = create_engine(engine_url(empty_database_url))
    metadata.create_all(engine)
    engine.dispose()
    questions = (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint",
        "SELECT tablename, indexname, indexdef FROM pg_indexes",
        (
            "SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity"
            " FROM information_schema.columns"
        ),
    )
    for question in questions:
        made = []
        for url in (database_url, empty_database_url):
            with psycopg.connect(url) as connection:
                rows = connection.execute(question.encode()).fetchall()
            made.append({row for row in rows if row[0] in metadata.tables})
        assert made[0]
        assert made[0] == made[1]


def test_procrastinate_brings_no_migration_that_ours_does_not_know() -> None:
    newest = max(path.name for path in migrations_path.glob("*.sql"))
    assert newest == "03.04.00_50_post_add_retry_failed_job_procedure.sql"
