"""Upgrading: every line keeps its number, v1 comes back untouched, and what v0 had is said in v1."""

import time
from pathlib import Path

import pytest

from app.core.contract import Dialect, PolicyType
from app.policy.faults import MAX_FAULTS, faults_of
from app.policy.pool import OpaPool
from app.policy.prepare import guess_type, heads_of
from app.policy.upgrade import is_v1_by_its_words, upgrade
from tests.policy.asked import EXAMPLES, failed, notable, told, written

FORMS = [
    ("track { true }", "track if { true }"),
    ("track{true}", "track if {true}"),
    ("track = x { x := 1 }", "track = x if { x := 1 }"),
    ("deny[msg] { msg := 1 }", "deny contains msg if { msg := 1 }"),
    ('deny["no"]', 'deny contains "no"'),
    ('deny[sprintf("%s", [x])] { x := 1 }', 'deny contains sprintf("%s", [x]) if { x := 1 }'),
    ("p.q { true }", 'p contains "q" if { true }'),
    ("p[x] = y { x := 1; y := 2 }", "p[x] = y if { x := 1; y := 2 }"),
    ("a.b.c { true }", "a.b.c if { true }"),
    ("f(x) { x }", "f(x) if { x }"),
    ("f(x) = y { y := x } else = 2 { x } else { x }", "f(x) = y if { y := x } else = 2 if { x } else if { x }"),
    ("f(x) = 1 { x } else = 2", "f(x) = 1 if { x } else = 2"),
    ("p { a } { b } { c }", "p if { a } p if { b } p if { c }"),
    ("p[x] { x := 1 } { x := 2 }", "p contains x if { x := 1 } p contains x if { x := 2 }"),
    ("default track = false", "default track = false"),
    ("s = {1, 2}", "s = {1, 2}"),
    ('o = {"a": {"b": 1}}', 'o = {"a": {"b": 1}}'),
    ("c = [x | x := [1, 2][_]]", "c = [x | x := [1, 2][_]]"),
    ("t = 1 + 2 { true }", "t = 1 + 2 if { true }"),
    ("t = {1} | {2} { true }", "t = {1} | {2} if { true }"),
    ("t = count({1}) { true }", "t = count({1}) if { true }"),
    ("# track { true }", "# track { true }"),
    ('t = "p[x] { y }"', 't = "p[x] { y }"'),
    ("t = `p[x] {\n y }` { true }", "t = `p[x] {\n y }` if { true }"),
    ("t { re_match(`a`, input.x) }", "t if { regex.match(`a`, input.x) }"),
    ("t { set_diff({1}, {2}) }", "t if { (({1}) - ( {2})) }"),
    ("contains(l, e) { l[_] = e }\nt { contains(x, 1) }", "contains_(l, e) if { l[_] = e }\nt if { contains_(x, 1) }"),
    ('t { contains("ab", "b") }', 't if { contains("ab", "b") }'),
    ("import data.a\nimport data.a\nt { true }", "import data.a\n\nt if { true }"),
    ("import future.keywords\ndeny contains m { m := 1 }", "import future.keywords\ndeny contains m if { m := 1 }"),
    ("import future.keywords\ndeny contains m if { m := 1 }", "import future.keywords\ndeny contains m if { m := 1 }"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), FORMS, ids=lambda text: text[:40])
def test_a_form_of_v0_becomes_its_form_of_v1(before: str, after: str) -> None:
    assert upgrade(before) == after


def test_what_v1_no_longer_has_means_the_same(pool: OpaPool) -> None:
    text = """
message["any"] { any([false, true]) }
message["not any"] { not any([false]) }
message["any of nothing"] { any([]) }
message["all"] { all([true, true]) }
message["not all"] { not all({true, false}) }
message["all of nothing"] { all([]) }
message["cast"] { cast_boolean(true); cast_string("a") == "a"; cast_null(null) == null; cast_object({}) == {} }
message["casts to others"] { cast_array({1, 2}) == [1, 2]; cast_set([1, 1]) == {1} }
message["refused casts"] { not cast_boolean(input.text); not cast_string(input.n); not cast_object(input.l) }
message["set_diff"] { set_diff({1, 2}, {2}) == {1} }
message["cidr"] { net.cidr_overlap("10.0.0.0/8", "10.1.2.3") }
message["if"] { if := 3; if == 3 }
"""
    expected = ["all", "all of nothing", "any", "cast", "casts to others", "cidr", "if", "not all", "not any"]
    expected += ["refused casts", "set_diff"]
    assert told(pool, written(text), {"text": "x", "n": 1, "l": []}).rules["message"] == sorted(expected)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.v0.rego")), ids=lambda path: path.name)
def test_lines_keep_their_numbers_and_upgrading_twice_changes_nothing(path: Path) -> None:
    before = path.read_text()
    after = upgrade(before)
    assert after.count("\n") == before.count("\n")
    assert upgrade(after) == after
    assert {name: sorted({line for line, _ in places}) for name, places in heads_of(before).items()} == {
        name: sorted({line for line, _ in places}) for name, places in heads_of(after).items()
    }


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.v1.rego")), ids=lambda path: path.name)
def test_v1_comes_back_as_it_is(path: Path) -> None:
    text = path.read_text()
    assert upgrade(text) == text


def test_variables_called_like_documents_step_aside(pool: OpaPool) -> None:
    text = 'local { input := {"a": 1}; inner with input as input }\ninner { input.a == 1 }\ntrack { local; input.b }'
    assert told(pool, written(text), {"b": 1}).rules["track"] is True
    mixed = "import future.keywords.if\n" + text.replace("local {", "local if {").replace(
        "inner {", "inner if {"
    ).replace("track {", "track if {")
    assert told(pool, written(mixed), {"b": 1}).rules["track"] is True
    assert failed(pool, written(f"import rego.v1\n{mixed}")).kind == "parse"


def test_v1_is_known_by_its_words() -> None:
    assert is_v1_by_its_words("package a\nimport rego.v1\np := 1")
    assert is_v1_by_its_words("package a\np if true")
    assert not is_v1_by_its_words("package a\nimport future.keywords.if\np if { true }")
    assert not is_v1_by_its_words("package a\np { true }")


def test_errors_of_a_v0_policy_stand_at_the_lines_that_were_written(pool: OpaPool) -> None:
    said = failed(pool, written("track {\n\tinput.a\n}\n\nignore {\n\tnope(input.b)\n}\n"))
    assert (said.kind, said.line) == ("parse", 7)
    assert "undefined function nope" in said.message


def test_the_dialect_can_be_said(pool: OpaPool) -> None:
    ambiguous = 'deny["x"]\ndeny["y"]'
    assert told(pool, written(ambiguous, PolicyType.PLAN, Dialect.V0)).rules["deny"] == ["x", "y"]
    assert failed(pool, written(ambiguous, PolicyType.PLAN, Dialect.V1)).kind == "parse"
    assert failed(pool, written("track { true }", dialect=Dialect.V1)).kind == "parse"
    assert notable(told(pool, written("track { true }", dialect=Dialect.V0))) == {"track": True}
    assert notable(told(pool, written("track if true", dialect=Dialect.V0))) == {"track": True}


def test_the_type_is_told_from_the_rules() -> None:
    assert {path.name: guess_type(path.read_text()).value for path in EXAMPLES.glob("*.rego")} == {
        path.name: path.name.partition("-")[0] for path in EXAMPLES.glob("*.rego")
    }


@pytest.mark.parametrize(
    "text",
    [
        "any([" * 30_000,
        "p { " + "set_diff(" * 20_000 + "a" + ", b)" * 20_000 + " }",
        'p["' + "a" * 90_000 + '"]' + "{x}" * 30_000,
    ],
    ids=["never closed", "nested", "a long head repeated"],
)
def test_upgrading_takes_time_and_space_that_grow_with_the_text(text: str) -> None:
    """Done with pairs of brackets or heads over and over, each of these would take minutes, or gigabytes."""
    began = time.process_time()
    assert len(upgrade(f"package a\n{text}\n")) < 3_000_000
    assert time.process_time() - began < 10


def test_of_very_many_errors_the_first_are_told() -> None:
    """A policy of a megabyte may hold one in each line; reading them is not the child's time, but ours."""
    said = "\n".join(f"policy.rego:{line}: rego_parse_error: no\n\tx\n\t ^" for line in range(1, 60_001))
    began = time.process_time()
    found = faults_of(f"60000 errors occurred:\n{said}")
    assert [(each.line, each.column) for each in (found[0], found[-1])] == [(1, 2), (MAX_FAULTS, 2)]
    assert time.process_time() - began < 2
