"""Runs, stacks and plans to look at: one that waits for a person, one that failed, and one full of hostile text."""

from datetime import UTC, datetime, timedelta

from app.core.event import Repository
from app.core.names import AssignmentId, ConfigVersionId, Digest, InstallationId, RepositoryId, RunId, Sha, StackId
from app.core.notice import Channel, Message, Outcome
from app.core.plan import MASK, UNKNOWN, Action, Attribute, Change, Counts, Delta, Kind, PlanSummary
from app.core.protocol import Phase
from app.core.record import LogChunk, RunFacts
from app.core.review import PlanReview
from app.core.run import Plan, Run, RunState, RunType, Step, Transition, Trigger
from app.core.stack import Stack, StackSettings
from app.web.doors import RunDetail, StackDetail
from tests.web.memory import STACK, World

RUN = "01JD00000000000000000000R1"
AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SHA = Sha("a1b2c3d4e5" * 4)
EVIL = "<script>alert(1)</script>\"'&{{ 7*7 }}\u202egnp.exe\x1b[31m\x00"
REPOSITORY = Repository(
    id=RepositoryId(1),
    owner="acme",
    name="infrastructure",
    default_branch="main",
    is_private=True,
    installation_id=InstallationId(7),
)


def attribute(name: str, before: str | None = None, after: str | None = None, *, forces: bool = False) -> Attribute:
    """One attribute of a change."""
    return Attribute(name=name, before=before, after=after, forces_replacement=forces)


CHANGES = (
    Change(
        number=1,
        kind=Kind.RESOURCE,
        action=Action.DELETE,
        address='module.legacy["eu-west-1"].terraform_data.queue',
        reason="delete_because_no_module",
        attributes=(attribute("input", '{"name":"orders","retention_days":14}'), attribute("id", '"6f2c"')),
    ),
    Change(
        number=2,
        kind=Kind.RESOURCE,
        action=Action.REPLACE,
        address="terraform_data.database",
        reason="replace_because_cannot_update",
        attributes=(
            attribute("id", '"0f9e7a54"', UNKNOWN),
            attribute("triggers_replace", '["15.4"]', '["16.1"]', forces=True),
            attribute("password", MASK, MASK),
        ),
    ),
    Change(
        number=3,
        kind=Kind.RESOURCE,
        action=Action.CREATE,
        address='module.app["api"].terraform_data.service',
        attributes=(
            attribute(
                "input", None, '{"replicas":3,"image":"registry/api:1.8.2","env":{"LOG":"info","REGION":"eu-west-1"}}'
            ),
            attribute("user_data", None, '"#!/bin/sh\\nset -e\\nexec /srv/api --port 8080\\n"'),
            attribute("id", None, UNKNOWN),
        ),
    ),
    Change(
        number=4,
        kind=Kind.RESOURCE,
        action=Action.UPDATE,
        address="terraform_data.network",
        previous_address="terraform_data.net",
        attributes=(attribute("input", '{"cidr":"10.0.0.0/16"}', '{"cidr":"10.8.0.0/16"}'),),
        attributes_left_out=2,
    ),
    Change(
        number=5,
        kind=Kind.OUTPUT,
        action=Action.CREATE,
        address="api_url",
        attributes=(attribute("value", None, '"https://api.example.org"'),),
    ),
)
DELTA = Delta(resources=Counts(create=1, update=1, replace=1, delete=1), outputs=Counts(create=1))


def run(state: RunState = RunState.UNCONFIRMED, **changes: object) -> Run:
    """A run of stack network, with a plan unless told otherwise."""
    given: dict[str, object] = {
        "id": RunId(RUN),
        "stack_id": StackId(STACK),
        "stack_name": "network",
        "repository_id": REPOSITORY.id,
        "type": RunType.TRACKED,
        "state": state,
        "head_sha": SHA,
        "source_sha": SHA,
        "ref": "refs/heads/main",
        "head_seq": 3,
        "stack_digest": Digest("5" * 64),
        "config_version_id": ConfigVersionId("01JD00000000000000000000C1"),
        "decision_id": None,
        "trigger": Trigger.PUSH,
        "triggered_by": "alice",
        "message": "Move the network to 10.8.0.0/16 and add the api service",
        "created_at": AT,
        "updated_at": AT + timedelta(minutes=2),
        "plan": Plan(
            number=1,
            digest=Digest("c0ffee" * 10 + "0000"),
            delta=DELTA,
            has_changes=True,
            engine="terraform 1.11.4",
            created_at=AT + timedelta(minutes=1),
        ),
    }
    return Run(**(given | changes))  # type: ignore[arg-type]  # a fixture's dictionary


def history(*ends: tuple[RunState, Step, RunState, str, str]) -> tuple[Transition, ...]:
    """Lines of a history, ten seconds apart."""
    return tuple(
        Transition(before=before, step=step, after=after, by=by, at=AT + timedelta(seconds=10 * number), cause=cause)
        for number, (before, step, after, by, cause) in enumerate(ends, start=1)
    )


TO_UNCONFIRMED = history(
    (RunState.QUEUED, Step.RELEASE, RunState.READY, "trackside", ""),
    (RunState.READY, Step.CLAIM, RunState.PREPARING, "worker ci-7/1", ""),
    (RunState.PREPARING, Step.INITIALIZE, RunState.INITIALIZING, "worker ci-7/1", ""),
    (RunState.INITIALIZING, Step.PLAN, RunState.PLANNING, "worker ci-7/1", ""),
    (RunState.PLANNING, Step.AWAIT, RunState.UNCONFIRMED, "worker ci-7/1", "the plan has changes"),
)


def facts(**changes: object) -> RunFacts:
    """Facts of a run that nothing is in the way of."""
    given: dict[str, object] = {"blocked_by": None, "stack_head_seq": 3, "stack_digest": "5" * 64}
    return RunFacts(**(given | changes))  # type: ignore[arg-type]  # a fixture's dictionary


def detail(made: Run | None = None, **changes: object) -> RunDetail:
    """A run with all that its page shows."""
    given: dict[str, object] = {
        "run": made or run(),
        "facts": facts(),
        "blocked_by": None,
        "history": TO_UNCONFIRMED,
        "summary": PlanSummary(delta=DELTA, changes=CHANGES),
        "repository": REPOSITORY,
    }
    return RunDetail(**(given | changes))  # type: ignore[arg-type]  # a fixture's dictionary


def stack(**changes: object) -> Stack:
    """Stack network."""
    given: dict[str, object] = {
        "id": StackId(STACK),
        "repository_id": REPOSITORY.id,
        "settings": StackSettings(
            name="network",
            project_root="infra/network",
            branch="main",
            environment={"TF_VAR_password": "hunter2hunter2"},
        ),
        "policies": (),
        "config_version_id": ConfigVersionId("01JD00000000000000000000C1"),
        "is_detached": False,
        "state_mode": None,
        "head_sha": SHA,
        "head_seq": 3,
    }
    return Stack(**(given | changes))  # type: ignore[arg-type]  # a fixture's dictionary


def log(*texts: bytes) -> list[LogChunk]:
    """Chunks of one assignment's log."""
    chunks, offset = [], 0
    for text in texts:
        assignment = AssignmentId("01JD00000000000000000000A1")
        chunks.append(LogChunk(assignment_id=assignment, phase=Phase.PLAN, offset=offset, text=text))
        offset += len(text)
    return chunks


LOG = log(
    "── fetch ──\ncommit a1b2c3d\n── init ──\n".encode(),
    "Terraform has been successfully initialized!\n── plan ──\n".encode(),
    b"\x1b[1mterraform_data.network: Plan to update\x1b[0m\nPlan: 2 to add, 1 to change, 2 to destroy.\n",
)


def put(world: World, made: RunDetail | None = None) -> None:
    """Put one run with its stack and log on the shelf."""
    shown = made or detail()
    world.shelf.runs[shown.run.id] = shown
    world.shelf.stacks[STACK] = StackDetail(stack=stack(), repository=REPOSITORY, runs=(shown.run,))
    world.shelf.logs[shown.run.id] = LOG


def message(channel: Channel, outcome: Outcome, **more: object) -> Message:
    """Somebody who was told of the run."""
    given: dict[str, object] = {
        "id": "01JD00000000000000000000M1",
        "run_id": RunId(RUN),
        "step_id": 1,
        "channel": channel,
        "policy": "tell",
        "outcome": outcome,
        "created_at": AT,
    }
    return Message(**(given | more))  # type: ignore[arg-type]  # a fixture's dictionary


def review(
    author: str, *, plan_number: int = 2, is_approval: bool = True, note: str = "", role: str = ""
) -> PlanReview:
    """What somebody said of a plan."""
    return PlanReview(
        run_id=RunId(RUN),
        plan_number=plan_number,
        state=RunState.UNCONFIRMED,
        author=author,
        is_approval=is_approval,
        note=note,
        at=AT,
        role=role,
        source="comment",
    )


def hostile() -> RunDetail:
    """A run in which every text that comes from outside is hostile."""
    change = Change(
        number=1,
        kind=Kind.RESOURCE,
        action=Action.UPDATE,
        address=f"a.b[{EVIL}]",
        previous_address=EVIL,
        import_id=EVIL,
        reason=EVIL,
        attributes=(attribute(EVIL, EVIL, f'"{EVIL}"'), attribute("b", '{"x": "</pre><script>"}', "</pre><img src=x>")),
    )
    made = run(
        stack_name=EVIL,
        message=EVIL,
        triggered_by=EVIL,
        ref=f"refs/heads/{EVIL}",
        reason=EVIL,
        decided_by=EVIL,
    )
    lines = history((RunState.QUEUED, Step.RELEASE, RunState.READY, EVIL, EVIL))
    outputs = b'[{"name": "<script>o</script>", "value": "\\"<script>v</script>\\""}]'
    return detail(
        made,
        summary=PlanSummary(delta=DELTA, changes=(change,)),
        history=lines,
        facts=facts(outputs=outputs, stack_hold=EVIL),
        messages=(
            message(Channel.INBOX, Outcome.SHOWN, policy=EVIL, title=EVIL, body=f"</pre>{EVIL}", severity=EVIL),
            message(Channel.WEBHOOK, Outcome.REFUSED, to=EVIL, reason=EVIL),
        ),
        reviews=(review(EVIL, plan_number=1, note=EVIL, role=EVIL),),
        pull_number=7,
        pull_title=EVIL,
    )
