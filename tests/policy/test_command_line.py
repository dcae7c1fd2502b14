"""`trackside policy …` as its author sees it: output, exit code, one clear line for each mistake."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.policy_cli import policy_app

POLICY = """package spacelift

track { startswith(input.push.branch, "release/") }

ignore { not track; not helper }

helper { input.never }
"""
TESTS = """package spacelift

test_release { track with input as {"push": {"branch": "release/1"}} }

test_null_branch { not track with input as {"push": {"branch": null}} }

todo_test_later { false }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a policy and its tests."""
    (tmp_path / "release.rego").write_text(POLICY)
    (tmp_path / "release_test.rego").write_text(TESTS)
    return tmp_path


def run(*words: object, given: str | None = None) -> Result:
    """One call of the command."""
    return CliRunner().invoke(policy_app, [str(word) for word in words], input=given)


def test_a_fine_policy_is_said_to_be_fine(folder: Path) -> None:
    done = run("check", folder / "release.rego")
    assert (done.exit_code, done.stdout) == (0, "1 policy is fine\n")


def test_every_mistake_stands_with_its_file_line_and_source(folder: Path) -> None:
    broken, other = folder / "broken.rego", folder / "other.rego"
    broken.write_text("package spacelift\n\ntrack if {\n\tinput.a == unknown\n}\n")
    other.write_text("package spacelift\ntrack contains 1\n")
    done = run("check", broken, folder / "release.rego", other)
    assert done.exit_code == 1
    assert done.stderr == (
        f"{broken}:4:13: rego_unsafe_var_error: var unknown is unsafe\n"
        "     input.a == unknown\n"
        "                ^\n"
        f"{other}:2:1: rule track of a push policy is true or false: `track if {{ … }}`; here it is a set\n"
        "    track contains 1\n"
        "    ^\n"
        "2 mistakes\n"
    )


def test_a_test_file_is_checked_beside_its_policy(folder: Path) -> None:
    assert run("check", folder / "release.rego", folder / "release_test.rego").exit_code == 0
    (folder / "release_test.rego").write_text("package spacelift\ntest_it { nobody }\n")
    done = run("check", folder / "release_test.rego")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"{folder / 'release_test.rego'}:2:11: rego_unsafe_var_error: var nobody is unsafe")


@pytest.mark.parametrize("words", [["check"], ["upgrade"], ["test"], ["eval", "--input", "x.json"]])
def test_a_missing_file_is_named_in_one_line(folder: Path, words: list[str]) -> None:
    (folder / "x.json").write_text("{}")
    missing = folder / "nobody.rego"
    done = run(words[0], missing, *[str(folder / word) if word == "x.json" else word for word in words[1:]])
    assert done.exit_code == 1
    assert done.stderr.startswith(f"trackside: reading {missing}: no such file")
    assert done.stderr.count("\n") == 1


def test_eval_prints_one_object_with_every_rule(folder: Path) -> None:
    (folder / "input.json").write_text('{"push": {"branch": "release/1"}}')
    done = run("eval", folder / "release.rego", "--type", "push", "--input", folder / "input.json")
    said = json.loads(done.stdout)
    assert done.exit_code == 0
    assert (said["type"], len(said["rules"]), said["rules"]["track"], said["rules"]["ignore"]) == (
        "push",
        18,
        True,
        False,
    )
    assert said["fired"] == [{"rule": "track", "line": 3}]
    assert (said["prints"], said["errors"]) == ([], [])
    assert "trace" not in said


def test_eval_shows_failing_functions_prints_and_the_trace(folder: Path) -> None:
    policy = folder / "odd.rego"
    policy.write_text('package spacelift\ntrack if { print("here"); input.a }\nignore if to_number(input.b) > 1\n')
    done = run("eval", policy, "--input", "-", "--trace", given='{"a": 1, "b": "x"}')
    said = json.loads(done.stdout)
    assert said["prints"] == ["2: here"]
    assert said["errors"][0]["rule"] == "ignore"
    assert "line 3: eval_builtin_error" in said["errors"][0]["message"]
    assert any(line.startswith("Exit") and f"{policy}:2" in line for line in said["trace"])


def test_eval_of_a_failing_policy_still_prints_an_object_and_exits_1(folder: Path) -> None:
    policy = folder / "two.rego"
    policy.write_text("package spacelift\ntrack := true if input.a\ntrack := false if input.a\n")
    done = run("eval", policy, "--input", "-", given='{"a": 1}')
    said = json.loads(done.stdout)
    assert done.exit_code == 1
    assert said["errors"][0]["kind"] == "contract"
    assert said["errors"][0]["line"] in (2, 3)


@pytest.mark.parametrize("text", ["", "[1]", "{", "nul"])
def test_an_input_that_is_no_object_is_refused(folder: Path, text: str) -> None:
    (folder / "input.json").write_text(text)
    done = run("eval", folder / "release.rego", "--input", folder / "input.json")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"trackside: reading {folder / 'input.json'}: ")


def test_tests_run_beside_their_policy_and_the_last_line_counts_them(folder: Path) -> None:
    done = run("test", folder, "--coverage")
    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert [line.split()[0] for line in lines] == ["PASS", "PASS", "SKIP", "coverage", "2"]
    assert lines[-2] == f"coverage {folder / 'release.rego'}: 33.3 %; not reached: 5, 7"
    assert lines[-1] == "2 passed, 0 failed"


def test_a_failing_test_shows_what_it_printed_and_exits_1(folder: Path) -> None:
    (folder / "release_test.rego").write_text(
        'package spacelift_test\nimport data.spacelift\n\ntest_it if {\n\tprint("branch", 1)\n\tspacelift.track\n}\n'
        "test_conflict if f(1)\nf(_) := 1\nf(_) := 2\n"
    )
    done = run("test", folder / "release.rego")
    assert done.exit_code == 1
    assert "FAIL " in done.stdout
    assert "5: branch 1" in done.stdout
    assert "ERROR" in done.stdout
    assert "eval_conflict_error" in done.stdout
    assert done.stdout.endswith("0 passed, 2 failed\n")


def test_policies_of_one_package_are_tested_apart(folder: Path) -> None:
    (folder / "branch.rego").write_text(
        "package spacelift\n\nimport data.lib\n\ntrack := lib.is_main(input.push.branch)\n"
    )
    (folder / "branch_test.rego").write_text(
        'package spacelift\n\ntest_main if track with input as {"push": {"branch": "main"}}\n'
    )
    (folder / "lib.rego").write_text('package lib\n\nis_main(branch) := branch == "main"\n')
    done = run("test", folder)
    assert done.stdout.endswith("3 passed, 0 failed\n"), done.stdout


def test_a_policy_that_uses_the_helpers_can_be_tested(folder: Path) -> None:
    (folder / "plan.rego").write_text("package spacelift\ndeny[sanitized(r.address)] { created_resources[r] }\n")
    (folder / "plan_test.rego").write_text(
        "package spacelift\n"
        'made = {"terraform": {"resource_changes": [{"address": "exampledb", "change": {"actions": ["create"]}}]}}\n'
        'test_denied { deny["59832d41"] with input as made }\n'
    )
    done = run("test", folder / "plan_test.rego")
    assert done.stdout.endswith("1 passed, 0 failed\n"), done.stdout


def test_a_test_file_that_does_not_compile_is_a_failure_with_its_place(folder: Path) -> None:
    (folder / "release_test.rego").write_text("package spacelift\ntest_it if {\n\tnope(1)\n}\n")
    done = run("test", folder)
    assert done.exit_code == 1
    assert f"{folder / 'release_test.rego'}:3:2: rego_type_error: undefined function nope" in done.stdout
    assert done.stdout.endswith("0 passed, 1 failed\n")


def test_a_folder_without_tests_says_what_a_test_is(tmp_path: Path) -> None:
    done = run("test", tmp_path)
    assert done.exit_code == 1
    assert "tests are rules `test_…` in files `*_test.rego`" in done.stderr


def test_upgrade_prints_v1_and_leaves_v1_alone(folder: Path) -> None:
    done = run("upgrade", folder / "release.rego")
    assert done.stdout == POLICY.replace("track {", "track if {").replace("ignore {", "ignore if {").replace(
        "helper {", "helper if {"
    )
    (folder / "new.rego").write_text(done.stdout)
    assert run("upgrade", folder / "new.rego").stdout == done.stdout


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.rego").write_bytes(b"package spacelift\n\xff")
    assert run("check", tmp_path / "a.rego").stderr == f"trackside: reading {tmp_path / 'a.rego'}: not UTF-8\n"
    (tmp_path / "b.rego").write_bytes(b"#" * 1_000_001)
    assert "longer than 1,000,000 bytes" in run("check", tmp_path / "b.rego").stderr
