"""What has to be known before a plan is confirmed or reviewed, and cannot be asked inside a transaction: what GitHub
says of the person, the change and the environment, and what the approval policies say of the reviews.

The transaction that carries the command out holds it against what is true by then (`Stand.fits`).
"""

from dataclasses import dataclass, field

from app.core.command import Command, Verb
from app.core.environment import Environment
from app.core.errors import UserError
from app.core.flags import FlagTurns
from app.core.names import Digest, RunId
from app.core.permit import Confirming
from app.core.review import PlanReview
from app.core.ruling import ApprovalRuling
from app.core.run import Run, RunState
from app.core.stack import Permission, PolicySpec, Stack
from app.flows.answer import Person
from app.flows.makers import Makers, makers_of
from app.flows.ports import GitHub, Store
from app.flows.weigh import Ground, Weigh, ref_of, starters

WAITING = (RunState.UNCONFIRMED, RunState.PENDING_REVIEW)
"""Where a run is that can be reviewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """What was found out for one command about one plan."""

    run_id: RunId
    state: RunState
    plan_number: int
    reviews: int
    """How many there were."""
    settings: Digest
    """Of the stack, whose rules say what was asked."""
    policies: tuple[PolicySpec, ...]
    """The approval policies that were asked."""
    approvals: tuple[ApprovalRuling, ...]
    """What they said: of a review, with that one among them."""
    flags: FlagTurns = field(default_factory=FlagTurns)
    """What they do to the run's flags."""
    confirming: Confirming | None = None
    """None on the server, and for a review of a stack that is not deployed by its setting."""
    review: PlanReview | None = None
    environment_asks: bool = False
    """GitHub's environment asks for a person."""
    failure: str = ""
    """What GitHub would not tell, in words; empty: it told everything."""

    def fits(self, run: Run, stack: Stack, reviews: int) -> bool:
        """True when it is still true of that run."""
        now = (run.id, run.state, run.plan_number, stack.settings.digest(), stack.approval_policies, reviews)
        return now == (self.run_id, self.state, self.plan_number, self.settings, self.policies, self.reviews)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquire:
    """Asks."""

    store: Store
    github: GitHub
    weigh: Weigh

    def look(self, run_id: RunId, command: Command, person: Person) -> Stand | None:
        """What has to be known for a command, before its transaction; None for one that needs nothing, and for
        somebody who may not give it."""
        verb = command.verb
        if not (verb is Verb.CONFIRM or verb.is_review) or person.permission.rank < Permission.WRITE.rank:
            return None
        with self.store.begin() as tx:
            run = tx.find_run(run_id)
            if run is None or run.state not in WAITING:
                return None
            ground = self.weigh.ground(tx, run, tx.get_stack(run.stack_id))
            stack, repository = ground.asked.stack, ground.asked.repository
            is_asked = verb is Verb.CONFIRM and not person.is_operator
            wants_makers = is_asked and stack.settings.confirm_rules.not_author
            change = _Change(starters(tx, run), makers_of(tx, run, stack) if wants_makers else Makers())
        is_by_setting = verb.is_review and stack.settings.autodeploy
        environment = self.weigh.environment_of(repository, stack, run) if is_asked or is_by_setting else None
        review, confirming, failure = None, None, ""
        try:
            review = self._review(ground, command, person) if verb.is_review else None
            confirming = self._confirming(ground, person, change, environment) if is_asked else None
        except UserError as error:
            failure = str(error)[:500]
        said = self.weigh.reviewed(ground, review)
        return Stand(
            run_id=run.id,
            state=run.state,
            plan_number=run.plan_number,
            reviews=ground.said,
            settings=stack.settings.digest(),
            policies=stack.approval_policies,
            approvals=said.rulings,
            flags=said.flags,
            confirming=confirming,
            review=review,
            environment_asks=environment is not None and environment.keeps_back(ref_of(run, stack)),
            failure=failure,
        )

    def _review(self, ground: Ground, command: Command, person: Person) -> PlanReview:
        run, repository = ground.asked.run, ground.asked.repository
        teams: tuple[str, ...] = ()
        if ground.wants_teams and not person.is_operator:
            teams = self.github.list_teams(repository, person.actor)
        return PlanReview(
            run_id=run.id,
            plan_number=run.plan_number,
            state=run.state,
            author=person.actor,
            is_approval=command.verb is Verb.APPROVE,
            note=command.note,
            at=ground.asked.at,
            role=person.role,
            teams=teams,
            source=person.source,
        )

    def _confirming(
        self, ground: Ground, person: Person, change: "_Change", environment: Environment | None
    ) -> Confirming:
        """What GitHub says of the person and the change, as far as some rule asks for it."""
        stack, run, repository = ground.asked.stack, ground.asked.run, ground.asked.repository
        rules = stack.settings.confirm_rules
        teams = sorted({*rules.teams, *(environment.teams if environment is not None else ())})
        authors = change.began
        if rules.not_author:
            if change.makers.obstacle:
                raise UserError(change.makers.obstacle)
            made = self.github.list_authors(repository, change.makers.stretches)
            authors |= change.makers.pushers | {login.lower() for login in made}
        return Confirming(
            actor=person.actor,
            permission=person.permission,
            role=person.role,
            owner=repository.owner,
            stack=stack.name,
            ref=ref_of(run, stack),
            teams=frozenset(team for team in teams if self.github.is_team_member(repository, team, person.actor)),
            authors=authors,
            starters=change.began,
            environment=environment,
        )


@dataclass(frozen=True, slots=True)
class _Change:
    """Whose the change is."""

    began: frozenset[str]
    """Who asked for the run."""
    makers: Makers
