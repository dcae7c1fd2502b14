"""An event becomes decisions: for each stack of the repository, does it get a run, and why (not)?

In this order: git is asked; one short transaction takes in the configuration and reads the stacks; GitHub and the
policies are asked; one transaction writes every decision with all that follows, and closes the delivery. Fails closed:
a question that cannot be answered starts nothing and says so on the commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from app.core.config import suggest_configuration
from app.core.decision import EventKind
from app.core.errors import RetryableError
from app.core.event import Comment, MergeGroup, PullChanged, PullReviewed, Push, Repository
from app.core.happening import QUEUE_REFS, Happening, of_comment, of_group, of_pull, of_push, of_review
from app.core.names import ZERO_SHA, DeliveryId, Sha, StackId
from app.core.pull import MergeGroupAction
from app.core.pushinput import CommitFacts, StackAsked, event_document, recorded, with_files
from app.core.record import ConfigVersion, DeliveryOutcome
from app.core.report import ConfigView, config_report
from app.core.run import Run, RunState
from app.core.stack import CONFIG_PATH, Stack
from app.core.suggestion import new_file_url
from app.flows.configure import refresh, take_in
from app.flows.effects import Effects, Ruled, Told, want_check
from app.flows.enquire import Enquire
from app.flows.judge import Case, Judge, Ruling, base_of
from app.flows.look import Look, Looked
from app.flows.missed_heads import is_covered, note_decided
from app.flows.ports import Store, Transaction
from app.flows.propose import stop, stop_older

"""Characters of a suggested file that an address may carry."""
MAX_HEADS: Final = 50
"""Heads of stacks of which one push is asked whether it came late."""
MAX_TRACKED: Final = 200
"""Heads of stacks that git is asked about for one event."""
COVERED: Final = "decided before its own event came: found by ls-remote"
NO_STACKS: Final = "the repository has no stacks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the store knew when the event was taken up."""

    at: datetime
    stacks: tuple[Stack, ...]
    """Not detached, by name."""
    states: dict[StackId, RunState]
    waiting: dict[StackId, tuple[Run, ...]]
    """Runs that are queued, ready or unconfirmed, of the stacks that have push policies."""
    texts: dict[str, str]
    """Policy texts by digest."""

    @property
    def judged(self) -> list[Stack]:
        """The stacks that have push policies."""
        return [stack for stack in self.stacks if stack.push_policies]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decide:
    """The use cases: one for each kind of event."""

    store: Store
    look: Look
    enquire: Enquire
    judge: Judge
    effects: Effects
    web_url: str
    """Where GitHub's pages are: the new-file link of a repository without a stacks file."""

    def push(self, push: Push, guid: DeliveryId, *, is_late: bool = False) -> str:
        """Decide one push and close its delivery; what became of it, in words. `is_late`: newer ones may have been
        decided before it."""
        if push.is_deleted:
            return self._ignore(push.repository, guid, f"{push.ref} was deleted", gone=push.ref)
        if push.ref.startswith(QUEUE_REFS):
            return self._ignore(push.repository, guid, "a branch of the merge queue: left to its merge_group event")
        if not push.is_found and self._is_covered(push):
            return self._ignore(push.repository, guid, COVERED)
        if not is_late or not push.branch:
            return self._decide(of_push(push), guid)
        if not self.look.is_on_branch(push.repository, push.branch, push.after):
            return self._ignore(
                push.repository, guid, f"it came late, and {push.after[:7]} is not on {push.branch} now"
            )
        is_passed = self.look.find_tip(push.repository, push.branch) != push.after
        happening = replace(of_push(push), is_forced=push.is_forced and not is_passed, is_passed=is_passed)
        return self._decide(happening, guid)

    def _is_covered(self, push: Push) -> bool:
        """True for a push that was decided before its own event came, as part of what was found."""
        with self.store.begin() as tx:
            known = tx.find_known_ref(push.repository.id, push.ref)
        return is_covered(self.look, push, known)

    def pull(self, event: PullChanged, guid: DeliveryId, *, is_late: bool = False) -> str:
        """Decide what happened to a pull request, and close the delivery. One whose event comes late may have moved
        on since."""
        with self.store.begin() as tx:
            tx.save_repository(event.repository)
            tx.note_title(event.repository.id, event.number, event.pull.title, is_late=is_late)
            if event.pull.landed_sha is not None:  # also without a stack yet: the merge may bring the first ones
                tx.note_landed(event.repository.id, event.number, event.pull.landed_sha)
        if event.pull.is_closed:
            self._end_reviews(event)
        if is_late and not event.pull.is_closed:
            now = self.enquire.find_pull(event.repository, event.number)
            if now is None or now.head_sha != event.pull.head_sha or now.is_closed:
                return self._ignore(event.repository, guid, f"it came late, and #{event.number} has moved on since")
        return self._decide(of_pull(event), guid)

    def _end_reviews(self, event: PullChanged) -> None:
        """Previews of a pull request that is closed wait for no review any more."""
        with self.store.begin() as tx:
            tx.save_repository(event.repository)
            for run in tx.list_pull_runs(event.repository.id, event.number):
                if run.state is RunState.PENDING_REVIEW:
                    stop(tx, run, f"pull request #{event.number} is closed")

    def review(self, event: PullReviewed, guid: DeliveryId) -> str:
        """Decide a review of a pull request, and close the delivery."""
        return self._decide(of_review(event), guid)

    def group(self, event: MergeGroup, guid: DeliveryId) -> str:
        """Decide a merge queue's commit, and close the delivery."""
        if event.action is MergeGroupAction.DESTROYED:
            reason = f"{event.head_ref} is done with: {event.reason or 'destroyed'}"
            return self._ignore(event.repository, guid, reason, gone=event.head_ref)
        return self._decide(of_group(event), guid)

    def comment(self, event: Comment, guid: DeliveryId) -> int:
        """Ask the policies what a comment on a pull request means; how many runs were made. The delivery stays open:
        the comment may be a command as well."""
        with self.store.begin() as tx:
            if tx.is_decided(guid) or not any(stack.push_policies for stack in _stacks(tx, event.repository)):
                return 0
        pull = self.enquire.find_pull(event.repository, event.pull_number or 0)
        if pull is None:
            return 0
        return self._settle(of_comment(event, pull), guid, is_open=True).runs

    def _ignore(self, repository: Repository, guid: DeliveryId, reason: str, *, gone: str = "") -> str:
        """Close a delivery that is decided for no stack; proposed runs of a ref that is gone are stopped."""
        with self.store.begin() as tx:
            tx.save_repository(repository)
            if gone:
                stop_older(tx, repository.id, gone, head=None, cause=f"{gone} is gone")
                tx.forget_refs(repository.id, [gone])
            tx.close_delivery(guid, DeliveryOutcome.IGNORED, reason)
        return reason

    def _decide(self, happening: Happening, guid: DeliveryId) -> str:
        return self._settle(happening, guid, is_open=False).text

    def _settle(self, happening: Happening, guid: DeliveryId, *, is_open: bool) -> Told:
        """The whole way of one event."""
        if happening.kind is not EventKind.PUSH and not self._has_stacks(happening.repository):
            return Told(text=self._ignore(happening.repository, guid, NO_STACKS))
        looked = self.look.at(happening, heads=self._heads(happening))
        with self.store.begin() as tx:
            tx.save_repository(happening.repository)
            tx.lock_repository(happening.repository.id)
            config = self._configure(tx, happening.repository, looked)
            ground = _ground(tx, happening.repository)
        if config is None:
            return Told(text=self._close(guid, NO_STACKS))
        case = self._case(happening, looked, ground)
        rulings = self.judge.rule(case)
        source = self.enquire.source(case, rulings)
        shared = event_document(case.event)
        if looked.base is not None:
            shared = with_files(shared, case.looked.since(looked.base))
        ruled = Ruled(case=case, rulings=rulings, source=source, shared=recorded(shared))
        with self.store.begin() as tx:
            tx.lock_repository(happening.repository.id)
            _require_same(tx, happening.repository, rulings)
            told = self.effects.write(tx, guid, ruled)
            if happening.kind in (EventKind.PUSH, EventKind.TAG) and not (happening.is_found or happening.is_passed):
                note_decided(tx, happening.repository.id, happening.ref, happening.after)
            if not is_open:
                tx.close_delivery(guid, DeliveryOutcome.EVENT, told.text)
        return told

    def _close(self, guid: DeliveryId, text: str) -> str:
        with self.store.begin() as tx:
            tx.close_delivery(guid, DeliveryOutcome.EVENT, text)
        return text

    def _has_stacks(self, repository: Repository) -> bool:
        with self.store.begin() as tx:
            return tx.find_accepted_config(repository.id) is not None

    def _heads(self, happening: Happening) -> frozenset[str]:
        """The heads that git has to look at: a tag is compared with those of stacks, as far as a policy looks at what
        changed; and a branch that was not forced may have moved on past a push that arrives late: past a stack's head,
        and past the commit whose stacks file is in force."""
        is_tag = happening.kind is EventKind.TAG
        is_moved = happening.kind is EventKind.PUSH and not happening.is_forced and happening.before != ZERO_SHA
        if not is_tag and not is_moved:
            return frozenset()
        with self.store.begin() as tx:
            stacks = _stacks(tx, happening.repository)
            is_default = happening.branch == happening.repository.default_branch
            read_at = tx.find_config_head(happening.repository.id) if is_default else None
        heads = {stack.head_sha for stack in stacks if stack.head_sha and (is_moved or stack.push_policies)}
        if is_tag:
            return frozenset(heads)
        asked = {*sorted(heads - {happening.before, happening.after})[:MAX_HEADS], read_at or happening.before}
        return frozenset(asked - {happening.before, happening.after})

    def _case(self, happening: Happening, looked: Looked, ground: Ground) -> Case:
        """All that the stacks are asked; what is dear is asked only when there are policies to see it."""
        judged = ground.judged
        heads = sorted({stack.head_sha for stack in judged if stack.head_sha})
        is_asked = any("tracked_commit" in text for text in ground.texts.values())
        tracked = {
            sha: self.look.commit_facts(happening.repository, sha) if is_asked else CommitFacts(sha=sha)
            for sha in heads[:MAX_TRACKED]
        }
        is_unknown = any(looked.since(base_of(looked, stack)) is None for stack in judged)
        return Case(
            happening=happening,
            looked=looked,
            event=self.enquire.event(happening, looked, at=ground.at, texts=tuple(ground.texts.values())),
            stacks=[
                StackAsked(
                    stack=stack,
                    state=ground.states.get(stack.id),
                    tracked=tracked.get(stack.head_sha, CommitFacts(sha=stack.head_sha)) if stack.head_sha else None,
                    in_progress=ground.waiting.get(stack.id, ()),
                )
                for stack in ground.stacks
            ],
            texts=ground.texts,
            everything=self.look.all_files(happening, looked.head) if is_unknown else (),
        )

    def _configure(self, tx: Transaction, repository: Repository, looked: Looked) -> ConfigVersion | None:
        """The configuration that decides this event; a broken or missing file is said on the commit."""
        found = looked.found
        if found is None or tx.find_config_head(repository.id) in looked.passed_by:
            return refresh(tx, repository)  # a file that a newer push has replaced is not brought back by a late one
        tx.save_config_head(repository.id, looked.head)
        taken = take_in(tx, repository, found)
        config = taken.version
        view = ConfigView(head_sha=looked.head, details_url=self._file_url(repository, looked.head))
        if taken.problems:
            report = config_report(replace(view, problems=taken.problems, has_last_good=config is not None))
            want_check(tx, repository, report)
        elif found.is_missing and looked.terraform_files:
            suggestion = suggest_configuration(looked.terraform_files)
            tree_url = f"{self.web_url}/{repository.full_name}"
            url = new_file_url(tree_url, repository.default_branch, CONFIG_PATH, suggestion)
            want_check(tx, repository, config_report(replace(view, suggestion=suggestion, new_file_url=url)))
        return config

    def _file_url(self, repository: Repository, sha: Sha) -> str:
        return f"{self.web_url}/{repository.full_name}/blob/{sha}/{CONFIG_PATH}"


def _stacks(tx: Transaction, repository: Repository) -> tuple[Stack, ...]:
    return tuple(stack for stack in tx.list_stacks(repository.id) if not stack.is_detached)


def _ground(tx: Transaction, repository: Repository) -> Ground:
    """What the decision needs of the store, read in one go."""
    stacks = _stacks(tx, repository)
    judged = [stack for stack in stacks if stack.push_policies]
    digests = sorted({policy.digest for stack in judged for policy in stack.push_policies if policy.digest})
    waiting: dict[StackId, tuple[Run, ...]] = {}
    if judged:
        for run in tx.list_waiting_runs(repository.id):
            waiting[run.stack_id] = (*waiting.get(run.stack_id, ()), run)
    return Ground(
        at=tx.now(),
        stacks=stacks,
        states=tx.list_stack_states([stack.id for stack in judged]) if judged else {},
        waiting=waiting,
        texts=tx.find_policy_texts(digests),
    )


def _require_same(tx: Transaction, repository: Repository, rulings: Sequence[Ruling]) -> None:
    """The configuration that was asked is still in force. Raises: RetryableError to decide again."""
    now = {stack.id: _versions(stack) for stack in _stacks(tx, repository)}
    if any(now.get(ruling.stack.id) != _versions(ruling.stack) for ruling in rulings):
        raise RetryableError(f"deciding an event of {repository.full_name}: the configuration changed meanwhile")


def _versions(stack: Stack) -> tuple[str, str | None]:
    """What a stack was made of."""
    return stack.config_version_id, stack.organisation_version_id
