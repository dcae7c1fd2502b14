"""What store tests stand on: a repository, a configuration, stacks and runs, made through the store itself."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ulid import ULID

from app.core.event import Repository
from app.core.names import AssignmentId, ConfigVersionId, Digest, InstallationId, RepositoryId, RunId, Sha, StackId
from app.core.plan import Counts, Delta
from app.core.record import ConfigVersion, NewAssignment
from app.core.run import Plan, Run, RunState, RunType, Step, Transition, Trigger, advance, confirm
from app.core.stack import Stack, StackSettings, StackSpec
from app.store.postgres import PostgresStore, PostgresTransaction

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
REPOSITORY = Repository(
    id=RepositoryId(77),
    owner="acme",
    name="infra",
    default_branch="main",
    is_private=True,
    installation_id=InstallationId(5),
)
HEAD = Sha("a" * 40)
PLAN_DIGEST = Digest("d" * 64)
CONFIG = ConfigVersionId("01CONFIG")


def make_stack(store: PostgresStore, name: str = "network", *, pool: str = "default") -> Stack:
    """A stack of the repository, which is made with it."""
    with store.begin() as tx:
        tx.save_repository(REPOSITORY)
        tx.add_config_version(
            ConfigVersion(
                id=CONFIG, repository_id=REPOSITORY.id, sha=HEAD, digest=Digest("c" * 64), is_valid=True, problems=()
            )
        )
        settings = StackSettings(name=name, branch="main", github_environment=name, worker_pool=pool)
        return tx.add_stack(REPOSITORY.id, StackSpec(settings=settings), CONFIG)


def run_of(stack: Stack, *, state: RunState = RunState.QUEUED, kind: RunType = RunType.TRACKED, age_s: int = 0) -> Run:
    """A run of the stack, not saved yet."""
    made = NOW - timedelta(seconds=age_s)
    return Run(
        id=RunId(str(ULID())),
        stack_id=stack.id,
        stack_name=stack.name,
        repository_id=stack.repository_id,
        type=kind,
        state=state,
        head_sha=HEAD,
        source_sha=HEAD,
        ref="refs/heads/main",
        head_seq=1,
        stack_digest=stack.settings.digest(),
        config_version_id=CONFIG,
        decision_id=None,
        trigger=Trigger.PUSH,
        triggered_by="ada",
        message="change the network",
        created_at=made,
        updated_at=made,
    )


def make_run(
    store: PostgresStore,
    stack: Stack,
    *,
    state: RunState = RunState.QUEUED,
    kind: RunType = RunType.TRACKED,
    age_s: int = 0,
) -> Run:
    """A saved run of the stack."""
    run = run_of(stack, state=state, kind=kind, age_s=age_s)
    with store.begin() as tx:
        assert tx.add_run(run, event_key=None)
    return run


def make_ready_run(store: PostgresStore, name: str = "network") -> Run:
    """A ready run of a new stack."""
    return make_run(store, make_stack(store, name), state=RunState.READY)


def step(what: Step, *, by: str = "trackside", cause: str = "") -> Callable[[Run], tuple[Run, Transition]]:
    """The change that takes one step."""
    return lambda run: advance(run, what, by=by, at=NOW, cause=cause)


def plan_of(number: int = 1, digest: Digest = PLAN_DIGEST) -> Plan:
    """A plan with changes."""
    delta = Delta(resources=Counts(create=3, update=1))
    return Plan(number=number, digest=digest, delta=delta, has_changes=True, engine="terraform 1.11.4", created_at=NOW)


def with_plan(plan: Plan) -> Callable[[Run], tuple[Run, Transition]]:
    """The change that takes a plan in and waits for a person."""

    def change(run: Run) -> tuple[Run, Transition]:
        return advance(replace(run, plan=plan), Step.AWAIT, by="worker w1", at=NOW)

    return change


def hold_of(worker: str = "w1", *, lease_s: float = 60, number: str | None = None) -> NewAssignment:
    """What a claim brings along."""
    identity = AssignmentId(number or str(ULID()))
    return NewAssignment(
        id=identity, worker=worker, pool="default", token_hash="t", state_token_hash="s", lease_s=lease_s
    )


def bring_to_unconfirmed(tx: PostgresTransaction, run_id: RunId, plan: Plan | None = None) -> Run:
    """Claim the (only) ready run, plan it, and let it wait."""
    claimed = tx.claim("default", hold_of(), step(Step.CLAIM))
    assert claimed is not None
    assert claimed[0].id == run_id
    tx.change_run(run_id, step(Step.INITIALIZE))
    tx.change_run(run_id, step(Step.PLAN))
    waiting = tx.change_run(run_id, with_plan(plan or plan_of()))
    tx.end_assignment(claimed[1].id)
    return waiting


def bring_to_confirmed(tx: PostgresTransaction, run_id: RunId) -> Run:
    """The same, and a person confirms."""
    waiting = bring_to_unconfirmed(tx, run_id)
    tx.add_confirmation(confirm(waiting, stack_digest=waiting.stack_digest, actor="ada", at=NOW))

    def accept(run: Run) -> tuple[Run, Transition]:
        return advance(replace(run, confirmed_digest=PLAN_DIGEST, decided_by="ada"), Step.CONFIRM, by="ada", at=NOW)

    return tx.change_run(run_id, accept)


def stack_id_of(run: Run) -> StackId:
    """The run's stack."""
    return run.stack_id
