"""Several push policies on one stack: what they say together, and the words for it."""

from collections.abc import Mapping
from typing import Any

import pytest

from app.core.contract import CONTRACTS, Evaluated, Fired, PolicyFailed, PolicyType, RuleKind
from app.core.contract_push import LockOutcome, PolicyReceipt, PushAnswer, combine, turn_lock

_NOTHING: Mapping[RuleKind, Any] = {RuleKind.BOOL: False, RuleKind.TEXT: None, RuleKind.TEXTS: []}


def says(name: str, *, line: int = 3, errors: Mapping[str, str] | None = None, **rules: Any) -> PolicyReceipt:
    """A policy that says these rules, each in that line."""
    every = {rule: _NOTHING[kind] for rule, kind in CONTRACTS[PolicyType.PUSH].rules.items()} | rules
    fired = tuple(Fired(rule, line) for rule in rules)
    return PolicyReceipt(name, Evaluated(rules=every, fired=fired, errors_by_rule=errors or {}))


TRACK, PROPOSE, IGNORE = says("a", track=True), says("b", propose=True), says("c", ignore=True, line=12)
BROKEN = PolicyReceipt("d", PolicyFailed(kind="timeout", message="no answer after 10 s"))
TABLE = [
    ([TRACK], "track", "policy a said track (line 3)"),
    ([PROPOSE], "propose", "policy b said propose (line 3)"),
    ([TRACK, PROPOSE], "track", "policy a said track (line 3)"),
    ([TRACK, PROPOSE, IGNORE], "ignore", "policy c said ignore (line 12)"),
    ([TRACK, says("e", ignore_track=True)], "ignore", "policy e said ignore_track (line 3)"),
    (
        [TRACK, PROPOSE, says("e", ignore_track=True)],
        "propose",
        "policy b said propose (line 3); policy e said ignore_track (line 3)",
    ),
    (
        [TRACK, says("e", notrigger=True)],
        "track",
        "policy a said track (line 3); policy e said notrigger (line 3): no run",
    ),
    ([PROPOSE, says("e", notrigger=True)], "propose", "policy b said propose (line 3)"),
    ([says("e"), says("f")], "ignore", "no policy said track or propose (e, f)"),
    ([], "ignore", "no policy was asked"),
    ([TRACK, BROKEN], "fail", "policy d gave no answer: timeout: no answer after 10 s"),
    ([IGNORE, BROKEN], "fail", "policy d gave no answer: timeout: no answer after 10 s"),
    (
        [TRACK, says("e", errors={"ignore": "line 4: eval_type_error: count: null"})],
        "fail",
        "policy e gave no answer: rule ignore, line 4: eval_type_error: count: null",
    ),
    ([says("e", track=True, errors={"propose": "line 4: x"})], "track", "policy e said track (line 3)"),
    ([says("e", ignore=True, errors={"ignore": "line 4: x"})], "ignore", "policy e said ignore (line 3)"),
    (
        [says("e", track=True, lock="K1"), says("f", lock="K2")],
        "fail",
        "two policies ask for different locks: e asks for 'K1' and f asks for 'K2'",
    ),
]


@pytest.mark.parametrize(("receipts", "verdict", "reason"), TABLE, ids=lambda value: str(value)[:40])
def test_policies_together(receipts: list[PolicyReceipt], verdict: str, reason: str) -> None:
    answer = combine(receipts)
    assert (answer.verdict.value, answer.reason) == (verdict, reason)
    assert combine(list(reversed(receipts))).verdict is answer.verdict


def test_a_tag_that_nobody_tracks_is_named() -> None:
    assert combine([says("e")], tag="v1").reason == "tag v1 ignored: no policy tracks it"


def test_notrigger_moves_the_head_without_a_run_and_cancels_nothing() -> None:
    answer = combine([TRACK, says("e", notrigger=True, cancel=["R1"])])
    assert not answer.is_run_wanted
    assert answer.cancel == frozenset()
    assert combine([TRACK, says("e", cancel=["R1"]), says("f", cancel=["R2"])]).cancel == {"R1", "R2"}
    assert combine([IGNORE, says("e", cancel=["R1"])]).cancel == frozenset()


def test_sets_are_put_together_and_flags_keep_their_owners() -> None:
    answer = combine(
        [
            says("e", propose=True, flag=["x", "y"], external_dependency=["d1"], message=["m1"]),
            says("f", flag=["x"], reset_flag=["z"], external_dependency=["d2", "d1"], message=["m2"], prioritize=True),
        ]
    )
    assert answer.flags == {"e": ("x", "y"), "f": ("x",)}
    assert answer.reset_flags == {"f": ("z",)}
    assert answer.external_dependencies == ("d1", "d2")
    assert answer.messages == ("m1", "m2")
    assert answer.is_prioritized


def test_an_ignored_event_is_reported_when_a_policy_wants_it() -> None:
    def reported(*receipts: PolicyReceipt) -> tuple[bool, bool]:
        answer = combine(receipts)
        return answer.is_reported, answer.is_failure_reported

    assert reported(IGNORE) == (False, False)
    assert reported(IGNORE, says("e", notify=True)) == (True, False)
    assert reported(IGNORE, says("e", message=["why"])) == (True, False)
    assert reported(IGNORE, says("e", fail=True)) == (True, True)
    assert reported(TRACK, says("e", fail=True, notify=True)) == (False, False)
    assert reported(TRACK, BROKEN) == (True, True)


def test_a_failed_policy_takes_locks_and_forks_with_it() -> None:
    answer = combine([says("e", propose=True, lock="K", allow_fork=True), BROKEN])
    assert (answer.lock, answer.is_fork_allowed, answer.is_run_wanted) == ("", False, False)


@pytest.mark.parametrize(
    ("held", "lock", "unlock", "outcome"),
    [
        ("", "", "", LockOutcome("")),
        ("", "K", "", LockOutcome("K")),
        ("K", "K", "", LockOutcome("K")),
        ("K", "J", "", LockOutcome("K", is_rejected=True)),
        ("K", "", "K", LockOutcome("")),
        ("K", "", "J", LockOutcome("K")),
        ("", "", "K", LockOutcome("")),
        ("", "K", "K", LockOutcome("")),
    ],
)
def test_a_lock_turns(held: str, lock: str, unlock: str, outcome: LockOutcome) -> None:
    answer: PushAnswer = combine([says("e", propose=True, lock=lock or None, unlock=unlock or None)])
    assert turn_lock(held, answer) == outcome
