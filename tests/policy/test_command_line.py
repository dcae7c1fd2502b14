"""`trackside policy …` as its author sees it: output, exit code, one clear line for each mistake."""

import json
import re
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
    assert (said["prints"], said["errors"], said["fails_closed"]) == ([], [], None)
    assert "trace" not in said


def test_eval_shows_failing_functions_prints_and_the_trace(folder: Path) -> None:
    policy = folder / "odd.rego"
    policy.write_text('package spacelift\ntrack if { print("here"); input.a }\nignore if to_number(input.b) > 1\n')
    done = run("eval", policy, "--input", "-", "--trace", given='{"a": 1, "b": "x"}')
    said = json.loads(done.stdout)
    assert said["prints"] == ["2: here"]
    assert said["errors"][0]["rule"] == "ignore"
    assert "line 3: eval_builtin_error" in said["errors"][0]["message"]
    assert said["fails_closed"] == "rule ignore holds something back, and had an error"
    assert any(line.startswith("Exit") and f"{policy}:2" in line for line in said["trace"])


def test_eval_of_a_failing_policy_still_prints_an_object_and_exits_1(folder: Path) -> None:
    policy = folder / "two.rego"
    policy.write_text("package spacelift\ntrack := true if input.a\ntrack := false if input.a\n")
    done = run("eval", policy, "--input", "-", given='{"a": 1}')
    said = json.loads(done.stdout)
    assert done.exit_code == 1
    assert said["errors"][0]["kind"] == "contract"
    assert said["errors"][0]["line"] in (2, 3)


def test_eval_says_what_is_wrong_with_what_it_was_given(folder: Path) -> None:
    """A file that is not there, a folder, one of 100 MB, an unknown type: one line or the usage, never a trace."""
    policy, large = folder / "release.rego", folder / "large.json"
    with large.open("wb") as file:
        file.truncate(100_000_000)
    for given, words in (
        (folder / "gone.json", f"trackside: reading {folder / 'gone.json'}: no such file or directory"),
        (folder, f"trackside: reading {folder}: is a directory"),
        (large, f"trackside: reading {large}: longer than 50,331,648 bytes"),
    ):
        done = run("eval", policy, "--input", given)
        assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"{words}\n")
    unknown = run("eval", policy, "--type", "pull", "--input", "-", given="{}")
    assert unknown.exit_code == 2
    assert "'pull' is not one of" in unknown.stderr
    missing = run("eval", folder / "gone.rego", "--input", "-", given="{}")
    assert missing.stderr == f"trackside: reading {folder / 'gone.rego'}: no such file or directory\n"


@pytest.mark.parametrize("text", ["", "[1]", "{", "nul", "null", '"x"', "[" * 100_000])
def test_an_input_that_is_no_object_is_refused(folder: Path, text: str) -> None:
    (folder / "input.json").write_text(text)
    done = run("eval", folder / "release.rego", "--input", folder / "input.json")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"trackside: reading {folder / 'input.json'}: ")


def test_tests_run_beside_their_policy_and_the_last_line_counts_them(folder: Path) -> None:
    """As `opa test` words it, file by file."""
    done = run("test", folder, "--coverage")
    lines = [re.sub(r" \(\d+\.\dms\)", " (ms)", line) for line in done.stdout.splitlines()]
    assert done.exit_code == 0
    assert lines == [
        f"{folder / 'release_test.rego'}:",
        "data.spacelift.test_release: PASS (ms)",
        "data.spacelift.test_null_branch: PASS (ms)",
        "data.spacelift.todo_test_later: SKIPPED",
        f"coverage {folder / 'release.rego'}: 33.3 %; not reached: 5, 7",
        "1 skipped",
        "2 passed, 0 failed",
    ]


def test_a_failing_test_shows_what_it_printed_and_exits_1(folder: Path) -> None:
    (folder / "release_test.rego").write_text(
        'package spacelift_test\nimport data.spacelift\n\ntest_it if {\n\tprint("branch", 1)\n\tspacelift.track\n}\n'
        "test_conflict if f(1)\nf(_) := 1\nf(_) := 2\n"
    )
    done = run("test", folder / "release.rego")
    assert done.exit_code == 1
    assert "data.spacelift_test.test_it: FAIL" in done.stdout
    assert "5: branch 1" in done.stdout
    assert "ERROR" in done.stdout
    assert "eval_conflict_error" in done.stdout
    assert done.stdout.endswith("0 passed, 2 failed\n")


def test_policies_of_one_package_are_tested_apart(folder: Path) -> None:
    (folder / "branch.rego").write_text('package spacelift\n\ntrack := input.push.branch == "main"\n')
    (folder / "branch_test.rego").write_text(
        'package spacelift\n\ntest_main if track with input as {"push": {"branch": "main"}}\n'
    )
    done = run("test", folder)
    assert done.stdout.endswith("3 passed, 0 failed\n"), done.stdout


@pytest.mark.parametrize("use", ["lib.is_main(input.push.branch)", "lib.main == input.push.branch"])
def test_what_a_policy_will_not_have_it_does_not_have_in_its_test(folder: Path, use: str) -> None:
    """A test that would pass thanks to a file beside the policy fails, and says which file that is."""
    (folder / "branch.rego").write_text(f"package spacelift\n\nimport data.lib\n\ntrack := {use}\n")
    (folder / "branch_test.rego").write_text(
        'package spacelift\n\ntest_main if track with input as {"push": {"branch": "main"}}\n\ntest_one if 1 == 1\n'
    )
    (folder / "lib.rego").write_text('package lib\n\nmain := "main"\n\nis_main(branch) := branch == main\n')
    done = run("test", folder / "branch.rego")
    assert done.exit_code == 1
    words = f"branch.rego uses data.lib of {folder / 'lib.rego'}, which it does not have when it decides"
    assert done.stdout.count(words) == 1, done.stdout
    assert done.stdout.endswith("0 passed, 1 failed\n" if "(" in use else "1 passed, 1 failed\n")
    assert run("eval", folder / "branch.rego", "--input", "-", given="{}").exit_code == ("(" in use)


def test_a_test_has_what_it_alone_uses(folder: Path) -> None:
    """Made-up inputs may stand in a file of their own."""
    (folder / "made.rego").write_text('package made\n\nrelease := {"push": {"branch": "release/1"}}\n')
    (folder / "release_test.rego").write_text(
        "package spacelift\n\nimport data.made\n\ntest_release if track with input as made.release\n"
    )
    assert run("test", folder).stdout.endswith("1 passed, 0 failed\n")


def test_a_test_finds_its_policy_by_name_above_it_or_because_there_is_no_other(folder: Path) -> None:
    """In a folder `tests`, under any name beside one policy, or in the policy itself; of two it asks which."""
    text = (folder / "release_test.rego").read_text()
    (folder / "release_test.rego").unlink()
    (folder / "tests").mkdir()
    (folder / "tests" / "release_test.rego").write_text(text)
    assert run("test", folder).stdout.endswith("2 passed, 0 failed\n")
    (folder / "tests").rename(folder / "elsewhere")
    assert run("test", folder).stdout.endswith("2 passed, 0 failed\n"), "the only one of that name in what is tested"
    done = run("test", folder / "elsewhere")
    assert "var track is unsafe" in done.stdout, "nothing above what is tested is read"
    assert done.exit_code == 1
    (folder / "elsewhere" / "release_test.rego").rename(folder / "all_test.rego")
    assert run("test", folder).stdout.endswith("2 passed, 0 failed\n")
    (folder / "other.rego").write_text(
        POLICY + '\ntest_own { track with input as {"push": {"branch": "release/2"}} }\n'
    )
    done = run("test", folder)
    assert "which policy does it test? Call it other_test.rego, release_test.rego" in done.stdout
    assert "data.spacelift.test_own: PASS" in done.stdout
    assert done.stdout.endswith("1 passed, 1 failed\n")
    (folder / "all_test.rego").unlink()
    assert run("test", folder, "--coverage").stdout.splitlines()[-2].startswith(f"coverage {folder / 'other.rego'}: ")


def test_a_policy_is_tested_with_the_defaults_that_it_decides_with(folder: Path) -> None:
    (folder / "release_test.rego").write_text("package spacelift\n\ntest_default if track == false\n")
    assert run("test", folder).stdout.endswith("1 passed, 0 failed\n")


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
    (tmp_path / "a_test.rego").write_text("package spacelift\n\nchecks if true\n")
    done = run("test", tmp_path)
    assert done.exit_code == 1
    assert done.stderr == f"trackside: no test in {tmp_path / 'a_test.rego'}: tests are rules called `test_…`\n"


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
