"""A run is made once more, by a person's command: the same commit, the same type, a run of its own."""

from dataclasses import dataclass
from typing import Final

from app.core import words, words_start
from app.core.command import Verb
from app.core.names import RunId
from app.core.permit import needed
from app.core.retry import Again, retry
from app.core.run import Run, RunType
from app.core.stack import Permission, Stack
from app.flows.answer import Done, Not, Person
from app.flows.ports import Transaction
from app.flows.schedule import schedule

BRANCH: Final = "refs/heads/"
MAX_LOOKED_AT = 200
"""Newest runs of a stack among which an earlier retry is looked for."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What GitHub said of the pull request of one run, before the transaction."""

    run_id: RunId
    refusal: Not | None
    """Closed, moved, or gone since; None: it stands for the run's commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Who wants the run once more, and what was asked about it."""

    person: Person
    standing: Standing | None
    prefix: str


def retry_refusal(tx: Transaction, run: Run, stack: Stack, asking: Asking) -> Not | None:
    """Why the run must not be made once more although it ended so that it could be, or None."""
    if stack.is_detached:
        return Not(words.detached(run))
    if run.type.is_state_changing and (refusal := _not_permitted(run, stack, asking.person)):
        return refusal
    if run.type.is_state_changing and not tx.is_current(stack.id):
        return Not(words_start.settings_on_their_way(Verb.RETRY, stack.name))
    if is_promotion(run, stack) and (refusal := _promotion_refusal(run, stack, asking)):
        return refusal
    if run.type.is_state_changing and run.head_seq < stack.head_seq:
        return Not(words_start.retry_superseded(run))
    by = next((each for each in tx.list_stack_runs(stack.id, limit=MAX_LOOKED_AT) if each.retry_of == run.id), None)
    return Not(words_start.retried_already(run, by)) if by is not None else None


def _promotion_refusal(run: Run, stack: Stack, asking: Asking) -> Not | None:
    """Why a commit that was not merged must not be deployed once more, or None: all that a promotion asks."""
    if not stack.settings.allow_promotion:
        return Not(words_start.no_promotion(stack.name, asking.prefix))
    if run.pull_number is None:
        return None
    if asking.standing is None or asking.standing.run_id != run.id:
        return Not(words_start.retry_not_looked_at(run))
    return asking.standing.refusal


def _not_permitted(run: Run, stack: Stack, person: Person) -> Not | None:
    """A deployment made once more is a deployment: on an autodeploy stack nobody is asked again."""
    is_destroy = run.type is RunType.DESTROY
    least = Permission.ADMIN if is_destroy else needed(Verb.DEPLOY, stack.settings.confirm_permission)
    if person.permission.rank >= least.rank:
        return None
    what = "a destroy" if is_destroy else "to retry a deployment"
    reason = f"{person.actor} has {person.permission.value} permission on {person.repository}"
    return Not(words.not_permitted(f"{reason}, and {what} needs {least.value}"))


def is_promotion(run: Run, stack: Stack) -> bool:
    """True for a deployment of a commit that was not merged: no event made it, and its ref is another branch. A tag's
    commit was tracked by its event, whoever asked for the run."""
    is_ordered = run.type is RunType.TRACKED and run.decision_id is None
    return is_ordered and not run.tag and run.ref != f"{BRANCH}{stack.settings.branch}"


def make_retry(tx: Transaction, run: Run, stack: Stack, person: Person) -> Done:
    """Make the new run, and let it go when it is its turn. The caller holds the stack's lock."""
    again = Again(
        id=RunId(tx.new_id()),
        actor=person.actor,
        at=tx.now(),
        stack_name=stack.name,
        stack_digest=stack.settings.digest(),
        config_version_id=stack.config_version_id,
    )
    made = retry(run, again)
    tx.add_run(made, event_key=None)
    schedule(tx, stack)
    return Done(words_start.retried(made, stack))
