"""Many questions at once: answered as if each were asked alone, whatever becomes of those beside it."""

import time
from collections.abc import Mapping, Sequence

import pytest

from app.core.contract import Evaluated, PolicyFailed, PolicyQuestions, PolicyText, PolicyType
from app.policy.engine import PolicyEngine
from app.policy.pool import OpaPool
from tests.policy.asked import written

Said = Evaluated | PolicyFailed
ENDLESS = "count([1 | numbers.range(1, 20000)[_]; numbers.range(1, 20000)[_] == -1]) > 0"
SHARED: dict[str, object] = {"push": {"branch": "main", "affected_files": ["a/x"]}, "l": [1, 2]}
NAMED = written(
    'track if input.stack.branch == input.push.branch\nmessage contains input.stack.name\nflag contains "x" if input.l'
)


def ask(engine: PolicyEngine, *asked: tuple[PolicyText, Sequence[Mapping[str, object]]]) -> list[list[Said]]:
    """What the policies say to the shared question with each of the parts."""
    return engine.evaluate_all(SHARED, [PolicyQuestions(policy=policy, own=own) for policy, own in asked])


def plain(said: Said) -> object:
    """What matters of an answer: all but the time that it took."""
    if isinstance(said, PolicyFailed):
        return said.kind
    return said.rules, said.fired, said.prints, dict(said.errors_by_rule)


def test_every_question_gets_its_own_answer_in_its_place() -> None:
    """More questions than one message holds, to several policies, on two children; keys of their own win."""
    stacks: list[dict[str, object]] = [
        {"stack": {"name": f"s{number}", "branch": "main" if number % 3 else "dev"}} for number in range(150)
    ]
    stacks[7] |= {"push": {"branch": "dev"}}
    stacks[8] = {}
    stacks[9] |= {"odd": object()}
    failing = written("ignore if to_number(input.stack.name) > 1\ntrack := true")
    unread = written("track if {")
    with OpaPool(2) as pool:
        told = ask(pool, (NAMED, stacks), (failing, stacks[:20]), (unread, stacks[:2]), (NAMED, ()))
        alone = [
            [pool.evaluate(policy, SHARED | own) for own in owns]
            for policy, owns in ((NAMED, stacks), (failing, stacks[:20]), (unread, stacks[:2]))
        ]
    assert [[plain(said) for said in part] for part in told] == [
        *([plain(said) for said in part] for part in alone),
        [],
    ]
    assert plain(told[0][9]) == "contract"
    assert [len(part) for part in told] == [150, 20, 2, 0]


def test_one_that_never_ends_costs_its_own_time_and_nobody_elses() -> None:
    """The questions after it are asked afresh; each has the whole time of its type."""
    policy = written(f'message contains input.stack.name\ntrack if {{ input.stack.name == "bad"; {ENDLESS} }}')
    names = ["a", "bad", "b", "c", "bad", "d"]
    with OpaPool(1, timeouts_s=dict.fromkeys(PolicyType, 0.5)) as pool:
        ask(pool, (NAMED, [{}]))
        began = time.monotonic()
        (told,) = ask(pool, (policy, [{"stack": {"name": name}} for name in names]))
        spent_s = time.monotonic() - began
    said = [each.kind if isinstance(each, PolicyFailed) else each.rules["message"] for each in told]
    assert said == [["a"], "timeout", ["b"], ["c"], "timeout", ["d"]]
    assert 1.0 <= spent_s < 8


def test_three_in_a_row_put_it_aside_in_the_middle_of_an_event() -> None:
    policy = written(f"track if {ENDLESS}")
    with OpaPool(1, timeouts_s=dict.fromkeys(PolicyType, 0.2)) as pool:
        ask(pool, (NAMED, [{}]))
        bad, fine = ask(pool, (policy, [{}] * 6), (NAMED, [{"stack": {"name": "s", "branch": "main"}}]))
    assert [plain(said) for said in bad] == ["timeout"] * 3 + ["quarantined"] * 3
    assert isinstance(fine[0], Evaluated)
    assert fine[0].rules["track"] is True


def test_a_child_with_many_questions_gives_itself_back_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits behind a long batch: the rest of it is asked again, and nothing is asked twice."""
    monkeypatch.setattr("app.policy.pool._HOLD_S", 0.0)
    owns = [{"stack": {"name": f"s{number}"}} for number in range(20)]
    with OpaPool(1) as pool:
        (told,) = ask(pool, (NAMED, owns))
    assert [said.rules["message"] for said in told if isinstance(said, Evaluated)] == [[f"s{n}"] for n in range(20)]


def test_an_answer_that_is_too_long_is_one_question_s_failure() -> None:
    """The others of the same message are read in their places."""
    policy = written('message contains concat("", [input.stack.name | numbers.range(1, input.stack.times)[_]])')
    owns = [{"stack": {"name": "x" * 1000, "times": times}} for times in (1, 70_000, 2)]
    with OpaPool(1) as pool:
        (told,) = ask(pool, (policy, owns))
    assert [plain(said) if isinstance(said, PolicyFailed) else "told" for said in told] == ["told", "memory", "told"]


def test_what_cannot_be_written_down_is_asked_of_nobody() -> None:
    with OpaPool(1) as pool:
        shared = pool.evaluate_all({"odd": object()}, [PolicyQuestions(policy=NAMED, own=[{}, {"odd": 1}])])
        long = pool.evaluate_all(
            {"a": "x" * (30 << 20)}, [PolicyQuestions(policy=NAMED, own=[{"b": "y" * (30 << 20)}])]
        )
    assert isinstance(shared[0][0], PolicyFailed)
    assert isinstance(shared[0][1], Evaluated), "a key of the question's own takes the place of what was wrong"
    assert plain(long[0][0]) == "memory"
