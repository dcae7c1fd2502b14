"""The summary checks of a commit: every stack with its verdict, the reason in words, and what came of it.

`trackside` stands on heads of pull requests and merge groups and is the one to require; `trackside/deploy` on commits
of tracked branches and on tags. Both are computed from the decisions and runs of the commit, whatever the event was.
"""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.core.changelist import delta_line
from app.core.decision import Verdict
from app.core.markdown import MAX_BYTES, code, fitting, sentence, size_bytes
from app.core.names import Sha
from app.core.reply import CheckReport, CheckStatus, Conclusion
from app.core.run import RunState, RunType
from app.core.words_run import RunLine, state_word

CROWD: Final = 20
"""More affected stacks than this on one commit: the summary speaks for all of them, until somebody acts on one."""
MAX_OFFERED: Final = 10
"""Stacks that one command, ready to copy, names."""
MAX_REASON: Final = 300
"""Characters of one reason that are shown."""
_ROOM: Final = MAX_BYTES - 200
"""Bytes of a list, so that the line that counts the rest always fits."""


class SummaryName(StrEnum):
    """The two summary checks; their values are the names on GitHub."""

    PROPOSED = "trackside"
    """Of a head of a pull request or merge group: ends when the proposed runs have ended."""
    DEPLOY = "trackside/deploy"
    """Of a commit that was decided for a tracked branch or a tag: ends at once, and never blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackLine:
    """What one event meant for one stack, and the run that came of it."""

    stack_name: str
    verdict: Verdict
    reason: str
    """In words; hostile text."""
    tag: str = ""
    """The tag that it was about; empty for a branch or a pull request."""
    run: RunLine | None = None
    is_held_back: bool = False
    """It would have a run if its commit were not a fork's."""

    @property
    def is_affected(self) -> bool:
        """False when nothing was to follow."""
        return self.verdict is not Verdict.IGNORE


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryView:
    """A commit as its summary sees it."""

    name: SummaryName
    head_sha: Sha
    lines: tuple[StackLine, ...]
    """Shape: one per stack and ref, in any order."""
    left_out: int = 0
    """Decisions beyond those in `lines`: too many to be read."""
    details_url: str = ""
    prefix: str = "/trackside"
    """How a command begins in a comment."""

    @property
    def held_back(self) -> tuple[str, ...]:
        """The stacks that would have a run if the commit were not a fork's, by name."""
        return tuple(sorted({line.stack_name for line in self.lines if line.is_held_back}))

    @property
    def affected(self) -> tuple[StackLine, ...]:
        """The lines that something follows from, by stack name."""
        return tuple(sorted((line for line in self.lines if line.is_affected), key=_by_name))

    @property
    def is_crowded(self) -> bool:
        """True when the stacks have no check runs of their own: this check has to say how each stands."""
        return len({line.stack_name for line in self.affected}) > CROWD

    @property
    def under_way(self) -> int:
        """How many runs will go on without anybody's doing."""
        return sum(line.run is not None and is_under_way(line.run.state) for line in self.lines)


def says_something(view: SummaryView) -> bool:
    """False when a stack's own check says all that there is: a request for a summary is saved then.

    `trackside` is always said, since branches may require it.
    """
    if view.name is SummaryName.PROPOSED:
        return True
    is_single_run = len(view.lines) == 1 and view.lines[0].verdict is Verdict.TRACK and view.lines[0].run is not None
    return bool(view.lines) and not is_single_run


def summary_report(view: SummaryView) -> CheckReport:
    """What the summary check should say now."""
    status, conclusion = _status(view)
    ignored = sorted((line for line in view.lines if not line.is_affected), key=_by_name)
    runs = [line.run.id for line in view.lines if line.run is not None]
    return CheckReport(
        name=view.name.value,
        head_sha=view.head_sha,
        # A completed check run is never reopened: runs that come later make another one of the same name.
        external_id=f"summary/{max(runs, default='-')}" if view.name is SummaryName.PROPOSED else "summary",
        status=status,
        conclusion=conclusion,
        title=_title(view),
        summary=_table(view),
        text=_ignored(ignored, view.left_out),
        details_url=view.details_url,
    )


def _status(view: SummaryView) -> tuple[CheckStatus, Conclusion | None]:
    """In progress until all proposed runs ended; closed by default: what was not planned does not pass."""
    if any(line.verdict is Verdict.FAIL for line in view.lines):
        is_failed = True
    else:
        is_failed = any(_is_bad(line) for line in _proposed(view))
    if view.name is SummaryName.DEPLOY:
        return CheckStatus.COMPLETED, Conclusion.NEUTRAL if is_failed else Conclusion.SUCCESS
    if any(line.run is not None and not line.run.state.is_terminal for line in _proposed(view)):
        return CheckStatus.IN_PROGRESS, None
    return CheckStatus.COMPLETED, Conclusion.FAILURE if is_failed else Conclusion.SUCCESS


def _proposed(view: SummaryView) -> list[StackLine]:
    return [line for line in view.lines if line.run is not None and line.run.type is RunType.PROPOSED]


def _is_bad(line: StackLine) -> bool:
    """True for a proposed run that ended without a plan."""
    run = line.run
    return run is not None and run.state.is_terminal and run.state is not RunState.FINISHED


def _title(view: SummaryView) -> str:
    """How many stacks are affected, and how they stand."""
    affected, stacks = view.affected, {line.stack_name for line in view.lines}
    if not view.lines:
        return "no stack is configured"
    names = {line.stack_name for line in affected}
    total = f"{len(stacks) + view.left_out:,}"
    if not names and view.held_back:
        return f"{len(view.held_back):,} of {total} {'stack' if total == '1' else 'stacks'} held back: a fork's commit"
    if not names:
        return "the one stack is not affected" if total == "1" else f"none of {total} stacks is affected"
    head = f"{len(names):,} of {total} {'stack' if total == '1' else 'stacks'} affected"
    return f"{head}: {_counted(view)}"


def _counted(view: SummaryView) -> str:
    """`2 planned, 1 failed`."""
    shows_state = _shows_states(view)
    counts = Counter(_word(line, shows_state=shows_state) for line in view.affected)
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{count:,} {word}" for word, count in ordered)


def _shows_states(view: SummaryView) -> bool:
    """False where each stack's own check follows its run, and this one would only repeat it with a request each."""
    return view.name is SummaryName.PROPOSED or view.is_crowded


def _word(line: StackLine, *, shows_state: bool) -> str:
    """What became of a stack, in a word or two."""
    run = line.run
    if line.verdict is Verdict.FAIL:
        return "not decided"
    if run is None:
        return "without a run"
    if not shows_state:
        return "tracked" if run.type.is_state_changing else "proposed"
    return state_word(run)


def _table(view: SummaryView) -> str:
    """The affected stacks: those that need somebody first."""
    lines = sorted(view.affected, key=lambda line: (_rank(line), *_by_name(line)))
    if not lines and view.held_back:
        return _held_back(view)
    if not lines:
        return "Nothing is to be done for any stack." if view.lines else "No stack of this repository is configured."
    head = "| stack | what happens | why |\n| --- | --- | --- |"
    shows_state = _shows_states(view)
    rows = (_row(line, shows_state=shows_state) for line in lines)
    after = _AFTER[view.name] + (f"\n\n{_held_back(view)}" if view.held_back else "")
    shown = fitting(rows, _ROOM - size_bytes(head) - size_bytes(after))
    more = f"\n\nand {len(lines) - len(shown):,} more affected" if len(shown) < len(lines) else ""
    return "\n".join((head, *shown)) + more + after


def _held_back(view: SummaryView) -> str:
    """What somebody who may can say to have a fork's commit looked at, ready to copy."""
    names = view.held_back
    command = code(f"{view.prefix} plan {' '.join(names[:MAX_OFFERED])} --sha {view.head_sha}", limit=2_000)
    more = f" ({len(names) - MAX_OFFERED:,} more stacks are held back.)" if len(names) > MAX_OFFERED else ""
    return (
        "The commit comes from a fork, so nothing of it runs by itself. Somebody with write permission who has read it "
        "can have it validated in a comment, without secrets, state or tokens, until the next push:\n\n"
        f"{command}{more}"
    )


_AFTER: Final = {
    SummaryName.PROPOSED: "\n\nPlanned only: nothing is applied before the change has landed.",
    SummaryName.DEPLOY: "\n\n`trackside/deploy` tells what was decided. It never fails and never blocks.",
}


def _row(line: StackLine, *, shows_state: bool) -> str:
    about = f" (tag {_cell(code(line.tag, limit=80))})" if line.tag else ""
    cells = (
        f"{_cell(code(line.stack_name, limit=100))}{about}",
        _what(line, shows_state=shows_state),
        _cell(_why(line)),
    )
    return f"| {' | '.join(cells)} |"


def _what(line: StackLine, *, shows_state: bool) -> str:
    """The run with a link, or why there is none."""
    run = line.run
    if run is None:
        return _word(line, shows_state=shows_state)
    word = _word(line, shows_state=shows_state)
    if shows_state and run.delta is not None and run.has_changes:
        word = f"{word} {delta_line(run.delta)}"
    elif shows_state and run.delta is not None and run.state is RunState.FINISHED and run.type is RunType.PROPOSED:
        word = "planned: no changes"
    return f"[{word}](<{run.url}>)"


def _why(line: StackLine) -> str:
    return sentence(line.reason, limit=MAX_REASON) if line.reason else "-"


def _ignored(lines: list[StackLine], left_out: int) -> str:
    """The stacks that nothing follows for: what a fork's commit would change, and what is not affected."""
    held = _listed("Held back", [line for line in lines if line.is_held_back], 0, _ROOM // 2)
    rest = [line for line in lines if not line.is_held_back]
    unaffected = _listed("Not affected", rest, left_out, _ROOM - size_bytes(held))
    return "\n\n".join(part for part in (held, unaffected) if part)


def _listed(title: str, lines: list[StackLine], left_out: int, room: int) -> str:
    """Each with its reason, as far as they fit; the rest counted exactly."""
    if not lines and not left_out:
        return ""
    names = {line.stack_name for line in lines}
    head = f"### {title}: {len(names) + left_out:,}\n\n"
    shown = fitting((_item(line) for line in lines), room - size_bytes(head))
    missing = len(lines) - len(shown) + left_out
    more = [f"- and {missing:,} more"] if missing else []
    return head + "\n".join((*shown, *more))


def _item(line: StackLine) -> str:
    about = f" (tag {code(line.tag, limit=80)})" if line.tag else ""
    return f"- {code(line.stack_name, limit=100)}{about}: {_why(line)}"


def _rank(line: StackLine) -> int:
    """What needs somebody comes first."""
    run = line.run
    if line.verdict is Verdict.FAIL or (run is not None and run.state is RunState.FAILED):
        return 0
    if run is None or run.state in (RunState.UNCONFIRMED, RunState.PENDING_REVIEW):
        return 1
    return 2 if not run.state.is_terminal else 3


def is_under_way(state: RunState) -> bool:
    """True when a run goes on without anybody's doing."""
    passive = (RunState.QUEUED, RunState.UNCONFIRMED, RunState.PENDING_REVIEW)
    return not state.is_terminal and state not in passive


def _by_name(line: StackLine) -> tuple[str, str]:
    return line.stack_name, line.tag


def _cell(markdown: str) -> str:
    r"""Markdown for a table's cell: a bar would end it, also inside code, and a backslash does not always help."""
    return markdown.replace("|", "\\u007c")
