"""What a stack's plan and approval policies say of one plan; asked outside of any transaction, and changing nothing.

A plan policy that gives no answer denies; an approval policy that gives none leaves it undecided.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.core.contract import Evaluated, PolicyFailed, PolicyQuestions
from app.core.contract_plan import PlanAnswer, refused_plan, rule_plan
from app.core.environment import Environment
from app.core.errors import RetryableError, UserError
from app.core.event import Repository
from app.core.flags import FlagOwners
from app.core.missed import FOUND_BY
from app.core.planinput import PlanAsked, approval_document, plan_document
from app.core.planresources import MAX_RESOURCES_BYTES
from app.core.protocol import PlanReport
from app.core.pushinput import Document
from app.core.review import PlanReview, ReviewAnswer, current, rule_reviews
from app.core.ruling import Verdict, verdict_of
from app.core.run import Run, RunState
from app.core.stack import PolicySpec, Stack
from app.flows.configure import text_of
from app.flows.identity import repository_of
from app.flows.ports import GitHub, Policies, Transaction

MAX_LOOKED_AT: Final = 50
"""Newest runs of a stack among which the one before is looked for."""
_TEAMS: Final = re.compile(r"\bteams\b")
OLD_WORKER: Final = (
    "the worker handed in nothing for the policies to look at: they were attached after it had begun, or it is older "
    "than the control plane. Retry the run; if that ends so too, bring the worker to the same version"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the store knew when a plan, or its reviews, came to be judged."""

    asked: PlanAsked
    texts: Mapping[str, str]
    """Policy texts by digest."""
    reviews: tuple[PlanReview, ...]
    """Of the run, the newest of each person about each plan; oldest first."""
    said: int = 0
    """How many there ever were."""

    @property
    def wants_teams(self) -> bool:
        """True when some approval policy looks at the teams of who reviewed."""
        return any(_TEAMS.search(text) for text in self.texts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What was found out about a plan before it was taken in."""

    policies: tuple[PolicySpec, ...] = ()
    """Those that were asked: others may be attached by now."""
    plan: PlanAnswer = PlanAnswer()  # noqa: RUF009 - frozen
    reviewed: ReviewAnswer = ReviewAnswer()  # noqa: RUF009 - frozen
    environment_asks: bool = False
    """GitHub's environment asks for a person, whatever the stack's `autodeploy` says."""

    def turned(self, held: FlagOwners) -> FlagOwners:
        """The run's flags after it: the plan policies were asked first."""
        return self.reviewed.flags.after(self.plan.flags.after(held))


def judging(stack: Stack) -> tuple[PolicySpec, ...]:
    """The policies that have a say in whether a plan of the stack is applied."""
    return (*stack.plan_policies, *stack.approval_policies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weigh:
    """Asks the policies."""

    policies: Policies
    github: GitHub
    web_url: str

    def is_needed(self, stack: Stack) -> bool:
        """True when something has to be asked before a plan of the stack is taken in."""
        asks_github = stack.settings.autodeploy and stack.settings.github_environment is not None
        return bool(judging(stack)) or asks_github

    def ground(self, tx: Transaction, run: Run, stack: Stack) -> Ground:
        """What the questions are made of."""
        is_judged = bool(judging(stack))  # else nobody looks at what is dear to read
        previous = _previous(tx, run) if is_judged else None
        number = previous.plan.number if previous is not None and previous.plan is not None else 0
        states = tx.list_stack_states([stack.id])
        asked = PlanAsked(
            repository=repository_of(tx, run),
            web_url=self.web_url,
            at=tx.now(),
            stack=stack,
            state=states.get(stack.id),
            run=run,
            summary=tx.find_summary(run.id, run.plan.number) if is_judged and run.plan is not None else None,
            previous=previous,
            previous_summary=tx.find_summary(previous.id, number) if previous is not None and number else None,
        )
        digests = sorted({spec.digest for spec in judging(stack) if spec.digest})
        texts = tx.find_policy_texts(digests) if digests else {}
        return Ground(asked=asked, texts=texts, reviews=tuple(tx.list_reviews(run.id)), said=tx.count_reviews(run.id))

    def handed_in(self, ground: Ground, report: PlanReport) -> Weighed:
        """Everything about a plan that a worker hands in."""
        stack, run = ground.asked.stack, ground.asked.run
        plan = self._plan(ground, report)
        verdict = verdict_of(plan.rulings)
        is_waiting = report.has_changes if run.type.is_state_changing else verdict is Verdict.WARNED
        reviewed = ReviewAnswer()
        if is_waiting and verdict is not Verdict.DENIED:
            state = RunState.UNCONFIRMED if run.type.is_state_changing else RunState.PENDING_REVIEW
            flagged = replace(run, state=state, flag_owners=plan.flags.after(run.flag_owners))
            asked = replace(ground.asked, run=flagged, summary=report.summary)
            reviewed = self.reviewed(replace(ground, asked=asked))
        is_by_setting = stack.settings.autodeploy and run.type.is_state_changing and is_waiting
        return Weighed(
            policies=judging(stack),
            plan=plan,
            reviewed=reviewed,
            environment_asks=is_by_setting and self._environment_asks(ground.asked.repository, stack, run),
        )

    def _environment_asks(self, repository: Repository, stack: Stack, run: Run) -> bool:
        """True when the environment keeps the setting from deploying, or cannot be asked: a person can always be."""
        try:
            environment = self.environment_of(repository, stack, run)
        except RetryableError:
            return True
        return environment is not None and environment.keeps_back(ref_of(run, stack))

    def environment_of(self, repository: Repository, stack: Stack, run: Run) -> Environment | None:
        """The rules of the stack's environment; one whose rules cannot be read is one that nobody can fulfil.

        Raises: RetryableError when GitHub does not answer.
        """
        name = stack.settings.github_environment
        if name is None:
            return None
        try:
            found = self.github.find_environment(repository, name)
            if found is None or not found.is_for_protected_branches:
                return found
            branch = ref_of(run, stack).removeprefix("refs/heads/")
            is_fine = self.github.is_branch_protected(repository, branch)
        except UserError as error:
            return Environment(name=name, obstacles=(f"they cannot be read: {str(error)[:300]}",))
        return found if is_fine else Environment(name=name, obstacles=("it takes protected branches alone",))

    def reviewed(self, ground: Ground, review: PlanReview | None = None) -> ReviewAnswer:
        """What the approval policies say of the reviews so far, and of one more."""
        specs, run = ground.asked.stack.approval_policies, ground.asked.run
        if not specs:
            return ReviewAnswer()
        reviews = (*ground.reviews, review) if review is not None else ground.reviews
        told = self._evaluate(ground, specs, approval_document(ground.asked, reviews))
        return rule_reviews(told, current(reviews, plan_number=run.plan_number, state=run.state))

    def _plan(self, ground: Ground, report: PlanReport) -> PlanAnswer:
        """What the plan policies say; each denies when none of them could be asked."""
        specs, resources = ground.asked.stack.plan_policies, report.resources
        if not specs:
            return PlanAnswer()
        if resources is None:
            return refused_plan(specs, OLD_WORKER)
        if resources.size_bytes or len(bytes(resources.changes)) > MAX_RESOURCES_BYTES:
            size = resources.size_bytes or len(bytes(resources.changes))
            return refused_plan(specs, f"the plan has {size:,} bytes of resource changes: too many to be judged")
        try:
            document = plan_document(ground.asked, resources.changes, report.summary.terraform_version)
        except (ValueError, RecursionError) as error:
            return refused_plan(specs, f"what the worker handed in cannot be read: {error}")
        return rule_plan(self._evaluate(ground, specs, document))

    def _evaluate(
        self, ground: Ground, specs: Sequence[PolicySpec], question: Document
    ) -> list[tuple[PolicySpec, Evaluated | PolicyFailed]]:
        """What each policy says; one without a text, or without an engine to ask, says nothing."""
        known = [(spec, ground.texts[spec.digest]) for spec in specs if spec.digest in ground.texts]
        asked = [PolicyQuestions(policy=text_of(spec, text), own=[{}]) for spec, text in known]
        try:
            said = self.policies.evaluate_all(question, asked) if asked else []
            found: dict[PolicySpec, Evaluated | PolicyFailed] = {
                spec: one for (spec, _), (one,) in zip(known, said, strict=True)
            }
        except UserError as error:
            found = {spec: PolicyFailed(kind="unavailable", message=str(error)[:500]) for spec, _ in known}
        missing = PolicyFailed(
            kind="missing", message="its text is not kept yet: the next push to the default branch brings it"
        )
        return [(spec, found.get(spec, missing)) for spec in specs]


def ref_of(run: Run, stack: Stack) -> str:
    """What is deployed: the event's full ref; for a command's run of the tracked branch, that one."""
    return run.ref or f"refs/heads/{stack.settings.branch}"


def _previous(tx: Transaction, run: Run) -> Run | None:
    """The stack's newest state-changing run before this one that has ended."""
    older = (
        one
        for one in tx.list_stack_runs(run.stack_id, limit=MAX_LOOKED_AT)
        if one.id != run.id and one.type.is_state_changing and not one.is_live and one.created_at <= run.created_at
    )
    return next(older, None)


def starters(tx: Transaction, run: Run) -> frozenset[str]:
    """Who asked for the run, and for the runs that it makes once more or was triggered by, in lower case; FOUND_BY for
    one that nobody knows."""
    found, seen = {run.triggered_by.lower() or FOUND_BY}, 0
    before = run.retry_of or run.caused_by
    while before is not None and seen < MAX_LOOKED_AT:
        older = tx.find_run(before)
        if older is None:
            break
        found.add(older.triggered_by.lower() or FOUND_BY)
        before, seen = older.retry_of or older.caused_by, seen + 1
    return frozenset(found)
