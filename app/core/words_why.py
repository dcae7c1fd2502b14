"""Why stacks did or did not run, in words: the answer to `/trackside why` and to `trackside why` on the server.

Foreign words go into code on GitHub; on a terminal they are made visible. Everything is bounded.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from app.core.decision import Decision, EventKind, PolicyOutcome, Verdict
from app.core.explanation import Explained
from app.core.markdown import code, sentence, shortened, size_bytes
from app.core.names import Sha
from app.core.run import Run, RunState
from app.core.runview import short
from app.core.words_run import word_of

MAX_STACKS: Final = 20
"""Decisions that a reply tells of; the rest is counted."""
MAX_REPLY_BYTES: Final = 50_000
MAX_PRINTS: Final = 5
"""Lines that a policy printed, of each."""
MAX_PRINT: Final = 200
MAX_POLICIES: Final = 10
MAX_RULES: Final = 20
_VERDICTS: Final = {
    Verdict.TRACK: "tracked",
    Verdict.PROPOSE: "proposed",
    Verdict.IGNORE: "ignored",
    Verdict.FAIL: "not decided",
}


def why(told: Sequence[Explained], sha: Sha, *, stack: str, prefix: str) -> str:
    """What was decided about a commit, stack by stack, with the policies that were asked: Markdown for a comment."""
    if not told:
        return _nothing(sha, stack)
    head = f"What was decided about {code(short(sha))}:\n"
    items = ["\n".join(_item(each)) for each in told[:MAX_STACKS]]
    room = MAX_REPLY_BYTES
    shown = []
    for item in items:
        room -= size_bytes(item) + 1
        if room < 0:
            break
        shown.append(item)
    missing = len(told) - len(shown)
    if missing:
        shown.append(f"- and {missing:,} more: {code(f'{prefix} why STACK')} tells of one")
    return "\n".join((head, *shown))


def other_stacks(told: Sequence[Explained]) -> str:
    """Which stacks a commit was decided for, behind a sentence that one was not; empty when for none."""
    names = list(dict.fromkeys(each.decision.stack_name for each in told))
    more = f" and {len(names) - MAX_STACKS:,} more" if len(names) > MAX_STACKS else ""
    return f"; there are some of {', '.join(names[:MAX_STACKS])}{more}" if names else ""


def why_lines(told: Sequence[Explained]) -> Iterator[str]:
    """The same for a terminal, every decision, one to a few lines each."""
    for each in told:
        decision = each.decision
        answer = decision.answer
        note = f" ({_plain(decision.note)})" if decision.note else ""
        yield f"{decision.stack_name:24}  {answer.verdict.value:8}  {_plain(answer.reason)}{note}  [{_about(decision)}]"
        for outcome in decision.policies:
            yield f"    policy {_plain(outcome.name)}: {_plain_outcome(outcome)}"
            yield from (f"        printed: {_plain(line)}" for line in outcome.prints[:MAX_PRINTS])
        if each.run is not None:
            yield f"    run {each.run.id}: {each.run.type.value}, {word_of(each.run)}{_plain(_skipped(each.run))}"


def why_document(told: Sequence[Explained]) -> list[dict[str, object]]:
    """The same for programs. Shape: one object a decision, with its input and with every policy's rules."""
    return [
        {
            "stack": each.decision.stack_name,
            "stack_id": each.decision.stack_id,
            "event": each.decision.event.value,
            "action": each.decision.action,
            "ref": each.decision.ref,
            "pull_number": each.decision.pull_number,
            "verdict": each.decision.answer.verdict.value,
            "reason": each.decision.answer.reason,
            "note": each.decision.note,
            "policies": [_document(outcome) for outcome in each.decision.policies],
            "elapsed_s": each.decision.elapsed_s,
            "run": {"id": each.run.id, "type": each.run.type.value, "state": each.run.state.value}
            if each.run is not None
            else None,
            "input": each.decision.input,
        }
        for each in told
    ]


def _nothing(sha: Sha, stack: str) -> str:
    if stack:
        return (
            f"Nothing was decided for {code(stack)} about {code(short(sha))}: no stack of that name was in the stacks "
            "file in force then, or no event of this commit has reached me."
        )
    return (
        f"Nothing was decided about {code(short(sha))}: no push, tag or pull request of it has reached me, or the "
        "repository had no stacks then."
    )


def _item(each: Explained) -> Iterator[str]:
    """One decision as a list item, its policies below it."""
    decision, run = each.decision, each.run
    words = "; ".join(part for part in (decision.answer.reason, decision.note) if part)
    about = "" if decision.event is EventKind.PUSH else f" ({sentence(_about(decision), limit=100)})"
    ends = f" Run {code(run.id)}: {word_of(run)}{_skipped(run)}." if run is not None else ""
    told = f"**{_VERDICTS[decision.answer.verdict]}**, {sentence(words, limit=600)}."
    yield f"- {code(decision.stack_name, limit=100)}{about}: {told}{ends}"
    for outcome in decision.policies[:MAX_POLICIES]:
        yield f"  - policy {code(outcome.name, limit=100)}: {_outcome(outcome)}"
        for line in outcome.prints[:MAX_PRINTS]:
            yield f"    - printed {code(line, limit=MAX_PRINT)}"
        if len(outcome.prints) > MAX_PRINTS:
            yield f"    - and {len(outcome.prints) - MAX_PRINTS:,} more lines printed"


def _skipped(run: Run) -> str:
    """Why a run was skipped, behind the word that says so."""
    return f" ({sentence(run.reason, limit=300)})" if run.state is RunState.SKIPPED and run.reason else ""


def _about(decision: Decision) -> str:
    """The event in words: `push`, `tag v1`, `pull request 7, synchronize`."""
    kind = decision.event.value.replace("_", " ")
    if decision.event is EventKind.TAG:
        return f"tag {decision.ref.removeprefix('refs/tags/')}"
    number = f" {decision.pull_number}" if decision.pull_number is not None else ""
    action = f", {decision.action.replace('_', ' ')}" if decision.action else ""
    return f"{kind}{number}{action}"


def _outcome(outcome: PolicyOutcome) -> str:
    if outcome.failure:
        return f"gave no answer: {code(outcome.failure, limit=300)}"
    fired = [f"{code(rule, limit=60)}{f' (line {line})' if line else ''}" for rule, line in outcome.fired[:MAX_RULES]]
    more = f" and {len(outcome.fired) - MAX_RULES:,} more" if len(outcome.fired) > MAX_RULES else ""
    return ", ".join(fired) + more if fired else "no rule came out true"


def _plain_outcome(outcome: PolicyOutcome) -> str:
    if outcome.failure:
        return f"gave no answer: {_plain(outcome.failure)}"
    fired = [f"{_plain(rule)}{f' (line {line})' if line else ''}" for rule, line in outcome.fired[:MAX_RULES]]
    return f"{', '.join(fired) or 'no rule came out true'}  ({outcome.elapsed_s * 1000:.1f} ms)"


def _document(outcome: PolicyOutcome) -> dict[str, object]:
    return {
        "name": outcome.name,
        "rules": dict(outcome.rules),
        "fired": [{"rule": rule, "line": line} for rule, line in outcome.fired],
        "prints": list(outcome.prints),
        "failure": outcome.failure,
        "elapsed_s": outcome.elapsed_s,
    }


def _plain(text: str) -> str:
    """Hostile text in one visible line of a terminal."""
    return shortened(text, 600)
