"""What runs below a run: the stacks that depend on a tracked run's stack get runs at once, which wait for it.

Each stack once, in the graph's order, and never up it. One cause (an event, a command, a policy's word) makes one
`Cascade`: runs that it made itself are told which of its others they wait for. `flows.depend` takes it from there when
a run has ended.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from app.core import words_depend as words
from app.core.dependency import Graph, graph_of, stacks_below
from app.core.names import RepositoryId, RunId, Sha, StackId
from app.core.run import BY_STACK, Run, RunState, RunType, Trigger
from app.core.stack import Stack
from app.core.trigger import MAX_WORKFLOW
from app.core.upstream import Upstream
from app.flows.ports import Transaction
from app.flows.retry import is_promotion
from app.flows.schedule import schedule

HEADS: Final = "refs/heads/"


@dataclass(slots=True, kw_only=True)
class Cascade:
    """The runs of one cause in one repository, inside one transaction."""

    tx: Transaction
    stacks: Mapping[str, Stack]
    """The stacks that depend on others, by name, as they were when it began."""
    above: Graph
    roots: frozenset[str]
    """The stacks whose runs the cause makes itself, or refuses."""
    order: tuple[str, ...]
    """Every stack below one of those, each after all that are above it; at most MAX_WORKFLOW."""
    ranks: Mapping[str, int]
    """Their places in it, from 1."""
    made: dict[str, Run] = field(default_factory=dict)
    """The tracked runs of this cause, by stack."""

    @classmethod
    def of(cls, tx: Transaction, repository_id: RepositoryId, roots: Collection[str]) -> "Cascade":
        """A cause that is about to make tracked runs of those stacks, in the order of their `rank`."""
        stacks = {stack.name: stack for stack in tx.list_dependants(repository_id)} if roots else {}
        above = graph_of({name: stack.settings.depends_on for name, stack in stacks.items()})
        order = stacks_below(above, roots)[:MAX_WORKFLOW]
        ranks = {name: rank for rank, name in enumerate(order, 1)}
        return cls(tx=tx, stacks=stacks, above=above, roots=frozenset(roots), order=order, ranks=ranks)

    def rank(self, name: str) -> int:
        """The place of a stack in the order; 0: nothing of the cause is above it."""
        return self.ranks.get(name, 0)

    def foresee(self, refs: Mapping[str, str]) -> dict[str, str]:
        """What is to be said of the stacks that come after others, for the record, before anything is made. Shape of
        `refs`: the ref of each root's run; of the answer: words by stack."""
        refs, notes = dict(refs), dict[str, str]()
        if len(self.order) == MAX_WORKFLOW:
            left_out = set(stacks_below(self.above, self.roots)) - {*self.order, *self.roots}
            notes |= dict.fromkeys(left_out, words.too_many(MAX_WORKFLOW))
        for name in self.order:
            uppers = [upper for upper in self.above[name] if upper in refs]
            if not uppers:
                continue
            if name in self.roots:
                notes[name] = words.waits_in_order(uppers)
                continue
            stack = self.stacks[name]
            refusal = _refusal(self.tx, stack, upper=uppers[0], ref=refs[uppers[0]])
            notes[name] = refusal or words.comes_after(uppers)
            if not refusal:
                origin = _origin(self.tx, stack)
                refs[name] = origin.ref if origin is not None else f"{HEADS}{stack.settings.branch}"
        return notes

    def lock(self, roots: Collection[StackId]) -> None:
        """Lock the stacks of a cause in one order, where any is below another, so that two causes never wait for each
        other. `roots`: those that it makes runs of itself."""
        below = {self.stacks[name].id for name in self.order}
        for stack_id in sorted({*roots, *below}) if below else ():
            self.tx.lock_stack(stack_id)

    def upstreams(self, name: str) -> dict[str, Upstream]:
        """What a run of that stack waits for: the runs of this cause directly above it."""
        uppers = [self.made[upper] for upper in self.above.get(name, ()) if upper in self.made]
        return {run.id: Upstream(stack_id=run.stack_id, stack=run.stack_name) for run in uppers}

    def add(self, run: Run) -> None:
        """Note a run that the cause made. Retries make nothing run below, and are not noted."""
        if run.type is RunType.TRACKED:
            self.made[run.stack_name] = run

    def make_before(self, name: str) -> None:
        """Make the runs below that come before that of a root: it is to wait for them."""
        for each in self.order[: max(0, self.rank(name) - 1)]:
            self.make(each)

    def make_below(self) -> tuple[Run, ...]:
        """Make what is left, when the cause has made all of its own; every run that was made because of another."""
        for name in self.order:
            self.make(name)
        return tuple(run for run in self.made.values() if run.stack_name not in self.roots)

    def make(self, name: str) -> Run | None:
        """The run of one stack whose turn it is, because of the runs above; None: it has one, gets one as a root, or
        cannot have one."""
        upstreams = self.upstreams(name)
        if name in self.made or name in self.roots or not upstreams:
            return None
        stack = self.tx.lock_stack(self.stacks[name].id)
        if stack.is_detached:  # meanwhile: nothing would ever let its run go
            return None
        upper = self.made[next(iter(upstreams.values())).stack]
        if _refusal(self.tx, stack, upper=upper.stack_name, ref=upper.ref):
            return None
        head = stack.head_sha
        note = words.own_commit(stack.name)
        if head is None:
            head, note = upper.head_sha, words.events_commit()
            stack = replace(stack, head_sha=head, head_seq=stack.head_seq + 1)
            self.tx.save_stack(stack)
        run = replace(self._run(stack, head, upper), upstreams=upstreams, note=note)
        self.tx.add_run(run, event_key=None)
        self.made[name] = run
        schedule(self.tx, stack)
        return run

    def _run(self, stack: Stack, head: Sha, upper: Run) -> Run:
        origin, now = _origin(self.tx, stack), self.tx.now()
        return Run(
            id=RunId(self.tx.new_id()),
            stack_id=stack.id,
            stack_name=stack.name,
            repository_id=stack.repository_id,
            type=RunType.TRACKED,
            state=RunState.QUEUED,
            head_sha=head,
            source_sha=head,
            ref=origin.ref if origin is not None else f"{HEADS}{stack.settings.branch}",
            head_seq=stack.head_seq,
            stack_digest=stack.settings.digest(),
            config_version_id=stack.config_version_id,
            decision_id=None,
            trigger=Trigger.DEPENDENCY,
            triggered_by=f"{BY_STACK}{upper.stack_name}",
            message=origin.message if origin is not None else upper.message,
            created_at=now,
            updated_at=now,
            pull_number=origin.pull_number if origin is not None else None,
            caused_by=upper.id,
            workflow_id=upper.workflow_id or upper.id,
            generation=upper.generation + 1,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascades:
    """The cascades of one cause in several repositories: what a trigger policy of an organisation names."""

    here: Mapping[RepositoryId, Cascade]

    @classmethod
    def of(cls, tx: Transaction, roots: Collection[Stack]) -> "Cascades":
        """A cause that is about to make tracked runs of those stacks, in the order of their `rank`."""
        names: dict[RepositoryId, list[str]] = {}
        for stack in roots:
            names.setdefault(stack.repository_id, []).append(stack.name)
        return cls(here={each: Cascade.of(tx, each, names[each]) for each in sorted(names)})

    @property
    def ids(self) -> Collection[StackId]:
        """Every stack below."""
        return {cascade.stacks[name].id for cascade in self.here.values() for name in cascade.order}

    def rank(self, stack: Stack) -> int:
        """Its place in the order; 0: nothing of the cause is above it."""
        return self.here[stack.repository_id].rank(stack.name)

    def make_before(self, stack: Stack) -> None:
        """Make the runs below that come before that of a root."""
        self.here[stack.repository_id].make_before(stack.name)

    def upstreams(self, stack: Stack) -> dict[str, Upstream]:
        """What a run of that stack waits for."""
        return self.here[stack.repository_id].upstreams(stack.name)

    def add(self, run: Run) -> None:
        """Note a run that the cause made."""
        self.here[run.repository_id].add(run)

    def make_below(self) -> None:
        """Make the runs of every stack below what was made."""
        for cascade in self.here.values():
            cascade.make_below()


def _origin(tx: Transaction, stack: Stack) -> Run | None:
    """The run that says where the stack's head came from; None: there is none."""
    return tx.find_deployment(stack) if stack.head_sha is not None else None


def _refusal(tx: Transaction, stack: Stack, *, upper: str, ref: str) -> str:
    """Why a stack below gets no run because of one above, whose run is of that ref; empty: it gets one."""
    if stack.head_sha is None:
        fits = ref == f"{HEADS}{stack.settings.branch}"
        return "" if fits else words.has_no_commit(upper, stack.settings.branch)
    origin = _origin(tx, stack)
    if origin is not None and is_promotion(origin, stack) and not stack.settings.allow_promotion:
        return words.was_promoted()
    return ""
