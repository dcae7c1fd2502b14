"""A change of a run's state becomes messages: the stack's notification policies are asked, and what they ask for is
kept to be sent.

Outside of the transaction that changed the run, by a job that it deferred. A policy that gives no answer notifies
nobody, and never touches the run. Safe to run twice: what is told is taken in the transaction that keeps the messages.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from app.core import words_notice as words
from app.core.contract import Evaluated, PolicyFailed, PolicyQuestions
from app.core.errors import BrokenError, UserError
from app.core.names import RunId, Sha
from app.core.notice import Channel, Endpoint, StateChange
from app.core.noticeask import CommentWish, InboxWish, SlackWish, Unreadable, WebhookWish, Wish, read_wishes
from app.core.noticeinput import RunTold, change_document, shared_document
from app.core.noticetext import split_log, wants_logs
from app.core.protocol import Phase
from app.core.stack import PolicySpec
from app.flows.configure import text_of
from app.flows.keep_notices import Asked, Keep
from app.flows.ports import Policies, Reading, Store
from app.flows.ports_notice import PullsOf, Receivers

MAX_LOG_BYTES: Final = 2 * 1024 * 1024
"""Of a run's log that is read for a message: its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A run and what is to be told of it, as the store knew it."""

    told: RunTold
    changes: tuple[StateChange, ...]
    endpoints: tuple[Endpoint, ...]
    """That its account's policies may name."""
    texts: dict[str, str]
    """Policy texts by digest."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the policies said: their wishes, and what the log has to know."""

    asked: list[Asked] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """The use case of the `notify` job."""

    store: Store
    reading: Reading
    policies: Policies
    pulls: PullsOf
    receivers: Receivers
    run_url: Callable[[RunId], str]
    web_url: str
    is_shared: bool
    """More than one account is served."""

    def notify(self, run_id: RunId) -> tuple[str, ...]:
        """Ask the policies about what is still to be told of a run; what the log has to know.

        Raises: RetryableError to be run again.
        """
        ground = self._look(run_id)
        if ground is None:
            return ()
        said = self._ask(ground)
        logs = self._logs(run_id) if any(_has_place(one.wish) for one in said.asked) else {}
        with self.store.begin() as tx:
            mine = tx.take_changes(run_id, [change.step_id for change in ground.changes])
            asked = [one for one in said.asked if one.change.step_id in mine]
            keep = Keep(
                tx=tx,
                told=ground.told,
                logs=logs,
                channels=self.receivers.channels,
                is_shared=self.is_shared,
            )
            keep.all(asked)
        return tuple(said.remarks) if mine else ()

    def _look(self, run_id: RunId) -> Ground | None:
        with self.store.begin() as tx:
            changes, run = tx.list_changes(run_id), tx.find_run(run_id)
            if not changes or run is None:
                return None
            stack, repository = tx.find_stack(run.stack_id), tx.find_repository(run.repository_id)
            if stack is None or repository is None:
                raise BrokenError(f"telling of run {run_id}: its stack or repository is gone")
            told = RunTold(
                run=run,
                stack=stack,
                stack_state=tx.list_stack_states([stack.id]).get(stack.id),
                repository=repository,
                summary=tx.find_summary(run.id, run.plan.number) if run.plan is not None else None,
                decision=tx.find_decision(run.decision_id) if run.decision_id is not None else None,
                url=self.run_url(run.id),
                web_url=self.web_url,
            )
            digests = sorted({policy.digest for policy in stack.notification_policies if policy.digest})
            endpoints, texts = tx.list_endpoints(), tx.find_policy_texts(digests)
        mine = [one for one in endpoints if one.takes(repository.owner, is_shared=self.is_shared)]
        return Ground(told=told, changes=tuple(changes), endpoints=tuple(mine), texts=texts)

    def _ask(self, ground: Ground) -> Said:
        """What each policy says to each change: all questions together."""
        said = Said()
        known: list[PolicySpec] = []
        for spec in ground.told.stack.notification_policies:
            if spec.digest in ground.texts:
                known.append(spec)
            else:
                self._fail(said, ground, spec, words.NO_POLICY_TEXT)
        own = [change_document(ground.told, change) for change in ground.changes]
        asked = [PolicyQuestions(policy=text_of(spec, ground.texts[spec.digest]), own=own) for spec in known]
        try:
            shared = shared_document(ground.told.repository, ground.endpoints)
            answers = self.policies.evaluate_all(shared, asked) if asked else []
        except UserError as error:
            for spec in known:
                self._fail(said, ground, spec, str(error))
            return said
        for spec, told in zip(known, answers, strict=True):
            for change, answer in zip(ground.changes, told, strict=True):
                self._hear(said, ground, (spec, change), answer)
        return said

    def _fail(self, said: Said, ground: Ground, spec: PolicySpec, why: str) -> None:
        said.remarks.append(words.gave_no_answer(spec.name, why[:500]))
        for change in ground.changes:
            said.asked.append(
                Asked(policy=spec.name, change=change, wish=Unreadable(channel=Channel.POLICY, reason=why[:500]))
            )

    def _hear(
        self, said: Said, ground: Ground, what: tuple[PolicySpec, StateChange], answer: Evaluated | PolicyFailed
    ) -> None:
        spec, change = what
        if isinstance(answer, PolicyFailed):
            why = f"{answer.kind}: {answer.message}"[:500]
            said.remarks.append(words.gave_no_answer(spec.name, why))
            wish = Unreadable(channel=Channel.POLICY, reason=why)
            said.asked.append(Asked(policy=spec.name, change=change, wish=wish))
            return
        for rule, why in answer.errors_by_rule.items():
            said.remarks.append(words.had_error(spec.name, rule, why[:300]))
        for each in read_wishes(answer.rules):
            asked = self._placed(ground, Asked(policy=spec.name, change=change, wish=each))
            if isinstance(asked.wish, Unreadable):
                said.remarks.append(words.cannot_have(spec.name, asked.wish.reason))
            said.asked.append(asked)

    def _placed(self, ground: Ground, asked: Asked) -> Asked:
        """A comment with the number of its pull request, which GitHub may have to be asked for."""
        wish = asked.wish
        if not isinstance(wish, CommentWish):
            return asked
        try:
            number = self._pull_number(ground, wish)
        except UserError as error:
            refused = Unreadable(channel=Channel.PULL_REQUEST, reason=str(error)[:300])
            return Asked(policy=asked.policy, change=asked.change, wish=refused)
        if not number:
            refused = Unreadable(channel=Channel.PULL_REQUEST, reason=words.NO_PULL)
            return Asked(policy=asked.policy, change=asked.change, wish=refused)
        return Asked(policy=asked.policy, change=asked.change, wish=wish, pull_number=number)

    def _pull_number(self, ground: Ground, wish: CommentWish) -> int:
        run, repository = ground.told.run, ground.told.repository
        if wish.number:
            return wish.number
        if wish.sha == run.head_sha and run.pull_number is not None:
            return run.pull_number
        if wish.sha:
            found = self.pulls.list_changed_pulls(repository, Sha(wish.sha))
        else:
            found = self.pulls.list_open_pulls(repository, wish.branch)
        return found[0].number if found else 0

    def _logs(self, run_id: RunId) -> dict[str, str]:
        """The end of the run's log, which was redacted before it was kept, by what the run was doing."""
        planned, applied = bytearray(), bytearray()
        for chunk in self.reading.read_log(run_id):
            kept = applied if chunk.phase is Phase.APPLY else planned
            kept += chunk.text
            if len(kept) > 2 * MAX_LOG_BYTES:
                del kept[:-MAX_LOG_BYTES]
        return split_log(planned.decode("utf-8", "replace"), applied.decode("utf-8", "replace"))


def _has_place(wish: Wish) -> bool:
    """True for a wish whose text shows a log."""
    match wish:
        case SlackWish():
            return wants_logs(wish.message)
        case WebhookWish():
            return wants_logs(msgspec.json.encode(wish.payload).decode())
        case CommentWish() | InboxWish():
            return wants_logs(wish.body)
        case Unreadable():
            return False
