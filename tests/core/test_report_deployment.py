"""A run as a deployment."""

from dataclasses import replace

import pytest

from app.core.reply import DeploymentState
from app.core.report import (
    deployment_report,
)
from app.core.run import Run, RunState, RunType
from tests.core.made import CONFIRMED, NO_CHANGES, RUN_ID, WAITING, run_in, view_of


def test_a_deployment_follows_its_run() -> None:
    view = replace(view_of(WAITING), environment="production", is_production=True)
    report = deployment_report(view)
    assert report is not None
    assert (report.environment, report.sha, report.task) == ("production", WAITING.head_sha, "trackside:network")
    assert report.description == "network at 3fa9c1d", "each plan has its counts in a status"
    assert report.payload == {"run": RUN_ID, "stack": "network", "tag": ""}
    assert report.is_production
    assert (report.state, report.state_description) == (DeploymentState.QUEUED, "waiting for confirmation")


def deployed(run: Run) -> tuple[str, str] | None:
    report = deployment_report(replace(view_of(run), environment="network"))
    return (report.state.value, report.state_description) if report else None


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (run_in(RunState.QUEUED), None),
        (run_in(RunState.PLANNING), None),
        (run_in(RunState.FAILED), None),
        (replace(run_in(RunState.FINISHED), plan=NO_CHANGES), None),
        (replace(WAITING, type=RunType.PROPOSED), None),
        (WAITING, ("queued", "waiting for confirmation")),
        (CONFIRMED, ("queued", "confirmed by bob")),
        (replace(CONFIRMED, state=RunState.APPLYING), ("in_progress", "applying +1 ~1 -1 · outputs ~1")),
        (replace(CONFIRMED, state=RunState.FINISHED), ("success", "applied: +1 ~1 -1 · outputs ~1")),
        (replace(CONFIRMED, state=RunState.FAILED, reason="a\nb"), ("failure", "a")),
        (replace(CONFIRMED, state=RunState.FAILED, reason="denied:\n  - a\n  - b"), ("failure", "denied: a")),
        (
            replace(CONFIRMED, state=RunState.FAILED, is_outcome_unknown=True),
            ("failure", "outcome unknown: the worker was lost while applying"),
        ),
        (replace(WAITING, state=RunState.DISCARDED, decided_by="bob"), ("inactive", "discarded by bob")),
        (replace(WAITING, state=RunState.REPLAN_REQUESTED, plan=None, plan_number=2), ("queued", "replan requested")),
        (replace(WAITING, state=RunState.FAILED, plan=None, plan_number=2, reason="x"), ("failure", "x")),
        (
            replace(WAITING, state=RunState.FINISHED, plan=NO_CHANGES, plan_number=2),
            ("inactive", "no changes any more"),
        ),
        (replace(WAITING, state=RunState.FINISHED), ("inactive", "planned only: nothing was applied")),
    ],
)
def test_deployment_states(run: Run, expected: tuple[str, str] | None) -> None:
    assert deployed(run) == expected


def test_where_everybody_reads_it_the_engines_words_stay_on_the_page() -> None:
    failed = replace(CONFIRMED, state=RunState.FAILED, reason="creating bucket payroll: denied")
    report = deployment_report(replace(view_of(failed), environment="production", is_veiled=True))
    assert report is not None
    assert report.state_description == "failed: the run's page says why"


def test_a_stack_without_an_environment_has_no_deployments() -> None:
    assert deployment_report(view_of(WAITING)) is None
