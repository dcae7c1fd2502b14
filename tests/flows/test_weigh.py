"""A plan is weighed: what cannot be judged is denied, and why is said; what cannot be asked waits for a person."""

from dataclasses import replace

import msgspec
import pytest

from app.core.environment import Environment
from app.core.errors import RetryableError, UserError
from app.core.event import Repository
from app.core.plan import PlanSummary
from app.core.planinput import PlanAsked
from app.core.planresources import Resources
from app.core.protocol import PlanReport
from app.core.ruling import Approval, Verdict, verdict_of
from app.core.run import Run, RunType
from app.core.stack import PolicySpec, Stack
from app.flows.weigh import OLD_WORKER, Ground, Weigh, Weighed
from app.github.client import GitHubApp
from tests.core.made import DIGEST, NOW, WAITING
from tests.flows.made import REPOSITORY, NoPolicies, stack

COST = PolicySpec(name="cost", type="plan", path="cost.rego", attach_all=True, digest="d1")
EYES = PolicySpec(name="eyes", type="approval", path="eyes.rego", attach_all=True, digest="d2")
REPORT = PlanReport(fencing=1, digest=DIGEST, engine="terraform 1.11.4", has_changes=True, summary=PlanSummary())


class Silent(GitHubApp):
    """GitHub as it is when it answers one question, or none."""

    def __init__(self, answer: Environment | Exception | None) -> None:
        self._answer = answer

    def find_environment(self, _repository: Repository, _name: str) -> Environment | None:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def is_branch_protected(self, _repository: Repository, _branch: str) -> bool:
        return False


def weighed(
    on: Stack, report: PlanReport = REPORT, *, run: Run = WAITING, github: Environment | Exception | None = None
) -> Weighed:
    """What is said of a plan of that stack, whose policies' texts are not kept."""
    asked = PlanAsked(
        repository=REPOSITORY, web_url="", at=NOW, stack=on, state=None, run=replace(run, plan=None), summary=None
    )
    weigh = Weigh(policies=NoPolicies(), github=Silent(github), web_url="")
    return weigh.handed_in(Ground(asked=asked, texts={}, reviews=()), report)


def failure(report: PlanReport) -> str:
    """Why the one plan policy denies what was handed in."""
    (ruling,) = weighed(stack(policies=(COST,)), report).plan.rulings
    assert ruling.is_denial
    return ruling.failure


def test_what_cannot_be_judged_is_denied_with_the_reason() -> None:
    assert failure(REPORT) == OLD_WORKER
    large = Resources(size_bytes=99_000_000)
    assert failure(msgspec.structs.replace(REPORT, resources=large)).startswith("the plan has 99,000,000 bytes")
    odd = Resources(changes=msgspec.Raw(b'{"resource_changes": []}'))
    assert failure(msgspec.structs.replace(REPORT, resources=odd)).startswith(
        "what the worker handed in cannot be read"
    )
    fine = Resources(changes=msgspec.Raw(b"[]"))
    assert failure(msgspec.structs.replace(REPORT, resources=fine)).startswith("missing: its text is not kept yet")


def test_a_stack_without_policies_is_judged_by_nobody_and_nobody_is_asked() -> None:
    assert verdict_of(weighed(stack()).plan.rulings) is Verdict.NONE
    weigh = Weigh(policies=NoPolicies(), github=Silent(None), web_url="")
    assert not weigh.is_needed(stack())
    assert weigh.is_needed(stack(policies=(EYES,)))


@pytest.mark.parametrize(
    ("kind", "has_changes", "is_asked"),
    [
        (RunType.TRACKED, True, True),
        (RunType.TRACKED, False, False),
        (RunType.DESTROY, True, True),
        (RunType.PROPOSED, True, False),
    ],
)
def test_reviews_are_asked_about_where_the_run_would_wait(kind: RunType, has_changes: bool, is_asked: bool) -> None:
    report = msgspec.structs.replace(REPORT, has_changes=has_changes)
    found = weighed(stack(policies=(EYES,)), report, run=replace(WAITING, type=kind)).reviewed.rulings
    assert [one.decision for one in found] == ([Approval.UNDECIDED] if is_asked else [])


@pytest.mark.parametrize(
    ("answer", "asks"),
    [
        (None, False),
        (Environment(name="app"), False),
        (Environment(name="app", teams=("platform",)), True),
        (Environment(name="app", obstacles=("a wait timer of 5 minutes",)), True),
        (RetryableError("reading environment app: no answer"), True),
        (UserError("reading environment app: needs actions: read"), True),
        (Environment(name="app", branches=("main",)), False),
        (Environment(name="app", branches=("release/*",)), True),
        (Environment(name="app", is_for_protected_branches=True), True),
    ],
)
def test_an_environment_that_asks_for_somebody_or_does_not_answer_keeps_autodeploy_from_confirming(
    answer: Environment | Exception | None, asks: bool
) -> None:
    made = stack()
    on = replace(made, settings=replace(made.settings, autodeploy=True, github_environment="app"))
    assert weighed(on, github=answer).environment_asks is asks
    assert not weighed(stack(), github=answer).environment_asks
