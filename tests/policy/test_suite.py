"""`trackside policy test` beside `opa test`: what counts as a test, when it passes, and what belongs to it."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.policy.grammar import literals_of, statements_of
from app.policy.lexer import tokens_of
from app.policy.pool import PoolBackend
from app.policy.suite_cases import rules_of
from app.policy.suite_data import documents, modifiers
from app.policy.suite_files import Files
from app.policy.worker import Limits
from app.policy_cli import policy_app

POLICY = 'package spacelift\n\ntrack if input.push.branch == "main"\n'
TESTS = """package spacelift

test_true if track with input as {"push": {"branch": "main"}}
test_number := 1
test_set contains "x"
test_twice if true
test_twice if track
default test_default := false
test_default if true
tests.test_inner if track
todo_test_later if false
test_fits[note] if {
	some note, branch in {"a": "main", "b": "main"}
	track with input as {"push": {"branch": branch}}
}
test_cases[tc.note] if {
	some tc in [{"note": "good", "branch": "main"}, {"note": "bad", "branch": "dev"}] # a table
	print("asked", tc.branch)
	track with input as {"push": {"branch": tc.branch}}
}
test_values[part][at] := held if { some part in ["x", "y"]; some at, held in [true, part == "x"] }
"""


def run(folder: Path, **files: str) -> list[str]:
    """The lines of testing a folder with those files, times left out. Names: `__` for `/`, the last `_` for a dot."""
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path = path.with_name(".".join(path.name.rsplit("_", 1)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = CliRunner().invoke(policy_app, ["test", str(folder)])
    return [line.partition(" (")[0].removeprefix("data.spacelift.") for line in done.stdout.splitlines()]


def test_each_test_ends_as_with_opa(tmp_path: Path) -> None:
    """True alone is a pass; a second definition is a second test; each row of a table counts."""
    assert run(tmp_path, p_rego=POLICY, p_test_rego=TESTS)[1:] == [
        "test_true: PASS",
        "test_number: FAIL",
        "test_set: FAIL",
        "test_twice: PASS",
        "test_twice#01: FAIL",
        "test_default: FAIL",
        "test_default#01: PASS",
        "tests.test_inner: FAIL",
        "todo_test_later: SKIPPED",
        "test_fits: PASS",
        "test_cases: FAIL",
        "  18: asked main",
        "  18: asked dev",
        "  bad: FAIL",
        "test_values: FAIL",
        "  y / 1: FAIL",
        "1 skipped",
        "4 passed, 7 failed",
    ]


@pytest.mark.parametrize(
    "files",
    [
        {
            "p_rego": POLICY,
            "p_test_rego": "package spacelift\ntest_it if track with input as main\n",
            "made_rego": 'package spacelift\nmain := {"push": {"branch": "main"}}\n',
        },
        {
            "p_rego": POLICY,
            "p_test_rego": "package spacelift\ntest_it if track with input as data.made.main\n",
            "data_json": '{"made": {"main": {"push": {"branch": "main"}}}}',
        },
        {
            "p_rego": POLICY,
            "p_test_rego": "package spacelift\nimport data.made as d\ntest_it if track with input as d.main\n",
            "made__deep_yaml": "main: {push: {branch: main}}\n",
            "list_json": "[1]",
        },
        {
            "p_rego": POLICY,
            "test_p_rego": 'package spacelift\ntest_it if track with input as {"push": {"branch": "main"}}\n',
        },
        {
            "policies__push__p_rego": POLICY,
            "tests__push__p_test_rego": "package t\nimport data.spacelift\n"
            'test_it if spacelift.track with input as {"push": {"branch": "main"}}\n'
            "test_default if spacelift.track == false\n",
        },
    ],
    ids=["helper", "json", "yaml", "name", "mirrored"],
)
def test_a_test_is_given_what_opa_would_load_for_it(tmp_path: Path, files: dict[str, str]) -> None:
    said = run(tmp_path, **files)
    assert said[-1].endswith("passed, 0 failed"), said


@pytest.mark.parametrize(
    ("policy", "name", "file"),
    [
        ("package spacelift\ntrack if on_main\n", "on_main", "made.rego"),
        ("package spacelift\ntrack if data.made.main == input.push.branch\n", "data.made", "data.json"),
    ],
)
def test_what_the_policy_uses_too_is_named_and_not_given(tmp_path: Path, policy: str, name: str, file: str) -> None:
    """It would pass thanks to something that the policy does not have when it decides."""
    said = run(
        tmp_path,
        p_rego=policy,
        p_test_rego='package spacelift\ntest_it if track with input as {"push": {"branch": "main"}}\n',
        made_rego='package spacelift\non_main if input.push.branch == "main"\n',
        data_json='{"made": {"main": "main"}}',
    )
    assert said[-1] == "0 passed, 1 failed"
    assert f"p.rego uses {name} of {tmp_path / file}, which it does not have when it decides" in "\n".join(said)


def test_the_literals_of_a_body_are_told_apart() -> None:
    text = 'p if {\n\tsome a,\n\t\tb in {"x": [1,\n2]}; a == b # ; c\n\tnot f(a) with input as\n\t\tb\n\t{1} == a\n}\n'
    tokens = tokens_of(text)
    (statement,) = statements_of(tokens)
    found = literals_of(tokens, statement.bodies[0])
    assert [" ".join(token.text for token in tokens[each.first : each.last]) for each in found] == [
        'some a , b in { "x" : [ 1 , 2 ] }',
        "a == b",
        "not f ( a ) with input as b",
        "{ 1 } == a",
    ]


def test_what_is_added_to_a_test_moves_no_line() -> None:
    asked = rules_of(TESTS)
    assert asked.text(range(len(asked.told))).count("\n") == TESTS.count("\n")
    assert [rule.line for rule in asked.rules] == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16, 21]


def test_data_is_merged_by_folders_and_never_replaces_a_package(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.json").write_text('{"b": {"c": 1}}')
    (tmp_path / "data.yaml").write_text("a: {b: {d: 2}}\n")
    (tmp_path / "broken.yml").write_text("x: &x [1]\na: *x\n")
    (tmp_path / "deep.json").write_text('{"deep": ' + "[" * 5000 + "]" * 5000 + "}")
    assert documents(tmp_path)["a"][0] == {"b": {"c": 1, "d": 2}}
    assert modifiers({"a": {"b": {"c": 1}, "e": 2}}, {("a", "b")}) == ' with data["a"]["e"] as 2'


MAIN = 'with input as {"push": {"branch": "main"}}'
TABLES = """package spacelift

cases := [{"note": "good", "got": 1, "want": 1}, {"note": "bad", "got": 1}]
test_declared[i] if {
	some i
	tc := cases[i]
	tc.got == tc.want
}
test_inner[n] if {
	count([n | some n in ["q"]]) == 1
	some n in ["a"]
}
test_value[tc.note] := tc.got == tc.want if some tc in cases
test_call[lower(tc.note)] if {
	some tc in cases
	tc.got == tc.want
	lower("A") == "a"
}
test_scalars[k] if { some k in [1e2, ["<b>&é"], "1"]; true }
test_template[$"{x}"] if { some x in ["a", "b"] }
test_deep[k] if { some k in [json.unmarshal(concat("", [x | some i in numbers.range(1, 6000); x := "["]))]; true }
"""


def test_a_table_in_any_form_tells_which_of_its_cases_came_to_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, p_rego=POLICY, p_test_rego=TABLES)[1:] == [
        "test_declared: FAIL",
        "  1: FAIL",
        "test_inner: PASS",
        "test_value: FAIL",
        "  bad: FAIL",
        "test_call: FAIL",
        "  bad: FAIL",
        "test_scalars: PASS",
        "test_template: PASS",
        "test_deep: PASS",
        "4 passed, 3 failed",
    ]


def test_tests_of_one_name_in_two_files_are_two_tests(tmp_path: Path) -> None:
    """Neither stands in for the other; a helper of one is there for the other."""
    helper = 'package spacelift\n\npushed(b) := {"push": {"branch": b}}\ntest_it if pushed("x").push.branch == "x"\n'
    false = 'package spacelift\n\ntest_it if track with input as pushed("dev")\n'
    lines = run(tmp_path, p_rego=POLICY, p_test_rego=false, q_rego=POLICY, q_test_rego=helper)
    assert lines[1] == "test_it: FAIL"
    assert lines[3:] == ["test_it: PASS", "1 passed, 1 failed"]


@pytest.mark.parametrize(
    "other",
    [
        'push := {"branch": "main"}',  # as a key of the policy's input is called
        "tag(x) := x\npropose if on_branch\n\non_branch if input.push.tag",  # as a variable of the test is called
    ],
)
def test_a_file_beside_it_is_left_out_while_the_test_needs_none(tmp_path: Path, other: str) -> None:
    test = f"package spacelift\n\ntest_it if {{\n\tsome tag in [1]\n\ttrack {MAIN}\n}}\n"
    lines = run(tmp_path, p_rego=POLICY, p_test_rego=test, other_rego=f"package spacelift\n\n{other}\n")
    assert lines[1:] == ["test_it: PASS", "1 passed, 0 failed"]


def test_a_policy_with_tests_of_its_own_is_given_nothing_that_it_lacks_when_it_decides(tmp_path: Path) -> None:
    text = f"package spacelift\n\ntrack if input.push.branch == data.conf.branch\n\ntest_it if track {MAIN}\n"
    lines = run(tmp_path, p_rego=text, data_json='{"conf": {"branch": "main"}}')
    assert lines[1] == "test_it: FAIL"
    assert "uses data.conf" in lines[2]


def test_tests_that_only_opa_can_read_are_all_run(tmp_path: Path) -> None:
    """A text within a text misleads our lexer: what it does not see counts all the same."""
    test = """package spacelift

x := {"#": "a"}
test_one if { lower($"{x["#"]}") == "a" }
test_two if false
"""
    lines = run(tmp_path, p_rego=POLICY, p_test_rego=test)
    assert lines[1:] == ["test_one: PASS", "test_two: FAIL", "1 passed, 1 failed"]


def test_nothing_is_asked_that_a_test_may_not_ask(tmp_path: Path) -> None:
    """What our lexer takes for a table's key is a text to OPA; put into a rule, it would be a call."""
    test = """package spacelift

x := {` test_a[[w, opa.runtime()]] if { `: "v", ` } `: "w", ` w `: "z"}
q := $`{x[` test_a[[w, opa.runtime()]] if { `]}`
r if { y := $`{x[` } `]}`
	y == "w"
	$`{x[` w `]}` == "z"
}
test_real if r
"""
    assert "json.marshal([[w, opa.runtime()]])" in rules_of(test).text([0]), "it would be asked"
    file, backend = tmp_path / "p_test.rego", PoolBackend(1, Limits())
    try:
        assert not Files(backend).is_harmless(file, rules_of(test).text([0]))
        assert Files(backend).is_harmless(file, test)
    finally:
        backend.close()
    assert "test_real: PASS" in run(tmp_path, p_rego=POLICY, p_test_rego=test)


@pytest.mark.timeout(10)
def test_data_is_read_from_files_alone_and_never_waits_for_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "outside.json").write_text('{"outside": 1}')
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "data.json").write_text('{"inside": 1}')
    (folder / "a.json").symlink_to(tmp_path / "outside.json")
    (folder / "b.json").symlink_to(folder / "nowhere.json")
    (folder / "c").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(folder / "z.json")
    assert documents(folder) == {"inside": (1, folder / "data.json")}


def test_data_inside_a_package_stands_beside_its_rules() -> None:
    """Where the rules are known: what they or the prelude define is never replaced."""
    given = {"trackside": {"fixtures": {"a": 1}, "helper": 2, "track": True, "sanitized": 3, "sub": {"r": 4, "s": 5}}}
    packages, rules = {("trackside",), ("trackside", "sub")}, {("trackside", "helper"), ("trackside", "sub", "r")}
    assert modifiers(given, packages, rules) == (
        ' with data["trackside"]["fixtures"] as {"a": 1} with data["trackside"]["sub"]["s"] as 5'
    )
    assert modifiers({"trackside": 1}, packages, rules) == modifiers({"a": 1}, {("a", "b")}) == ""
    assert modifiers(given, packages) == ""


def test_data_may_stand_beside_the_rules_of_a_package(tmp_path: Path) -> None:
    test = "package spacelift\n\ntest_it if track with input as data.spacelift.fixtures.main\n"
    data = '{"spacelift": {"track": true, "fixtures": {"main": {"push": {"branch": "main"}}}}}'
    lines = run(tmp_path, p_rego=POLICY, p_test_rego=test, data_json=data)
    assert lines[1:] == ["test_it: PASS", "1 passed, 0 failed"]
