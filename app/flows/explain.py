"""Why a commit did or did not run: the summary checks, and the answers to people who ask.

Reads decisions and runs as they are now, whatever event brought them; decides nothing and changes nothing.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar

from app.core.decision import HELD_BACK, Decision, EventKind, Verdict
from app.core.explanation import Explained, ShortDecision
from app.core.happening import Happening
from app.core.names import RepositoryId, RunId, Sha, StackId
from app.core.report_summary import CROWD, StackLine, SummaryName, SummaryView
from app.core.run import Run, RunType, Trigger
from app.core.words_run import run_line
from app.flows.ports import Transaction

FEW: Final = 5
"""While more runs than this are under way on a crowded commit, its summary is left alone."""
K = TypeVar("K")
_PUSHES: Final = (EventKind.PUSH, EventKind.TAG)


class CommitQuestions(Protocol):
    """What the store is asked about one commit, outside any transaction."""

    def list_short_decisions(self, repository_id: RepositoryId, sha: Sha) -> list[ShortDecision]:
        """The newest decision of each stack, ref and event, those that are not ignored first; bounded."""
        ...

    def count_decided(self, repository_id: RepositoryId, sha: Sha) -> int:
        """How many such there are, all in all."""
        ...

    def list_newest_runs_at(self, repository_id: RepositoryId, sha: Sha) -> list[Run]:
        """The newest run of each stack, type and ref that reports there."""
        ...

    def list_runs_after(self, repository_id: RepositoryId, sha: Sha) -> list[Run]:
        """The runs that dependencies made, directly or not, of the runs of that commit, oldest first."""
        ...

    def count_stacks_run(self, repository_id: RepositoryId, sha: Sha, *, is_state_changing: bool) -> int: ...
    def count_stacks_failed(self, repository_id: RepositoryId, sha: Sha) -> int: ...
    def count_under_way(self, repository_id: RepositoryId, sha: Sha, *, is_state_changing: bool) -> int: ...
    def list_decisions(self, repository_id: RepositoryId, sha: Sha) -> list[Decision]: ...
    def list_decisions_about(self, repository_id: RepositoryId, sha: Sha, stack: str) -> list[Decision]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Explain:
    """The use case. `run_url` and `home_url` name the pages that people are sent to, `prefix` begins a command."""

    questions: CommitQuestions
    run_url: Callable[[RunId], str]
    home_url: str
    prefix: str

    def summary(self, repository_id: RepositoryId, sha: Sha, name: SummaryName) -> SummaryView:
        """The commit as its summary check sees it."""
        found = self.questions.list_short_decisions(repository_id, sha)
        missing = self.questions.count_decided(repository_id, sha) - len(found)
        runs = self.questions.list_newest_runs_at(repository_id, sha)
        lines = self._of_pull(found, runs) if name is SummaryName.PROPOSED else self._of_push(found, runs)
        return SummaryView(
            name=name,
            head_sha=sha,
            lines=tuple(lines),
            left_out=max(0, missing),
            details_url=self.home_url,
            prefix=self.prefix,
        )

    def is_crowded(self, repository_id: RepositoryId, sha: Sha, *, is_state_changing: bool) -> bool:
        """True when so many stacks are affected that the commit's summary speaks for all of them."""
        running = self.questions.count_stacks_run(repository_id, sha, is_state_changing=is_state_changing)
        return running + self.questions.count_stacks_failed(repository_id, sha) > CROWD

    def is_too_busy(self, repository_id: RepositoryId, sha: Sha, name: SummaryName) -> bool:
        """True while a summary that stands already would change with every run that goes on."""
        changes = name is SummaryName.DEPLOY
        return self.questions.count_under_way(repository_id, sha, is_state_changing=changes) > FEW

    def why(self, repository_id: RepositoryId, sha: Sha, stack: str = "") -> tuple[Explained, ...]:
        """The newest decision of each stack and ref about a commit (or of one stack alone), with the run of each."""
        if stack:
            found = self.questions.list_decisions_about(repository_id, sha, stack)
        else:
            found = self.questions.list_decisions(repository_id, sha)[::-1]
        newest: dict[tuple[StackId, str, EventKind], Decision] = {}
        for decision in found:
            newest.setdefault((decision.stack_id, decision.ref, decision.event), decision)
        runs = self.questions.list_newest_runs_at(repository_id, sha)
        after = _by(self.questions.list_runs_after(repository_id, sha), lambda run: run.stack_id)
        told = [
            Explained(decision=each, run=_run_of(each, runs) or (after.get(each.stack_id) if _is_push(each) else None))
            for each in newest.values()
        ]
        told.sort(key=lambda each: (each.decision.answer.verdict is Verdict.IGNORE, each.decision.stack_name))
        return tuple(told)

    def _of_push(self, found: Iterable[ShortDecision], runs: list[Run]) -> list[StackLine]:
        """One line for each stack and ref that was pushed."""
        newest = _by((run for run in runs if run.type is RunType.TRACKED), lambda run: (run.stack_id, run.ref))
        return [
            self._line(short, newest.get((short.stack_id, short.ref)) if _makes_run(short) else None)
            for short in found
            if short.event in _PUSHES
        ]

    def _of_pull(self, found: Iterable[ShortDecision], runs: list[Run]) -> list[StackLine]:
        """One line for each stack: what an event made of it, else why none did."""
        proposed = _by((run for run in runs if run.type is RunType.PROPOSED), lambda run: run.stack_id)
        others = _by((run for run in runs if run.type is RunType.TRACKED), lambda run: run.stack_id)
        chosen: dict[StackId, ShortDecision] = {}
        for short in found:
            if short.event is not EventKind.TAG:
                known = chosen.get(short.stack_id)
                if known is None or _rank(short) < _rank(known):
                    chosen[short.stack_id] = short
        lines = []
        for stack_id, short in chosen.items():
            run = proposed.get(stack_id)
            if run is not None and run.trigger is Trigger.COMMAND and not _makes_run(short):
                asked_for = replace(short, verdict=Verdict.PROPOSE, reason=f"a run was asked for by {run.triggered_by}")
                lines.append(self._line(asked_for, run))
            else:
                lines.append(self._line(short, (run or others.get(stack_id)) if _makes_run(short) else None))
        return lines

    def _line(self, short: ShortDecision, run: Run | None) -> StackLine:
        return StackLine(
            stack_name=short.stack_name,
            verdict=short.verdict,
            reason=short.words,
            tag=short.ref.removeprefix("refs/tags/") if short.event is EventKind.TAG else "",
            run=run_line(run, self.run_url(run.id)) if run is not None else None,
            is_held_back=short.verdict is Verdict.IGNORE and short.reason.endswith(HELD_BACK),
        )


def want_summaries(tx: Transaction, happening: Happening, head: Sha, branches: Collection[str]) -> None:
    """Want the summary check that an event calls for. `branches`: those that the repository's stacks track.

    `trackside` on every head of an open pull request and on every merge group, `trackside/deploy` on what was pushed to
    a tracked branch, or tagged. A push of any other branch has none: its pull request's event brings one.
    """
    pull, repository = happening.pull, happening.repository
    if happening.kind is EventKind.MERGE_GROUP or (pull is not None and not pull.is_closed):
        tx.want_summary(repository.id, head, SummaryName.PROPOSED.value)
    elif happening.tag or (happening.branch in branches and (pull is None or pull.is_merged)):
        tx.want_summary(repository.id, head, SummaryName.DEPLOY.value)


def _makes_run(short: ShortDecision) -> bool:
    return short.verdict in (Verdict.TRACK, Verdict.PROPOSE)


def _rank(short: ShortDecision) -> tuple[bool, bool, int]:
    """Which of several decisions about a stack speaks for it: one that something follows from, about the pull request
    rather than about its push, one that could not be made before all others."""
    order = (Verdict.FAIL, Verdict.PROPOSE, Verdict.TRACK, Verdict.IGNORE)
    return short.verdict is Verdict.IGNORE, short.event in _PUSHES, order.index(short.verdict)


def _by(runs: Iterable[Run], key: Callable[[Run], K]) -> dict[K, Run]:
    """The newest run of each key; the runs come oldest first."""
    return {key(run): run for run in runs}


def _is_push(decision: Decision) -> bool:
    return decision.event in _PUSHES


def _run_of(decision: Decision, runs: Iterable[Run]) -> Run | None:
    """The run that a decision made, or found: same stack and the type that its verdict asks for."""
    wanted = {Verdict.TRACK: True, Verdict.PROPOSE: False}.get(decision.answer.verdict)
    fitting = [run for run in runs if run.stack_id == decision.stack_id and run.type.is_state_changing is wanted]
    exact = [run for run in fitting if run.ref == decision.ref]
    return next(iter((exact or fitting)[::-1]), None)
