"""A run that has ended makes others run: those that wait for it below are told, and its stack's trigger policies are
asked; what they name gets tracked runs.

Outside of the transaction that ended the run, by a job that it deferred; jobs of one workflow follow each other. A
policy that gives no answer triggers nothing. Safe to run twice: what was asked is taken in the transaction that makes
the runs.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from app.core import words_trigger as words
from app.core.contract import Evaluated, PolicyFailed, PolicyQuestions
from app.core.errors import BrokenError, RetryableError, UserError
from app.core.event import Repository
from app.core.flags import turn_flags
from app.core.names import RepositoryId, RunId, StackId
from app.core.run import BY_POLICY, Run, RunState, RunType, Trigger
from app.core.stack import PolicySpec, Stack
from app.core.trigger import MAX_GENERATIONS, MAX_NAME, MAX_WORKFLOW, Member, Triggered, flags, wanted
from app.core.triggerinput import Ended, Seen, by_ids, own_document, shared_document
from app.flows.cascade import Cascades
from app.flows.configure import text_of
from app.flows.depend import settle_below
from app.flows.ports import Policies, Store, Transaction
from app.flows.retry import is_promotion
from app.flows.schedule import schedule
from app.flows.start import BRANCH, new_run

MAX_REPOSITORIES: Final = 1_000
"""Of an owner, whose stacks a policy of the organisation can trigger."""
RENEWED_WITHIN: Final = timedelta(minutes=10)
"""For so long new settings of the organisation are waited for; then its policies count as giving no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A run that has ended and what its trigger policies may trigger, as the store knew it."""

    ended: Ended
    first: RunId
    members: tuple[Member, ...]
    own: tuple[Seen, ...]
    """Stacks of the run's repository."""
    all: tuple[Seen, ...]
    """Stacks of its owner, for policies of the organisation; the same as `own` when it has none."""
    texts: Mapping[str, str]
    """Policy texts by digest."""
    is_outdated: bool
    """The organisation's policies are not those in force for the repository's owner, who may be another one by now."""

    def visible(self, spec: PolicySpec) -> tuple[Seen, ...]:
        """What a policy sees, and can trigger: a repository's stays within it."""
        return self.all if spec.is_of_organisation else self.own


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One stack that a policy asked for, or why there is none."""

    policy: str
    asked: str = ""
    stack: Seen | None = None
    reason: str = ""
    flags: tuple[str, ...] = ()
    """What the run begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerRuns:
    """The use case of the `trigger` job."""

    store: Store
    policies: Policies
    web_url: str

    def trigger(self, run_id: RunId) -> tuple[str, ...]:
        """Ask the trigger policies of a run that has ended, and make what they ask for; what the log has to know.

        Raises: RetryableError to be run again.
        """
        settle_below(self.store, run_id)
        if self._has_none(run_id):
            return ()
        ground = self._look(run_id)
        if ground is None:
            return ()
        wishes = self._ask(ground)
        meant = {one.stack.stack.id: one.stack.stack for one in wishes if one.stack is not None}
        with self.store.begin() as tx:
            cascades = Cascades.of(tx, tuple(meant.values()))
            stacks = {stack_id: tx.lock_stack(stack_id) for stack_id in sorted({*meant, *cascades.ids})}
            tx.lock_workflow(ground.first)
            if [one.mark for one in tx.list_workflow(ground.first)] != [one.mark for one in ground.members]:
                raise RetryableError(f"triggering after run {run_id}: its workflow went on meanwhile")
            if not tx.take_triggering(run_id):
                return ()
            wishes.sort(key=lambda wish: cascades.rank(wish.stack.stack) if wish.stack is not None else 0)
            make = _Make(tx=tx, ground=ground, stacks=stacks, wishes=wishes, cascades=cascades)
            told = [make.one(wish) for wish in wishes]
            cascades.make_below()
            tx.save_triggered(ground.ended.run, told)
        return tuple(words.gave_no_answer(one.policy, one.reason) for one in told if not one.stack)

    def _has_none(self, run_id: RunId) -> bool:
        """True when the run's stack has no trigger policy, and that is noted: its end was for the runs below alone, and
        neither the rest of its workflow nor any other stack has to be looked at."""
        with self.store.begin() as tx:
            run = tx.find_run(run_id)
            stack = tx.find_stack(run.stack_id) if run is not None and not run.is_live else None
            if stack is None or stack.trigger_policies:
                return False
            tx.take_triggering(run_id)
            return True

    def _look(self, run_id: RunId) -> Ground | None:
        """None when they were asked already."""
        with self.store.begin() as tx:
            run = tx.find_run(run_id)
            if run is None or not tx.is_to_trigger(run_id):
                return None
            stack, repository = tx.find_stack(run.stack_id), tx.find_repository(run.repository_id)
            if stack is None or repository is None:
                raise BrokenError(f"triggering after run {run_id}: its stack or repository is gone")
            has_wide = any(spec.is_of_organisation for spec in stack.trigger_policies)
            is_outdated = has_wide and _is_outdated(tx, run, stack, repository)
            is_wide = has_wide and not is_outdated
            owned = tx.list_owned_repositories(repository.owner_id, limit=MAX_REPOSITORIES) if is_wide else []
            there = {repository.id: repository} | {one.id: one for one in owned}
            everything = _seen(tx, there)
            known = {one.stack.id: one for one in everything}
            first = run.workflow_id or run.id
            members = tuple(tx.list_workflow(first))
            digests = sorted({spec.digest for spec in stack.trigger_policies if spec.digest})
            ended = Ended(
                run=run,
                seen=known.get(stack.id) or Seen(stack=stack, repository=repository, state=None),
                summary=tx.find_summary(run.id, run.plan.number) if run.plan is not None else None,
                history=tx.list_history(run.id),
                workflow=tuple((_stack_id(tx, member.stack_id, known), member) for member in members),
                at=tx.now(),
                web_url=self.web_url,
            )
            texts = tx.find_policy_texts(digests)
        own = tuple(one for one in everything if one.repository.id == repository.id)
        wide = () if is_outdated else everything
        return Ground(
            ended=ended, first=first, members=members, own=own, all=wide, texts=texts, is_outdated=is_outdated
        )

    def _ask(self, ground: Ground) -> list[Wish]:
        """What each policy asks for: all questions together."""
        wishes: list[Wish] = []
        known: list[PolicySpec] = []
        for spec in ground.ended.seen.stack.trigger_policies:
            if spec.is_of_organisation and ground.is_outdated:
                wishes.append(Wish(policy=spec.name, reason=words.OUTDATED))
            elif spec.digest in ground.texts:
                known.append(spec)
            else:
                wishes.append(Wish(policy=spec.name, reason=words.NO_POLICY_TEXT))
        asked = [
            PolicyQuestions(
                policy=text_of(spec, ground.texts[spec.digest]), own=[own_document(ground.ended, ground.visible(spec))]
            )
            for spec in known
        ]
        try:
            answers = self.policies.evaluate_all(shared_document(ground.ended), asked) if asked else []
        except UserError as error:
            return [*wishes, *(Wish(policy=spec.name, reason=str(error)[:500]) for spec in known)]
        for spec, (answer,) in zip(known, answers, strict=True):
            wishes += _wishes(ground, spec, answer)
        return wishes


def _wishes(ground: Ground, spec: PolicySpec, answer: Evaluated | PolicyFailed) -> list[Wish]:
    """What one policy asks for. An error in its rule is no answer: half of a set may be worse than none."""
    if isinstance(answer, PolicyFailed):
        return [Wish(policy=spec.name, reason=f"{answer.kind}: {answer.message}"[:500])]
    if "trigger" in answer.errors_by_rule:
        return [Wish(policy=spec.name, reason=answer.errors_by_rule["trigger"][:500])]
    ids, left_out = wanted(answer.rules)
    by_id, twice = by_ids(ground.visible(spec))
    by_name = {one.stack.name: one for one in ground.own}
    found = [
        Wish(
            policy=spec.name,
            asked=each,
            stack=by_id.get(each) or (None if spec.is_of_organisation else by_name.get(each)),
            flags=flags(answer.rules),
        )
        for each in ids
    ]
    no_stack = words.no_stack(is_of_organisation=spec.is_of_organisation)
    wishes = [_explained(one, no_stack, twice) for one in found]
    if left_out:
        wishes.append(Wish(policy=spec.name, asked=words.more(left_out), reason=words.left_out()))
    return wishes


def _explained(wish: Wish, no_stack: str, twice: Collection[str]) -> Wish:
    """Why nothing is meant by it, where nothing is."""
    if wish.asked in twice:
        return replace(wish, stack=None, reason=words.claimed_twice())
    return wish if wish.stack is not None else replace(wish, reason=no_stack)


@dataclass(slots=True, kw_only=True)
class _Make:
    """Makes what was asked for, in one transaction that holds every stack's lock."""

    tx: Transaction
    ground: Ground
    stacks: Mapping[StackId, Stack]
    """As they are now."""
    wishes: Sequence[Wish]
    cascades: Cascades
    """What runs below."""
    made: dict[StackId, RunId] = field(default_factory=dict)

    def one(self, wish: Wish) -> Triggered:
        """The run of one wish, or why there is none."""
        if wish.stack is None:
            return Triggered(policy=wish.policy, stack=wish.asked[:MAX_NAME], reason=wish.reason)
        stack = self.stacks[wish.stack.stack.id]
        if stack.id in self.made:  # another policy asked for it as well
            return Triggered(policy=wish.policy, stack=stack.name, run_id=self.made[stack.id])
        origin = self.tx.find_deployment(stack) if stack.head_sha is not None else None
        reason = self._refusal(stack, origin)
        if reason:
            return Triggered(policy=wish.policy, stack=stack.name, reason=reason)
        run = self._run(stack, origin, wish)
        self.cascades.make_before(stack)
        run = replace(run, upstreams=self.cascades.upstreams(stack))
        self.tx.add_run(run, event_key=None)
        self.made[stack.id] = run.id
        self.cascades.add(run)
        schedule(self.tx, stack)
        return Triggered(policy=wish.policy, stack=stack.name, run_id=run.id)

    def _refusal(self, stack: Stack, origin: Run | None) -> str:
        """Why the stack gets no run; empty: it gets one."""
        if stack.is_detached:
            return words.detached()
        if stack.head_sha is None:
            return words.never_tracked()
        if not self.tx.may_publish(stack.repository_id):  # a policy that triggers on any end would answer each cancel
            return words.out_of_reach()
        if self.ground.ended.run.generation >= MAX_GENERATIONS:
            return words.too_long()
        if len(self.ground.members) + len(self.made) >= MAX_WORKFLOW:
            return words.too_many()
        if origin is not None and is_promotion(origin, stack) and not stack.settings.allow_promotion:
            return words.promoted()
        waiting = (run for run in self.tx.list_live_runs(stack.id) if run.state in (RunState.QUEUED, RunState.READY))
        same = next((run for run in waiting if run.type is RunType.TRACKED and run.head_sha == stack.head_sha), None)
        return words.waits_already(same.id) if same is not None else ""

    def _run(self, stack: Stack, origin: Run | None, wish: Wish) -> Run:
        if stack.head_sha is None:
            raise BrokenError(f"triggering {stack.name}: it has no commit")
        ended = self.ground.ended.run
        by = f"{BY_POLICY}{wish.policy}"
        same = [one for one in self.wishes if one.stack is not None and one.stack.stack.id == stack.id]
        return replace(
            new_run(self.tx, stack, RunType.TRACKED, stack.head_sha, by),
            trigger=Trigger.POLICY,
            ref=origin.ref if origin is not None else f"{BRANCH}{stack.settings.branch}",
            message=origin.message if origin is not None else "",
            pull_number=origin.pull_number if origin is not None else None,
            caused_by=ended.id,
            workflow_id=self.ground.first,
            generation=ended.generation + 1,
            flag_owners=turn_flags({}, sets={one.policy: one.flags for one in same}, resets={}),
        )


def _seen(tx: Transaction, there: Mapping[RepositoryId, Repository]) -> tuple[Seen, ...]:
    """The stacks of those repositories, by id; the detached ones are not among them."""
    stacks = [one for key in there for one in tx.list_stacks(key) if not one.is_detached]
    states = tx.list_stack_states([stack.id for stack in stacks])
    queued: dict[StackId, list[Run]] = {}
    for run in tx.list_queued_runs(list(there)):
        queued.setdefault(run.stack_id, []).append(run)
    seen = [
        Seen(
            stack=stack,
            repository=there[stack.repository_id],
            state=states.get(stack.id),
            queued=tuple(queued.get(stack.id, ())),
        )
        for stack in stacks
    ]
    return tuple(sorted(seen, key=lambda one: one.id))


def _is_outdated(tx: Transaction, run: Run, stack: Stack, repository: Repository) -> bool:
    """True when the organisation's policies of the stack are not those of its owner now: they are another owner's word,
    or were taken back.

    Raises: RetryableError while the new ones are about to come.
    """
    in_force = tx.find_organisation(repository.owner_id)
    if stack.organisation_version_id == (in_force.id if in_force is not None else None):
        return False
    if not stack.is_detached and tx.now() - run.updated_at < RENEWED_WITHIN:
        raise RetryableError(words.settings_on_their_way(run.id))
    return True


def _stack_id(tx: Transaction, stack_id: StackId, seen: Mapping[StackId, Seen]) -> str:
    """The id that policies know a stack of the workflow by; it may be gone, or of another repository."""
    if stack_id in seen:
        return seen[stack_id].id
    stack = tx.find_stack(stack_id)
    repository = tx.find_repository(stack.repository_id) if stack is not None else None
    return Seen(stack=stack, repository=repository, state=None).id if stack and repository else ""
