"""Runs that a person starts: a preview or a deployment of a commit, by comment, by button or on the server; destroy and
drift runs on the server.

What git and GitHub know is asked before the transaction (`Start.look`); who may, and what the stack is by then, is
looked at inside it (`Start.make`). A head moves only by the verdict track, and here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.core import words, words_start
from app.core.command import Verb
from app.core.decision import Verdict
from app.core.event import Repository
from app.core.names import RepositoryId, RunId, Sha, StackId
from app.core.permit import Refused, may
from app.core.pull import PullFacts
from app.core.record import AuditLine
from app.core.run import Run, RunState, RunType, Trigger
from app.core.stack import Permission, Stack
from app.flows.answer import Done, Not, Person
from app.flows.cascade import Cascade
from app.flows.enquire import Source, source_of_pull
from app.flows.explain import CommitQuestions
from app.flows.look import Look
from app.flows.ports import GitHub, Store, Transaction
from app.flows.schedule import retell, schedule

MAX_STARTED: Final = 100
"""Stacks that one command starts."""
MAX_BRANCHES: Final = 50
BRANCH: Final = "refs/heads/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person wants started, as far as it was said."""

    verb: Verb
    repository: Repository
    names: Sequence[str] = ()
    """Stacks by name; empty: those that the commit's event means."""
    sha: Sha | None = None
    """The commit that was commented on; None: the pull request's."""
    pull_number: int | None = None
    looked_at: str = ""
    """The commit that the person says to have looked at (`--sha`, or the button's); empty: not said."""


@dataclass(frozen=True, slots=True)
class _Meant:
    """The commit of a wish."""

    pull: PullFacts | None
    head: Sha


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What the wish comes to: a commit, and what git says of it."""

    verb: Verb
    repository: Repository
    head: Sha
    source: Source
    ref: str
    is_from_fork: bool
    """Looked at by a writer, and validated alone."""
    message: str
    stacks: tuple[Stack, ...]
    """As they were when git was asked."""
    pull: PullFacts | None
    """The open pull request whose head it is; None: a commit that is pushed or merged."""
    is_tracked: Mapping[StackId, bool]
    """Whether the stack's branch holds the commit."""
    is_ahead: Mapping[StackId, bool]
    """Whether the commit holds the stack's head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The use cases."""

    store: Store
    github: GitHub
    look: Look
    questions: CommitQuestions
    prefix: str

    def prospect(self, wish: Wish) -> Prospect | Not:
        """What the wish comes to, with everything that has to be asked outside of a transaction; or why to nothing."""
        meant = self._commit(wish)
        if isinstance(meant, Not):
            return meant
        pull, head = meant.pull, meant.head
        stacks = self._stacks(wish, head)
        if isinstance(stacks, Not):
            return stacks
        if pull is None and wish.verb is Verb.PLAN and not self._is_here(wish.repository, head, stacks):
            return Not(words_start.not_here(wish.verb, head))
        is_open = pull is not None and not pull.is_closed
        return self._asked(wish, pull if is_open else None, head, stacks)

    def make(self, tx: Transaction, prospect: Prospect, person: Person) -> Done | Not:
        """Make the run of each stack, or say why not; each is authorised and written down."""
        deployed = [stack.name for stack in prospect.stacks] if prospect.verb is Verb.DEPLOY else []
        cascade = Cascade.of(tx, prospect.repository.id, deployed)
        cascade.lock([stack.id for stack in prospect.stacks])
        in_order = sorted(prospect.stacks, key=lambda stack: cascade.rank(stack.name))
        results = [self._one(tx, prospect, stack, person, cascade) for stack in in_order]
        text = "\n".join([*(result.text for result in results), *words_start.after(cascade.make_below())])
        is_fine = all(isinstance(result, Done) for result in results)
        return Done(text) if is_fine else Not(text)

    def refuse(self, tx: Transaction, verb: Verb, repository_id: RepositoryId, refusal: Not, person: Person) -> Not:
        """Write down a command that came to nothing before any stack or run was asked."""
        self.note(tx, verb, repository_id, refusal, person)
        return refusal

    def note(
        self, tx: Transaction, verb: Verb, repository_id: RepositoryId, result: Done | Not, person: Person
    ) -> None:
        """Write down how a command ended that is about no stack and no run."""
        tx.add_audit(_audit(tx, person, verb.value, repository_id, result))

    def permitted(self, verb: Verb, person: Person) -> Not | None:
        """The refusal of somebody who may start nothing at all: no git is asked for them."""
        answer = may(
            verb,
            permission=person.permission,
            required=Permission.READ,
            actor=person.actor,
            repository=person.repository,
        )
        return Not(words.not_permitted(answer.reason)) if isinstance(answer, Refused) else None

    def standing(self, wish: Wish) -> Not | None:
        """Why the pull request of the wish does not stand for the commit that was looked at any more, or None."""
        meant = self._commit(wish)
        return meant if isinstance(meant, Not) else None

    def newest(self, repository: Repository, stack: Stack) -> Sha | None:
        """The commit that a stack is deployed from when none is named: its head, else where its branch is."""
        return stack.head_sha or self.look.find_tip(repository, stack.settings.branch)

    def _commit(self, wish: Wish) -> _Meant | Not:
        """The commit that the wish means, as GitHub has its pull request now."""
        pull = None
        if wish.pull_number is not None:
            detail = self.github.read_pull(wish.repository, wish.pull_number)
            if detail is None:
                return Not(words_start.no_commit(wish.verb))
            pull = detail.facts
        head = wish.sha if pull is None else pull.own_sha(wish.repository.id)
        refusal = self._refused(wish, pull, head)
        if refusal is not None or head is None:
            return refusal or Not(words_start.no_commit(wish.verb))
        return _Meant(pull, head)

    def _refused(self, wish: Wish, pull: PullFacts | None, head: Sha | None) -> Not | None:
        """What no stack has to be asked for."""
        if pull is not None and not pull.is_merged:
            if pull.is_closed:
                return Not(words_start.closed(wish.verb))
            if pull.is_from_fork(wish.repository.id) and (wish.verb is not Verb.PLAN or not wish.looked_at):
                return Not(words_start.from_fork(wish.verb, pull.head_sha, self.prefix, wish.names))
        if wish.looked_at and head is not None and wish.looked_at != head:
            return Not(words_start.not_the_head(wish.looked_at, head, self.prefix, wish.names))
        return None

    def _stacks(self, wish: Wish, head: Sha) -> tuple[Stack, ...] | Not:
        """The stacks that are meant: those named, else those that the commit's event was decided to run."""
        with self.store.begin() as tx:
            there = {stack.name: stack for stack in tx.list_stacks(wish.repository.id) if not stack.is_detached}
        if wish.names:
            unknown = next((name for name in wish.names if name not in there), None)
            if unknown is not None:
                return Not(words_start.no_stack(wish.verb, unknown, tuple(there), self.prefix))
            return tuple(there[name] for name in wish.names)
        decided = self.questions.list_short_decisions(wish.repository.id, head)
        wanted = {one.stack_id for one in decided if one.verdict in (Verdict.PROPOSE, Verdict.TRACK)}
        meant = [stack for stack in there.values() if stack.id in wanted]
        if not meant or len(meant) > MAX_STARTED or (wish.verb is Verb.DEPLOY and len(meant) > 1):
            names = [stack.name for stack in meant or there.values()]
            return Not(words_start.which_stack(wish.verb, names, self.prefix))
        return tuple(meant)

    def _is_here(self, repository: Repository, head: Sha, stacks: tuple[Stack, ...]) -> bool:
        """True for a commit on a branch of the repository itself: GitHub hands out commits of forks by the same way.

        Asked are the branches that the stacks track, and those whose pushes made runs of the commit.
        """
        with self.store.begin() as tx:
            refs = {run.ref for run in tx.list_runs_at(repository.id, head)}
        pushed = {ref.removeprefix(BRANCH) for ref in refs if ref.startswith(BRANCH)}
        branches = sorted({stack.settings.branch for stack in stacks} | pushed)
        return any(self.look.is_on_branch(repository, branch, head) for branch in branches[:MAX_BRANCHES])

    def _asked(self, wish: Wish, pull: PullFacts | None, head: Sha, stacks: tuple[Stack, ...]) -> Prospect:
        """What git says of the commit, each question once."""
        repository, is_deploy = wish.repository, wish.verb is Verb.DEPLOY
        branches = {stack.settings.branch for stack in stacks} if is_deploy and pull is None else set()
        on = {branch: self.look.is_on_branch(repository, branch, head) for branch in sorted(branches)}
        heads = {stack.head_sha for stack in stacks if stack.head_sha is not None} if is_deploy else set()
        holds = {one: self.look.holds(repository, head, one) for one in sorted(heads)}
        source = Source(sha=head, pull_number=wish.pull_number)
        is_fork = pull is not None and pull.is_from_fork(repository.id)
        if pull is not None and not is_deploy and not is_fork:
            source = source_of_pull(self.look, repository, pull, head)
        message = self.look.commit_facts(repository, head).message
        ref = f"{BRANCH}{pull.head_ref}" if pull is not None else ""
        if pull is not None and is_fork:
            ref = f"refs/pull/{pull.number}/head"  # as its events have it: the next push makes this one void
        return Prospect(
            verb=wish.verb,
            repository=repository,
            head=head,
            source=source,
            ref=ref,
            is_from_fork=is_fork,
            message=message.splitlines()[0][:200] if message else "",
            stacks=stacks,
            pull=pull,
            is_tracked={stack.id: on.get(stack.settings.branch, False) for stack in stacks},
            is_ahead={stack.id: stack.head_sha is None or holds.get(stack.head_sha, False) for stack in stacks},
        )

    def _one(self, tx: Transaction, prospect: Prospect, asked: Stack, person: Person, cascade: Cascade) -> Done | Not:
        """One stack: authorise, look again, make the run, write it down."""
        stack = tx.lock_stack(asked.id)
        result: Done | Not | None = self._refusal(tx, prospect, asked, stack, person)
        result = result or self._run(tx, prospect, stack, person, cascade)
        command = f"{prospect.verb.value} {stack.name} {prospect.head}"
        tx.add_audit(_audit(tx, person, command, stack.repository_id, result))
        return result

    def _refusal(self, tx: Transaction, prospect: Prospect, asked: Stack, stack: Stack, person: Person) -> Not | None:
        """Why the stack gets no run, or None."""
        permitted = may(
            prospect.verb,
            permission=person.permission,
            required=stack.settings.confirm_permission,
            actor=person.actor,
            repository=person.repository,
        )
        if isinstance(permitted, Refused):
            return Not(words.not_permitted(permitted.reason))
        if stack.is_detached:
            return Not(words_start.no_stack(prospect.verb, stack.name))
        if prospect.verb is Verb.DEPLOY and (refusal := self._deploy_refusal(tx, prospect, asked, stack)):
            return refusal
        kind = _type(prospect.verb)
        same = (run for run in tx.list_live_runs(stack.id) if run.type is kind and run.head_sha == prospect.head)
        live = next(same, None)
        return Not(words_start.live_already(prospect.verb, live, self.prefix)) if live is not None else None

    def _deploy_refusal(self, tx: Transaction, prospect: Prospect, asked: Stack, stack: Stack) -> Not | None:
        """Why the commit must not be deployed to the stack, or None."""
        if not tx.is_current(stack.id):  # what they say of promotions, or of who may deploy, is not known yet
            return Not(words_start.settings_on_their_way(prospect.verb, stack.name))
        if prospect.pull is not None and not stack.settings.allow_promotion:
            return Not(words_start.no_promotion(stack.name, self.prefix))
        if prospect.pull is None and not prospect.is_tracked[stack.id]:
            branch = stack.settings.branch
            return Not(words_start.not_tracked(stack.name, branch, prospect.head, self.prefix))
        if stack.head_sha != asked.head_sha or stack.settings.branch != asked.settings.branch:
            return Not(words_start.head_moved(stack.name))
        if not prospect.is_ahead[stack.id] and stack.head_sha is not None:
            return Not(words_start.behind(stack.name, prospect.head, stack.head_sha))
        return None

    def _run(self, tx: Transaction, prospect: Prospect, stack: Stack, person: Person, cascade: Cascade) -> Done:
        """Make the run; a deployment moves the stack's head."""
        is_deploy = prospect.verb is Verb.DEPLOY
        cascade.make_before(stack.name)
        is_moved = is_deploy and stack.head_sha != prospect.head
        if is_moved:
            stack = replace(stack, head_sha=prospect.head, head_seq=stack.head_seq + 1)
            tx.save_stack(stack)
        ref = prospect.ref or (f"{BRANCH}{stack.settings.branch}" if is_deploy else "")
        made = replace(
            new_run(tx, stack, _type(prospect.verb), prospect.head, person.actor),
            source_sha=prospect.source.sha,
            ref=ref,
            message=prospect.message,
            pull_number=prospect.source.pull_number,
            note=prospect.source.note,
            is_from_fork=prospect.is_from_fork,
            upstreams=cascade.upstreams(stack.name),
        )
        tx.add_run(made, event_key=None)
        cascade.add(made)
        schedule(tx, stack)
        if is_moved:
            retell(tx, stack)
        return Done(words_start.deploying(made, stack) if is_deploy else words_start.planning(made))


def start_here(tx: Transaction, stack_id: StackId, kind: RunType, person: Person) -> Done | Not:
    """Make a destroy or a drift run of what the stack has deployed, as the server's operator.

    A drift run is of the commit that the stack was left at: a head that still waits would be all drift.
    """
    stack = tx.lock_stack(stack_id)
    settled = tx.find_settled(stack_id) if kind is RunType.DRIFT else None
    word = kind.value
    result: Done | Not
    live = next((run for run in tx.list_live_runs(stack.id) if run.type is kind), None)
    if stack.is_detached:
        result = Not(words_start.no_stack_here(stack.name))
    elif stack.head_sha is None:
        result = Not(words_start.never_deployed(stack.name, "destroy" if kind is RunType.DESTROY else "compare"))
    elif live is not None:
        result = Not(words_start.under_way(live))
    else:
        commit = settled.head_sha if settled is not None else stack.head_sha
        made = new_run(tx, stack, kind, commit, person.actor)
        tx.add_run(made, event_key=None)
        schedule(tx, stack)
        result = Done(words_start.started_here(made, stack))
    tx.add_audit(_audit(tx, person, f"{word} {stack.name}", stack.repository_id, result))
    return result


def new_run(tx: Transaction, stack: Stack, kind: RunType, head: Sha, actor: str) -> Run:
    """A queued run of a command, not saved yet."""
    now = tx.now()
    return Run(
        id=RunId(tx.new_id()),
        stack_id=stack.id,
        stack_name=stack.name,
        repository_id=stack.repository_id,
        type=kind,
        state=RunState.QUEUED,
        head_sha=head,
        source_sha=head,
        ref="",
        head_seq=stack.head_seq,
        stack_digest=stack.settings.digest(),
        config_version_id=stack.config_version_id,
        decision_id=None,
        trigger=Trigger.COMMAND,
        triggered_by=actor,
        message="",
        created_at=now,
        updated_at=now,
    )


def _type(verb: Verb) -> RunType:
    return RunType.TRACKED if verb is Verb.DEPLOY else RunType.PROPOSED


def _audit(tx: Transaction, person: Person, command: str, repository_id: RepositoryId, result: Done | Not) -> AuditLine:
    return AuditLine(
        at=tx.now(),
        actor=person.actor,
        source=person.source,
        command=command,
        run_id=None,
        repository_id=repository_id,
        is_allowed=isinstance(result, Done),
        reason=result.text[:1000],
    )
