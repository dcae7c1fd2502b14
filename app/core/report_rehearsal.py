"""The `config` check of a pull request that edits the stacks file or a policy: problems on their lines, what became of
each policy and its tests, and which recorded events would be decided otherwise.

Computed anew for each head; foreign words go into code, what is left out is counted exactly.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.core.decision import Verdict
from app.core.markdown import code, cut, fitting, shortened, visible
from app.core.names import Sha
from app.core.place import is_place
from app.core.reply import MAX_ANNOTATIONS, Annotation, AnnotationLevel, CheckReport, CheckStatus, Conclusion
from app.core.report_annotations import unshown_line
from app.core.report_config import problem_list, told
from app.core.stack import CONFIG_PATH, Problem

MAX_TESTS: Final = 50
"""Failing tests that are listed."""
MAX_FLIPS: Final = 200
"""Rows of the table of flips."""
MAX_UNSERVED: Final = 20
"""Stacks that could not run any more, by name; the rest is counted."""
MAX_POLICIES: Final = 100
"""Policies that are listed."""
MAX_LABEL: Final = 255
"""Characters of an annotation's title. Source: https://docs.github.com/rest/checks/runs"""
MAX_MESSAGE: Final = 2_000
"""Characters of an annotation."""
_ROOM: Final = 30_000
"""Bytes of the list of tests, and of the table of flips."""
_TYPES: Final = ("push", "plan", "approval", "trigger", "notification")
_ASKED: Final = {
    "plan": "a plan with all its values",
    "approval": "a run and its reviews",
    "trigger": "a run that has ended",
    "notification": "a run that comes into a state",
}
_WORDS: Final = {
    Verdict.TRACK: "tracked",
    Verdict.PROPOSE: "proposed",
    Verdict.IGNORE: "ignored",
    Verdict.FAIL: "not decided",
}


class TestOutcome(StrEnum):
    """How one test rule of a policy ended."""

    __test__ = False

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    """It could not be run."""
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestLine:
    """One test rule of a policy."""

    __test__ = False

    path: str
    """Of the test file, from the repository's root."""
    name: str
    """Of the rule; empty for a file that could not be run."""
    outcome: TestOutcome
    message: str = ""
    line: int = 1
    """Of the rule, or of what is wrong with the file."""
    policy: str = ""
    """Path of the policy that it tests; empty when that is not known."""

    @property
    def is_bad(self) -> bool:
        """True when the check must not pass."""
        return self.outcome in (TestOutcome.FAILED, TestOutcome.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyLine:
    """One policy of the configuration; it compiles, else the configuration had a problem."""

    name: str
    type: str
    """`push`, `plan`, `approval`, `trigger` or `notification`."""
    path: str
    is_edited: bool = False
    """By the pull request itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A recorded event that would be decided otherwise for a stack."""

    event: str
    """In words; hostile text."""
    head_sha: Sha
    stack_name: str
    now: Verdict | None
    """With the configuration in force; None: there is no such stack."""
    then: Verdict | None
    """With the proposed one; None: the stack would be gone."""
    reason: str
    """Of the new decision, in words; hostile text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsalView:
    """What a pull request would make of the configuration."""

    head_sha: Sha
    problems: tuple[Problem, ...] = ()
    stack_count: int = 0
    policies: tuple[PolicyLine, ...] = ()
    """Of a configuration without problems."""
    tests: tuple[TestLine, ...] = ()
    tests_note: str = ""
    """Why tests were not run, or not all of them."""
    flips: tuple[Flip, ...] = ()
    replayed: int = 0
    """Recorded events that were decided again."""
    left_out: int = 0
    """Recorded events that are not kept whole, or for which there was no time."""
    replay_note: str = ""
    """Why nothing was decided again."""
    details_url: str = ""
    path: str = CONFIG_PATH
    """The file that the check is about."""
    contents: str = ""
    """What a valid file holds; empty: its stacks, counted."""
    unserved: tuple[str, ...] = ()
    """Stacks of the owner's repositories whose pool would not serve them any more; hostile text."""


def rehearsal_report(view: RehearsalView) -> CheckReport:
    """The `config` check of the pull request's head."""
    bad = [test for test in view.tests if test.is_bad]
    is_bad = bool(view.problems or bad)
    parts = (_problems(view), _tests(bad), _flips(view.flips))
    marks = (*annotations_of(view.problems), *_of_tests(bad))
    return CheckReport(
        name="config",
        head_sha=view.head_sha,
        external_id=f"config/{view.head_sha}",
        status=CheckStatus.COMPLETED,
        conclusion=Conclusion.FAILURE if is_bad else Conclusion.SUCCESS,
        title=_title(view, len(bad)),
        summary="\n\n".join(part for part in (_summary(view), unshown_line(len(marks))) if part),
        text="\n\n".join(part for part in parts if part),
        details_url=view.details_url,
        annotations=marks[:MAX_ANNOTATIONS],
    )


def _title(view: RehearsalView, bad: int) -> str:
    if view.problems:
        return f"{_count(len(view.problems), 'problem')} in the configuration"
    if bad:
        return f"{_count(bad, 'policy test')} failed"
    held = [_count(view.stack_count, "stack"), *([_count_policies(view.policies)] if view.policies else [])]
    valid = f"valid: {view.contents or ', '.join(held)}"
    if view.flips:
        events = len({(flip.event, flip.head_sha) for flip in view.flips})
        return f"{valid} · {events:,} of {view.replayed:,} recorded events would be decided otherwise"
    return f"{valid} · no recorded event would be decided otherwise" if view.replayed else valid


def _summary(view: RehearsalView) -> str:
    if view.problems:
        return (
            "This pull request would break the configuration. Merged as it is, nothing of it would come into force: "
            "the last valid version would stay."
        )
    lines = [f"`{view.path}` and its policies are valid. They come into force when this pull request has landed."]
    if view.unserved:
        named = ", ".join(code(name, limit=100) for name in view.unserved[:MAX_UNSERVED])
        more = f" and {len(view.unserved) - MAX_UNSERVED:,} more" if len(view.unserved) > MAX_UNSERVED else ""
        lines.append(f"**Could not run any more**, since their worker pool would not serve them: {named}{more}.")
    if view.policies:
        lines.append(_policies(view))
    counts = _test_counts(view.tests)
    if counts or view.tests_note:
        lines.append(f"Policy tests: {'; '.join(part for part in (counts, _words(view.tests_note)) if part)}.")
    if view.replay_note:
        lines.append(f"{_words(view.replay_note)}.")
    else:
        lines.append(f"{_replayed(view)}{_not_replayed(view.policies)}")
    return "\n\n".join(lines)


def _policies(view: RehearsalView) -> str:
    """Each policy with what became of it, by type."""
    ordered = sorted(view.policies, key=lambda policy: _TYPES.index(policy.type) if policy.type in _TYPES else 9)
    rows = fitting((_policy(policy, view) for policy in ordered[:MAX_POLICIES]), _ROOM // 2)
    more = [f"- and {len(ordered) - len(rows):,} more"] if len(ordered) > len(rows) else []
    return "\n".join((f"{_count_policies(view.policies)}:", "", *rows, *more))


def _policy(policy: PolicyLine, view: RehearsalView) -> str:
    edited = ", changed here" if policy.is_edited else ""
    counts = _test_counts([test for test in view.tests if test.policy == policy.path])
    are_run = not view.tests_note and not view.replay_note
    tests = f"; tests: {counts}" if counts else "; no tests" if are_run else ""
    return f"- {policy.type} {code(policy.name, limit=100)} ({code(policy.path, limit=200)}{edited}): compiled{tests}"


def _not_replayed(policies: Sequence[PolicyLine]) -> str:
    """That recorded events are questions for push policies alone, where there are others, and why."""
    others = [type_ for type_ in _TYPES[1:] if any(policy.type == type_ for policy in policies)]
    if not others:
        return ""
    named = " and ".join(part for part in (", ".join(others[:-1]), others[-1]) if part)
    asked = ", ".join(_ASKED[type_] for type_ in others)
    return (
        f" Only push policies are asked about them. The {named} policies are not: what those are asked ({asked}) is "
        "not recorded as a question; `trackside policy eval` asks them one that you write."
    )


def _replayed(view: RehearsalView) -> str:
    """How many recorded events were decided again."""
    said = f"{_count(view.replayed, 'recorded event')} decided again with this configuration, running nothing"
    missing = f"; {view.left_out:,} left out (not kept whole, or too many)" if view.left_out else ""
    return f"{said}{missing}."


def _problems(view: RehearsalView) -> str:
    return f"### Problems\n\n{problem_list(view.problems)}" if view.problems else ""


def _tests(bad: Sequence[TestLine]) -> str:
    if not bad:
        return ""
    rows = fitting((_test(test) for test in bad[:MAX_TESTS]), _ROOM)
    more = [f"- and {len(bad) - len(rows):,} more"] if len(bad) > len(rows) else []
    return "\n".join(("### Policy tests that failed", "", *rows, *more))


def _test(test: TestLine) -> str:
    name = f" {code(test.name, limit=100)}" if test.name else ""
    why = f": {code(test.message, limit=300)}" if test.message else ""
    return f"- {code(test.path, limit=200)}{name} {test.outcome.value}{why}"


def _flips(flips: Sequence[Flip]) -> str:
    """The table of what would be decided otherwise."""
    if not flips:
        return ""
    head = "### Decided otherwise\n\n| event | stack | now | then | why then |\n| --- | --- | --- | --- | --- |"
    rows = fitting((_row(flip) for flip in flips[:MAX_FLIPS]), _ROOM)
    more = f"\n\nand {len(flips) - len(rows):,} more" if len(flips) > len(rows) else ""
    return "\n".join((head, *rows)) + more


def _row(flip: Flip) -> str:
    event = f"{code(flip.event, limit=100)} at {code(flip.head_sha[:7])}"
    now = _WORDS[flip.now] if flip.now is not None else "no such stack"
    then = _WORDS[flip.then] if flip.then is not None else "no such stack"
    why = code(flip.reason, limit=200) if flip.reason else "-"
    cells = (_cell(event), _cell(code(flip.stack_name, limit=100)), now, then, _cell(why))
    return f"| {' | '.join(cells)} |"


def annotations_of(problems: Sequence[Problem]) -> tuple[Annotation, ...]:
    """The problems on their lines."""
    return tuple(
        Annotation(
            path=problem.path or CONFIG_PATH,
            line=max(1, problem.line),
            level=AnnotationLevel.FAILURE,
            title=shortened(told(problem), MAX_LABEL),
            message=cut(visible(_rest(problem), keep_lines=True), MAX_MESSAGE) or "-",
        )
        for problem in problems
    )


def _of_tests(bad: Sequence[TestLine]) -> Iterator[Annotation]:
    """The tests that did not pass, on their lines."""
    for test in bad:
        if is_place(test.path, test.line, test.line):
            words = _WHY_FAILED if test.outcome is TestOutcome.FAILED else ""
            yield Annotation(
                path=test.path,
                line=test.line,
                level=AnnotationLevel.FAILURE,
                title=shortened(f"{test.name or 'tests'}: {_OUTCOMES.get(test.outcome, test.outcome)}", MAX_LABEL),
                message=cut(visible(test.message or words, keep_lines=True), MAX_MESSAGE) or "-",
            )


def _rest(problem: Problem) -> str:
    """What an annotation's title does not say: the remedy, after the whole message where the title had to cut it."""
    return problem.remedy if len(told(problem)) <= MAX_LABEL else f"{told(problem)}: {problem.remedy}"


def _test_counts(tests: Sequence[TestLine]) -> str:
    """`12 passed, 1 failed`."""
    counts = {outcome: sum(test.outcome is outcome for test in tests) for outcome in TestOutcome}
    return ", ".join(f"{count:,} {_OUTCOMES.get(outcome, outcome.value)}" for outcome, count in counts.items() if count)


_OUTCOMES: Final = {TestOutcome.ERROR: "not run for an error"}
_WHY_FAILED: Final = "The rule is false, or nothing makes it true."


def _words(text: str) -> str:
    """A note of ours; what it quotes is hostile."""
    return text if not text or set(text) <= _PLAIN else code(text, limit=500)


_PLAIN: Final = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ,:;'-()")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _count_policies(policies: Sequence[PolicyLine]) -> str:
    return f"{len(policies):,} {'policy' if len(policies) == 1 else 'policies'}"


def _cell(markdown: str) -> str:
    r"""Markdown for a table's cell: a bar would end it, also inside code."""
    return markdown.replace("|", "\\u007c")
