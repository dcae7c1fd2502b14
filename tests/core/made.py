"""Runs, plans and views as the tests of core need them: one ordinary example of each, to be varied with `replace`."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from app.core.names import ConfigVersionId, Digest, RepositoryId, RunId, Sha, StackId
from app.core.plan import UNKNOWN, Action, Attribute, Change, Counts, Delta, Kind, PlanSummary
from app.core.run import Plan, Run, RunState, RunType, Trigger
from app.core.runview import RunView

NOW: Final = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
RUN_ID: Final = RunId("01JDV3F4K5M6N7P8Q9R0S1T2V3")
DIGEST: Final = Digest("1a2b3c4d5e6f7a8b" * 4)
SETTINGS: Final = Digest("0" * 64)
DELTA: Final = Delta(resources=Counts(create=1, update=1, delete=1), outputs=Counts(update=1))
SUMMARY: Final = PlanSummary(
    delta=DELTA,
    changes=(
        Change(
            number=1,
            kind=Kind.RESOURCE,
            action=Action.DELETE,
            address="terraform_data.bastion",
            reason="delete_because_no_resource_config",
            attributes=(Attribute(name="input", before='"t3.micro"'),),
        ),
        Change(
            number=2,
            kind=Kind.RESOURCE,
            action=Action.UPDATE,
            address="terraform_data.vpc",
            attributes=(Attribute(name="input", before='"10.0.0.0/16"', after='"10.1.0.0/16"'),),
        ),
        Change(
            number=3,
            kind=Kind.RESOURCE,
            action=Action.CREATE,
            address='terraform_data.subnet["a"]',
            attributes=(Attribute(name="id", after=UNKNOWN),),
        ),
        Change(
            number=4,
            kind=Kind.OUTPUT,
            action=Action.UPDATE,
            address="vpc_id",
            attributes=(Attribute(name="value", before='"vpc-1"', after=UNKNOWN),),
        ),
    ),
)
PLAN: Final = Plan(
    number=1, digest=DIGEST, delta=DELTA, has_changes=True, engine="terraform 1.11.4", created_at=NOW, published_at=NOW
)
WAITING: Final = Run(
    id=RUN_ID,
    stack_id=StackId("01JDV3F4K5M6N7P8Q9R0S1T2S1"),
    stack_name="network",
    repository_id=RepositoryId(7),
    type=RunType.TRACKED,
    state=RunState.UNCONFIRMED,
    head_sha=Sha("3fa9c1d2" * 5),
    source_sha=Sha("3fa9c1d2" * 5),
    ref="refs/heads/main",
    head_seq=1,
    stack_digest=SETTINGS,
    config_version_id=ConfigVersionId("01JDV3F4K5M6N7P8Q9R0S1T2C1"),
    decision_id=None,
    trigger=Trigger.PUSH,
    triggered_by="alice",
    message="Move the VPC (#42)",
    created_at=NOW,
    updated_at=NOW,
    plan=PLAN,
)
"""A tracked run with a plan that waits for a person."""
CONFIRMED: Final = replace(WAITING, state=RunState.CONFIRMED, confirmed_digest=DIGEST, decided_by="bob")
"""The same run, confirmed by bob."""
NO_CHANGES: Final = replace(PLAN, delta=Delta(), has_changes=False)


def run_in(state: RunState) -> Run:
    """A run as it looks in a state: with a plan once it has one, confirmed once it must be."""
    if state in (RunState.CONFIRMED, RunState.PREPARING_APPLY, RunState.APPLYING):
        return replace(CONFIRMED, state=state)
    planned = (RunState.UNCONFIRMED, RunState.PENDING_REVIEW, RunState.DISCARDED, RunState.FINISHED)
    return replace(WAITING, state=state, plan=PLAN if state in planned else None)


def view_of(run: Run, *, summary: PlanSummary | None = None) -> RunView:
    """The run as its reports see it, with the plan of these tests."""
    shown = summary if summary is not None else SUMMARY if run.plan is not None else None
    return RunView(run=run, summary=shown, run_url="https://trackside.example/runs/01J")
