"""Built-in functions that fail: the embedded engine stops, OPA does not; so neither does a policy here."""

from typing import Any

import pytest

from app.core.contract import PolicyType, broken_restraint
from app.policy.pool import OpaPool
from tests.policy.asked import notable, told, written

INPUT: dict[str, Any] = {"nil": None, "n": 3, "s": "abc", "l": [1, "x", None], "zero": 0, "bad": "(", "o": {"a": 1}}
MESSAGES = [
    ("startswith(input.nil, \"a\")", []),
    ("not startswith(input.nil, \"a\")", ["m"]),
    ("contains(input.nil, \"a\")", []),
    ("not contains(input.n, \"a\"); contains(input.s, \"b\")", ["m"]),
    ("x := 10 / input.zero; x > 0", []),
    ("not 10 / input.zero > 0", []),
    ("x := 10 % input.n; x == 1; y := to_number(input.s)", []),
    ("to_number(\"17\") == 17; not to_number(input.s)", ["m"]),
    ("count([y | some x in input.l; y := upper(x)]) == 1", ["m"]),
    ("sum([y | some x in input.l; y := x + 1]) == 2", ["m"]),
    ("regex.match(input.bad, \"x\")", []),
    ("not regex.match(input.bad, \"x\"); regex.match(\"a.c\", input.s)", ["m"]),
    ("not json.unmarshal(input.s); json.unmarshal(\"[1]\") == [1]", ["m"]),
    ("not time.parse_rfc3339_ns(input.s)", ["m"]),
    ("not base64.decode(\"%%\")", ["m"]),
    ("count(input.nil) == 0", []),
    ("count({1, 2}) == 2; not count(input.n)", ["m"]),
    ("some x in [[1], {2}, set(), \"é\\u0000\", null]; count(x) == 2", ["m"]),
    ("not object.get(input.n, \"a\", 1); object.get(input.o, \"a\", 2) == 1", ["m"]),
    ("not input.o & {1}; {1} & {1, 2} == {1}", ["m"]),
    ("not input.nil - 1; 3 - 1 == 2; {1, 2} - {2} == {1}", ["m"]),
    ("every x in input.l { upper(x) }", []),
    ("not concat(\",\", input.l)", ["m"]),
    ("not startswith(input.nil, \"a\") with input.nil as 7", ["m"]),
    ("count(input.l) == 9 with count as mocked; not to_number(input.s)", ["m"]),
    ("f(input.nil) == \"other\"", ["m"]),
]  # fmt: skip
FUNCTIONS = 'mocked(_) := 9\nf(x) := "lower" if lower(x)\nelse := "other"\n'


@pytest.mark.parametrize(("body", "expected"), MESSAGES)
def test_an_expression_in_which_a_function_fails_is_undefined(pool: OpaPool, body: str, expected: list[str]) -> None:
    policy = written(
        f'{FUNCTIONS}message contains "m" if {{ {body} }}\nmessage contains "fine" if input.n\ntrack if input.n'
    )
    said = told(pool, policy, INPUT)
    assert notable(said) == {"track": True, "message": sorted([*expected, "fine"])}
    assert set(said.errors_by_rule) <= {"message"}


def test_the_rule_and_its_line_are_told(pool: OpaPool) -> None:
    said = told(pool, written("track if input.n\nignore if {\n\tto_number(input.s) > 1\n}"), INPUT)
    assert notable(said) == {"track": True}
    assert list(said.errors_by_rule) == ["ignore"]
    assert said.errors_by_rule["ignore"].startswith("line 4: eval_builtin_error: to_number:")
    assert [(each.rule, each.line) for each in said.fired] == [("track", 2)]


def test_a_restraint_with_an_error_counts_as_a_failure_unless_it_held(pool: OpaPool) -> None:
    def broken(text: str, type_: PolicyType = PolicyType.PUSH) -> str:
        return broken_restraint(type_, told(pool, written(text, type_), INPUT))

    assert broken("ignore if to_number(input.s) > 1") == "ignore"
    assert broken("ignore if to_number(input.s) > 1\nignore if input.n") == ""
    assert broken("track if to_number(input.s) > 1") == ""
    assert broken('deny contains "x" if to_number(input.s) > 1', PolicyType.PLAN) == "deny"
    assert broken('deny contains "x" if to_number(input.s) > 1\ndeny contains "y"', PolicyType.PLAN) == "deny"
    assert broken('trigger contains "x" if to_number(input.s) > 1', PolicyType.TRIGGER) == ""


def test_a_policy_that_prints_is_heard_once(pool: OpaPool) -> None:
    text = 'track if { print("n is", input.n, input.missing) }\nignore if { print("later"); to_number(input.s) }'
    assert told(pool, written(text), INPUT).prints == ("2: n is 3 <undefined>", "3: later")
