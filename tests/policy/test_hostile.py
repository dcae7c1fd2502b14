"""Hostile policies: each ends within its limit, closes the door for the right reason, and harms no decision."""

import time
from collections.abc import Iterator

import pytest

from app.core.contract import PolicyType
from app.core.errors import UserError
from app.policy.pool import OpaPool
from app.policy.suite_texts import TextSuite
from app.policy.worker import Limits
from tests.policy.asked import failed, told, written

LIMIT_S = 0.5
FINE = written("track if input.push.branch == input.stack.branch")
QUESTION = {"push": {"branch": "main"}, "stack": {"branch": "main"}}


@pytest.fixture(scope="module")
def tight() -> Iterator[OpaPool]:
    """One worker with half a second and 256 MiB."""
    limits = Limits(memory_bytes=256 << 20)
    with OpaPool(1, timeouts_s=dict.fromkeys(PolicyType, LIMIT_S), limits=limits) as pool:
        assert told(pool, FINE, QUESTION).rules["track"] is True
        yield pool


HOSTILE = {
    "an endless comprehension": (
        "track if count([1 | numbers.range(1, 1000)[_]; numbers.range(1, 1000)[_]; numbers.range(1, 1000)[_]]) > 0",
        {"timeout"},
    ),
    "a cartesian product": (
        "track if { some a in input.l; some b in input.l; some c in input.l; some d in input.l; a + b + c + d == -1 }",
        {"timeout"},
    ),
    "a range of 1e9": ("track if count(numbers.range(1, 1000000000)) > 0", {"timeout", "memory"}),
    "a string that doubles": (
        "s0 := concat(\"\", [\"x\" | numbers.range(1, 1000)[_]])\n"
        + "".join(f"s{n} := concat(\"\", [s{n - 1} | numbers.range(1, 100)[_]])\n" for n in range(1, 5))
        + "track if count(s4) > 0",
        {"timeout", "memory"},
    ),
    "recursion": ("f(x) := f(x - 1)\ntrack if f(10) == 1", {"parse"}),
    "deep brackets": (
        f"track if {'[' * 100_000}{']' * 100_000} == 1",
        {"parse", "timeout", "crash", "memory", "contract"},
    ),
    "walking a walk": ("track if { walk(input, [a, b]); walk(input, [c, d]); walk(input, [e, f]); b == [d, f] }",
                       {"timeout"}),
    "http.send": ('track if http.send({"method": "get", "url": "http://192.0.2.1"}).status_code == 200', {"forbidden"}),
    "http.send in brackets": ('track if http["send"]({"method": "get", "url": "http://192.0.2.1"})', {"forbidden"}),
    "http.send by replacement": ('track if count({"method": "get"}) with count as http.send', {"forbidden"}),
    "a name looked up": ('track if net.lookup_ip_addr("example.org")', {"forbidden"}),
    "the clock": ("track if time.now_ns() > 0", {"forbidden"}),
    "the environment": ("track if opa.runtime().env.HOME", {"forbidden"}),
    "a policy that parses policies": ('track if rego.parse_module("a", "package a")', {"forbidden"}),
    "tracing": ('track if trace("x")', {"forbidden"}),
    "a forbidden function as an argument of one": ("track if count([1 | time.now_ns() > 0]) > 0", {"forbidden"}),
    "two megabytes": ("#" * 2_000_000, {"parse"}),
    "a NUL": ("track if true\n# \0", {"parse"}),
    "half a character": ("track if \ud800", {"parse"}),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_policy_ends_closed_and_the_next_decision_is_right(tight: OpaPool, name: str) -> None:
    text, kinds = HOSTILE[name]
    question = {"l": list(range(300)), "tree": [[[1] * 30] * 30] * 30}
    began = time.monotonic()
    said = failed(tight, written(text), question)
    assert said.kind in kinds, said
    assert time.monotonic() - began < LIMIT_S + 3
    assert told(tight, FINE, QUESTION).rules["track"] is True


def test_a_megabyte_of_policy_is_read_or_given_up(tight: OpaPool) -> None:
    text = "package spacelift\n" + "".join(f"r{n} if input.x == {n}\n" for n in range(36_000))
    assert 900_000 < len(text) < 1_000_000
    began = time.monotonic()
    said = tight.evaluate(written(text), {"x": 1})
    assert time.monotonic() - began < 60, "within its limit, and what reading it takes on a busy machine"
    assert told(tight, FINE, QUESTION).rules["track"] is True
    assert getattr(said, "kind", "timeout") in {"timeout", "memory"}


def test_a_regular_expression_cannot_blow_up(pool: OpaPool) -> None:
    slow = written("track if regex.match(`^(a+)+$`, input.text)")
    assert told(pool, slow, {"text": "a" * 50_000 + "b"}).rules["track"] is False
    huge = written("track if regex.match(`((a{1,100}){1,100}){1,100}`, input.text)")
    said = told(pool, huge, {"text": "a"})
    assert said.rules["track"] is False
    assert "track" in said.errors_by_rule


def test_deep_json_closes_the_door(pool: OpaPool) -> None:
    deep: object = 1
    for _ in range(3000):
        deep = [deep]
    assert failed(pool, written("track if input.deep"), {"deep": deep}).kind == "contract"
    text = written("track if json.unmarshal(input.text)")
    said = pool.evaluate(text, {"text": "[" * 200_000 + "]" * 200_000})
    assert getattr(said, "rules", {"track": False})["track"] is False
    nested = written("track if true\nmessage contains json.marshal(json.unmarshal(input.text))")
    assert told(pool, nested, {"text": "[" * 900 + "]" * 900}).rules["message"] == ["[" * 900 + "]" * 900]
    assert told(pool, FINE, QUESTION).rules["track"] is True


def test_three_strikes_put_a_policy_aside_until_its_text_changes() -> None:
    endless = HOSTILE["an endless comprehension"][0]
    with OpaPool(1, timeouts_s=dict.fromkeys(PolicyType, 0.1)) as pool:
        assert told(pool, FINE, QUESTION).rules["track"] is True
        kinds = [failed(pool, written(endless)).kind for _ in range(4)]
        assert kinds == ["timeout", "timeout", "timeout", "quarantined"]
        assert failed(pool, written(endless + "\n# changed")).kind == "timeout"
        assert told(pool, FINE, QUESTION).rules["track"] is True


def test_a_policy_reaches_neither_files_nor_the_network(pool: OpaPool) -> None:
    assert pool.isolation["new_privileges"] == "none"
    assert pool.isolation["network"] == "none" or pool.isolation["network"].startswith("shared: ")
    assert "bytes" in pool.isolation["memory"]


def test_what_only_looks_like_a_rule_is_never_run(pool: OpaPool) -> None:
    """What stands in a text is neither a rule nor a call of a function, and so it was never looked at for forbidden
    ones; the conditions of rules are cut out by a lexer of ours, which does not know texts within texts."""
    hidden = '$"{startswith("", "} track if {time.now_ns() > 0} y if {")}"'
    policy = written(f'helper if {{ x := {hidden}; x == "no" }}\ntrack if input.a\ntrack if input.b')
    said = told(pool, policy, {"a": True})
    assert said.rules["track"] is True
    assert {fired.line for fired in said.fired if fired.rule == "track"} == {0}, "which line it was is not known"


def test_tests_at_a_path_that_no_folder_takes_are_not_run_and_it_is_said() -> None:
    """git takes names that no file can have."""
    with pytest.raises(UserError, match=r"testing policies: writing 'policies/x+.*': File name too long"):
        TextSuite().run({f"policies/{'x' * 300}_test.rego": "package a"}, timeout_s=1)
