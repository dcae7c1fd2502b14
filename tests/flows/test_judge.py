"""Stacks are judged: the default policy without asking anybody, a policy that is not there closes the door."""

import sys

from app.core.decision import Verdict
from app.core.stack import PolicySpec, Stack
from app.flows.judge import Judge
from tests.flows.made import NoPolicies, case_of, stack

JUDGE = Judge(policies=NoPolicies())


def test_stacks_without_a_policy_are_judged_by_the_default_one() -> None:
    app, net = JUDGE.rule(case_of([stack("app"), stack("net")], ["app/main.tf"]))
    assert (app.answer.verdict, app.answer.reason, app.policy) == (Verdict.TRACK, "app/main.tf changed", "default")
    assert (net.answer.verdict, net.answer.reason) == (Verdict.IGNORE, "outside net")
    assert (app.is_run_wanted, net.is_run_wanted) == (True, False)


def test_what_cannot_be_compared_counts_as_changed_and_the_note_says_so() -> None:
    (app,) = JUDGE.rule(case_of([stack("app")], None))
    assert app.answer.verdict is Verdict.TRACK
    assert app.note == "bbbbbbb, the commit before, could not be had: everything counts as changed"


def test_a_policy_whose_text_is_not_kept_starts_nothing() -> None:
    policy = PolicySpec(name="mine", type="push", path="mine.rego", attach_all=True)
    (app,) = JUDGE.rule(case_of([stack("app", policies=(policy,))], ["app/main.tf"]))
    assert app.answer.verdict is Verdict.FAIL
    assert "policy mine gave no answer: missing" in app.answer.reason
    assert app.outcomes[0].failure.startswith("missing: ")


def test_the_cost_of_ten_thousand_stacks_grows_with_what_a_push_touches() -> None:
    """Counted in calls of functions, which no busy machine changes: a file costs look-ups, not one for each stack."""
    stacks = [stack(f"s{number}", root=f"infra/team{number % 100}/s{number}") for number in range(10_000)]
    files = [f"infra/team1/s{100 * (number % 50) + 1}/f{number}.tf" for number in range(200)]
    few_calls, few = calls_of(stacks, files[:2])
    many_calls, many = calls_of(stacks, files)
    assert (few, many) == (2, 50)
    assert many_calls - few_calls < 200 * 100
    assert many_calls < len(stacks) * 40


def calls_of(stacks: list[Stack], files: list[str]) -> tuple[int, int]:
    """How many functions are called to judge a push of these files, and how many stacks it touches."""
    case, calls = case_of(stacks, files), 0

    def count(_frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        rulings = JUDGE.rule(case)
    finally:
        sys.setprofile(before)
    return calls, sum(ruling.answer.verdict is Verdict.TRACK for ruling in rulings)
