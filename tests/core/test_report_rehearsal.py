"""The `config` check of a pull request: problems on their lines, tests, and what would be decided otherwise."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot
from markdown_it import MarkdownIt

from app.core.decision import Verdict
from app.core.markdown import MAX_BYTES, size_bytes
from app.core.names import Sha
from app.core.reply import MAX_ANNOTATIONS, CheckReport
from app.core.report_rehearsal import Flip, PolicyLine, RehearsalView, TestLine, TestOutcome, rehearsal_report
from app.core.stack import Problem

SHA = Sha("3fa9c1d2" * 5)
FLIP = Flip(
    event="push to main",
    head_sha=SHA,
    stack_name="network",
    now=Verdict.TRACK,
    then=Verdict.IGNORE,
    reason="policy only-tags said ignore (line 12)",
)
VALID = RehearsalView(head_sha=SHA, stack_count=3)
IN_STACKS = Problem(line=6, message="unknown key `projct_root`", remedy="did you mean `project_root`?")
IN_POLICY = Problem(
    line=3, path="policies/x.rego", message="policies/x.rego:3: rego_parse_error: unexpected eof", remedy="mend it"
)


def seen(report: CheckReport) -> tuple[str, str, str]:
    return report.name, report.conclusion.value if report.conclusion else "", report.title


def test_a_configuration_that_would_break_has_every_problem_on_its_line() -> None:
    report = rehearsal_report(replace(VALID, problems=(IN_STACKS, IN_POLICY)))
    assert seen(report) == ("config", "failure", "2 problems in the configuration")
    assert report.summary == snapshot(
        "This pull request would break the configuration. Merged as it is, nothing of it would come into force: the last valid version would stay."  # noqa: E501 - a sentence as it is said
    )
    assert report.text == snapshot("""\
### Problems

- **line 6**: unknown key `projct_root`: did you mean `project_root`?
- `policies/x.rego` **line 3**: `rego_parse_error: unexpected eof: mend it`\
""")
    assert [(one.path, one.line, one.title, one.message) for one in report.annotations] == snapshot(
        [
            (
                ".trackside/stacks.yml",
                6,
                "unknown key `projct_root`",
                "did you mean `project_root`?",
            ),
            ("policies/x.rego", 3, "rego_parse_error: unexpected eof", "mend it"),
        ]
    )


def test_a_valid_configuration_says_which_recorded_events_would_be_decided_otherwise() -> None:
    new = replace(FLIP, event="pull request 7, opened", stack_name="dns", now=None, then=Verdict.PROPOSE, reason="x.tf")
    gone = replace(FLIP, stack_name="old", now=Verdict.TRACK, then=None, reason="")
    tests = (
        TestLine(path="policies/x_test.rego", name="test_a", outcome=TestOutcome.PASSED),
        TestLine(path="policies/x_test.rego", name="todo_test_b", outcome=TestOutcome.SKIPPED),
    )
    report = rehearsal_report(replace(VALID, flips=(FLIP, new, gone), replayed=120, left_out=4, tests=tests))
    assert seen(report) == (
        "config",
        "success",
        "valid: 3 stacks · 2 of 120 recorded events would be decided otherwise",
    )
    assert report.summary == snapshot("""\
`.trackside/stacks.yml` and its policies are valid. They come into force when this pull request has landed.

Policy tests: 1 passed, 1 skipped.

120 recorded events decided again with this configuration, running nothing; 4 left out (not kept whole, or too many).\
""")
    assert report.text == snapshot("""\
### Decided otherwise

| event | stack | now | then | why then |
| --- | --- | --- | --- | --- |
| `push to main` at `3fa9c1d` | `network` | tracked | ignored | `policy only-tags said ignore (line 12)` |
| `pull request 7, opened` at `3fa9c1d` | `dns` | no such stack | proposed | `x.tf` |
| `push to main` at `3fa9c1d` | `old` | tracked | no such stack | - |\
""")


def test_every_policy_is_told_with_what_became_of_it_and_which_are_asked_again() -> None:
    policies = (
        PolicyLine(name="chat", type="notification", path="policies/chat.rego"),
        PolicyLine(name="calm", type="push", path="policies/calm.rego", is_edited=True),
        PolicyLine(name="next", type="trigger", path="policies/next.rego"),
        PolicyLine(name="cost", type="plan", path="policies/cost.rego", is_edited=True),
    )
    tests = tuple(
        TestLine(path=f"policies/{of}_test.rego", name=f"test_{at}", outcome=outcome, policy=f"policies/{of}.rego")
        for at, (of, outcome) in enumerate(
            (("calm", TestOutcome.PASSED), ("calm", TestOutcome.PASSED), ("cost", TestOutcome.PASSED))
        )
    )
    report = rehearsal_report(replace(VALID, policies=policies, tests=tests, replayed=2))
    assert seen(report)[2] == "valid: 3 stacks, 4 policies · no recorded event would be decided otherwise"
    assert report.summary == snapshot("""\
`.trackside/stacks.yml` and its policies are valid. They come into force when this pull request has landed.

4 policies:

- push `calm` (`policies/calm.rego`, changed here): compiled; tests: 2 passed
- plan `cost` (`policies/cost.rego`, changed here): compiled; tests: 1 passed
- trigger `next` (`policies/next.rego`): compiled; no tests
- notification `chat` (`policies/chat.rego`): compiled; no tests

Policy tests: 3 passed.

2 recorded events decided again with this configuration, running nothing. Only push policies are asked about them. The plan, trigger and notification policies are not: what those are asked (a plan with all its values, a run that has ended, a run that comes into a state) is not recorded as a question; `trackside policy eval` asks them one that you write.\
""")  # noqa: E501 - a sentence as it is said
    one = replace(VALID, policies=policies[1:2], stack_count=1, tests_note="stopped after 60 s, not all were run")
    report = rehearsal_report(one)
    assert seen(report)[2] == "valid: 1 stack, 1 policy"
    assert "- push `calm` (`policies/calm.rego`, changed here): compiled\n" in f"{report.summary}\n"
    assert "Only push policies" not in report.summary


def test_tests_that_fail_stand_on_their_lines_and_what_is_too_much_is_counted() -> None:
    failed = TestLine(path="p/x_test.rego", name="test_a", outcome=TestOutcome.FAILED, line=7, policy="p/x.rego")
    broken = TestLine(path="p/y_test.rego", name="", outcome=TestOutcome.ERROR, message="p/y_test.rego:3:1: no", line=3)
    lie = replace(failed, path="../outside.rego")
    report = rehearsal_report(replace(VALID, tests=(failed, broken, lie)))
    assert [(one.path, one.line, one.title, one.message) for one in report.annotations] == [
        ("p/x_test.rego", 7, "test_a: failed", "The rule is false, or nothing makes it true."),
        ("p/y_test.rego", 3, "tests: not run for an error", "p/y_test.rego:3:1: no"),
    ]
    many = rehearsal_report(replace(VALID, problems=(IN_STACKS,) * 61))
    assert len(many.annotations) == MAX_ANNOTATIONS
    assert many.summary.endswith("\n\n11 more annotations are not shown.")


def test_nothing_would_change() -> None:
    assert seen(rehearsal_report(replace(VALID, replayed=3)))[2] == snapshot(
        "valid: 3 stacks · no recorded event would be decided otherwise"
    )
    assert seen(rehearsal_report(replace(VALID, stack_count=1)))[2] == "valid: 1 stack"


def test_a_failing_policy_test_fails_the_check() -> None:
    tests = (
        TestLine(path="policies/x_test.rego", name="test_a", outcome=TestOutcome.FAILED),
        TestLine(path="policies/y_test.rego", name="", outcome=TestOutcome.ERROR, message="does not parse"),
        TestLine(path="policies/x_test.rego", name="test_b", outcome=TestOutcome.PASSED),
    )
    report = rehearsal_report(replace(VALID, tests=tests, tests_note="stopped after 60 s"))
    assert seen(report) == ("config", "failure", "2 policy tests failed")
    assert "Policy tests: 1 passed, 1 failed, 1 not run for an error; stopped after 60 s." in report.summary
    assert report.text == snapshot("""\
### Policy tests that failed

- `policies/x_test.rego` `test_a` failed
- `policies/y_test.rego` error: `does not parse`\
""")


def test_a_fork_is_read_but_not_tried_out() -> None:
    report = rehearsal_report(
        replace(VALID, replay_note="This pull request comes from a fork: its policies are not run")
    )
    assert report.summary.endswith("\n\nThis pull request comes from a fork: its policies are not run.")


HOSTILE = st.one_of(st.text(max_size=3_000), st.sampled_from(["a | b", "a\\|b", "@alice", "<img src=x>", "`|`"]))
PROBLEMS = st.builds(Problem, line=st.integers(-3, 10**9), message=HOSTILE, remedy=HOSTILE, path=HOSTILE)
POLICIES = st.builds(PolicyLine, name=HOSTILE, type=st.sampled_from(["plan", "push"]), path=HOSTILE)
TESTS = st.builds(TestLine, path=HOSTILE, name=HOSTILE, outcome=st.sampled_from(TestOutcome), message=HOSTILE)
FLIPS = st.builds(
    Flip,
    event=HOSTILE,
    head_sha=st.just(SHA),
    stack_name=HOSTILE,
    now=st.one_of(st.none(), st.sampled_from(Verdict)),
    then=st.one_of(st.none(), st.sampled_from(Verdict)),
    reason=HOSTILE,
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(PROBLEMS, max_size=3),
    st.lists(TESTS, max_size=3),
    st.lists(FLIPS, max_size=3),
    HOSTILE,
    st.integers(1, 90),
    st.lists(POLICIES, max_size=2),
)
def test_it_fits_and_says_nothing_of_its_own_whatever_is_in_it(
    problems: list[Problem], tests: list[TestLine], flips: list[Flip], note: str, times: int, policies: list[PolicyLine]
) -> None:
    view = RehearsalView(
        head_sha=SHA,
        problems=tuple(problems * times),
        tests=tuple(tests * times),
        flips=tuple(flips * times),
        policies=tuple(policies * times),
        tests_note=note,
        replay_note=note,
    )
    report = rehearsal_report(view)
    assert size_bytes(report.summary) <= MAX_BYTES
    assert size_bytes(report.text) <= MAX_BYTES
    assert len(report.title) <= 200
    assert len(report.annotations) <= MAX_ANNOTATIONS
    assert all(one.line >= 1 and len(one.title) <= 255 for one in report.annotations)
    tokens = MarkdownIt("commonmark").enable("table").parse(f"{report.summary}\n\n{report.text}")
    kinds = {child.type for token in tokens for child in token.children or []}
    assert not kinds & {"image", "html_inline", "link_open"}
    rows = sum(token.type == "tr_open" for token in tokens)
    assert sum(token.type in ("td_open", "th_open") for token in tokens) == 5 * rows
