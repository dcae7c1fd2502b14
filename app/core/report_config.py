"""Checks without a run: the `config` check of a commit, and a push whose decision failed.

Both have a fixed content: they are computed once and kept in the outbox as a document.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.core.markdown import MAX_BYTES, code, cut, fence, fitting, sentence, tail, visible
from app.core.names import Sha
from app.core.reply import CheckReport, CheckStatus, Conclusion
from app.core.stack import CONFIG_PATH, Problem

MAX_PROBLEMS: Final = 60
"""Problems that are listed; the rest is counted."""
MAX_SUGGESTION: Final = 15_000
"""Characters of a suggested file that are shown: at four bytes each they fit."""
MAX_NAMES: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigView:
    """What became of the stacks file of one commit."""

    head_sha: Sha
    problems: tuple[Problem, ...] = ()
    stack_names: tuple[str, ...] = ()
    """The stacks of a valid file."""
    suggestion: str = ""
    """Set exactly when there is no file: what one could hold."""
    new_file_url: str = ""
    """GitHub's page that makes the file, filled in."""
    has_last_good: bool = False
    """An older version stays in force."""
    details_url: str = ""


def config_report(view: ConfigView) -> CheckReport:
    """The `config` check: valid, every problem with line and remedy, or what a first file could be."""
    if view.suggestion:
        conclusion, title, summary, text = _missing(view)
    elif view.problems:
        conclusion, title, summary, text = _invalid(view)
    else:
        conclusion, title, summary, text = _valid(view)
    return CheckReport(
        name="config",
        head_sha=view.head_sha,
        external_id=f"config/{view.head_sha}",
        status=CheckStatus.COMPLETED,
        conclusion=conclusion,
        title=title,
        summary=summary,
        text=text,
        details_url=view.details_url,
    )


def failed_decision_report(name: str, sha: Sha, reason: str, *, details_url: str = "") -> CheckReport:
    """`deploy/<stack>`: the push could not be decided for the stack `name`, so nothing was started, and why."""
    lines = (
        "What this push means for the stack could not be decided. Closed by default: no run was made.",
        fence(tail(reason, 4_000)),
        "Mend what is named above and push again.",
    )
    return CheckReport(
        name=f"deploy/{name}",
        head_sha=sha,
        external_id=f"decision/{sha}",
        status=CheckStatus.COMPLETED,
        conclusion=Conclusion.FAILURE,
        title="not decided: nothing was started",
        summary="\n\n".join(line for line in lines if line),
        text="",
        details_url=details_url,
    )


def _valid(view: ConfigView) -> tuple[Conclusion, str, str, str]:
    count = len(view.stack_names)
    title = f"valid: {count:,} {'stack' if count == 1 else 'stacks'}"
    shown = [f"- {code(name)}" for name in view.stack_names[:MAX_NAMES]]
    more = [f"- and {count - len(shown):,} more"] if count > len(shown) else []
    return Conclusion.SUCCESS, title, f"`{CONFIG_PATH}` is valid.", "\n".join((*shown, *more))


def _invalid(view: ConfigView) -> tuple[Conclusion, str, str, str]:
    count = len(view.problems)
    title = f"{count:,} {'problem' if count == 1 else 'problems'} in {CONFIG_PATH}"
    last_good = (
        "The last valid version stays in force."
        if view.has_last_good
        else "There is no older valid version: no stack of this repository is tracked until it is mended."
    )
    return Conclusion.FAILURE, title, f"`{CONFIG_PATH}` is not valid. {last_good}", problem_list(view.problems)


def problem_list(problems: Sequence[Problem]) -> str:
    """Every problem with its line, what is wrong and the remedy; the first MAX_PROBLEMS that fit, the rest counted."""
    items = (f"- {_place(each)}: {sentence(f'{told(each)}: {each.remedy}')}" for each in problems[:MAX_PROBLEMS])
    rows = fitting(items, MAX_BYTES - 200)
    more = [f"- and {len(problems) - len(rows):,} more"] if len(problems) > len(rows) else []
    return "\n".join((*rows, *more))


def told(problem: Problem) -> str:
    """What is wrong, without the place that the message of a policy's mistake begins with."""
    return problem.message.removeprefix(f"{problem.path}:{problem.line}: ") if problem.path else problem.message


def _place(problem: Problem) -> str:
    line = f"**line {problem.line}**"
    return f"{code(problem.path, limit=200)} {line}" if problem.path else line


def _missing(view: ConfigView) -> tuple[Conclusion, str, str, str]:
    is_linkable = view.new_file_url.startswith(("https://", "http://")) and not set(view.new_file_url) & set(
        "<> \n\r\t\\"
    )
    link = (
        f"[Make it on GitHub](<{view.new_file_url}>), filled in with the stacks that were found." if is_linkable else ""
    )
    lines = (f"This repository has Terraform files, but no `{CONFIG_PATH}`: nothing is tracked yet.", link)
    text = f"### Suggested `{CONFIG_PATH}`\n\n{fence(_shown(view.suggestion), 'yaml')}"
    return Conclusion.NEUTRAL, f"no {CONFIG_PATH} yet", "\n\n".join(line for line in lines if line), text


def _shown(suggestion: str) -> str:
    """The suggested file, bounded."""
    return cut(visible(cut(suggestion, MAX_SUGGESTION), keep_lines=True), MAX_SUGGESTION)
