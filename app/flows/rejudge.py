"""What a configuration that is not in force would make of an event that is known as a document: a recorded input, or
one that an author wrote.

Asks the policy engine, reads and writes nothing else. The same rules as for events that arrive: default policy, Rego,
combined; forks and closed pull requests are held back alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from app.core.contract import Evaluated, PolicyFailed
from app.core.contract_push import PolicyReceipt, combine
from app.core.decision import PolicyOutcome, PushInput, Verdict
from app.core.errors import UserError
from app.core.event import Repository
from app.core.names import ConfigVersionId, RepositoryId, StackId
from app.core.pushinput import CommitFacts, Document, EventAsked, PushAsked, StackAsked, stack_document
from app.core.pushpolicy import default_policy
from app.core.stack import Configuration, PolicySpec, Stack
from app.flows.configure import text_of
from app.flows.judge import outcome_of
from app.flows.ports import Policies

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejudged:
    """What an event would mean for a stack."""

    verdict: Verdict
    reason: str
    outcomes: tuple[PolicyOutcome, ...] = ()
    is_run_wanted: bool = False
    """False for what is ignored, and for `notrigger`: the head moves, and no run is made."""
    is_fork_allowed: bool = False
    """A policy lets a fork's commits be validated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejudge:
    """Asks again. `texts`: policies by digest."""

    policies: Policies
    repository: Repository
    web_url: str

    def ask(
        self, stack: Stack, document: Mapping[str, object], texts: Mapping[str, str], *, is_everything: bool = False
    ) -> Rejudged:
        """What the event of a document means for a stack; whatever the document says of a stack is left out.

        `is_everything`: what changed is not known, so everything counts as changed.
        """
        question: Document = {**document, **self._own(stack), "in_progress": document.get("in_progress") or []}
        if stack.push_policies:
            said = self._by_policies(stack, question, texts)
        else:
            said = self._by_default(stack, question, is_everything=is_everything)
        return self._restrained(said, _part(question, "pull_request"))

    def _by_policies(self, stack: Stack, question: Document, texts: Mapping[str, str]) -> Rejudged:
        receipts = [PolicyReceipt(spec.name, self._evaluate(spec, texts, question)) for spec in stack.push_policies]
        said = combine(receipts, tag=_text(_part(question, "push"), "tag"))
        outcomes = tuple(outcome_of(receipt) for receipt in receipts)
        return Rejudged(
            verdict=said.verdict,
            reason=said.reason,
            outcomes=outcomes,
            is_run_wanted=said.is_run_wanted,
            is_fork_allowed=said.is_fork_allowed,
        )

    def _evaluate(self, spec: PolicySpec, texts: Mapping[str, str], question: Document) -> Evaluated | PolicyFailed:
        text = texts.get(spec.digest)
        if text is None:
            return PolicyFailed(kind="missing", message="its text is not kept any more")
        try:
            return self.policies.evaluate(text_of(spec, text), question)
        except UserError as error:
            return PolicyFailed(kind="unavailable", message=str(error)[:500])

    def _by_default(self, stack: Stack, question: Document, *, is_everything: bool) -> Rejudged:
        push, pull = _part(question, "push"), _part(question, "pull_request")
        settings = stack.settings
        asked = PushInput(
            branch=_text(push, "branch"),
            tag=_text(push, "tag"),
            affected_files=None if is_everything else _texts(push, "affected_files"),
            project_root=settings.project_root,
            additional_project_globs=settings.additional_project_globs,
            stack_branch=settings.branch,
            pull_files=_texts(pull, "diff"),
        )
        answer = default_policy(asked)
        wanted = answer.verdict in (Verdict.TRACK, Verdict.PROPOSE)
        return Rejudged(verdict=answer.verdict, reason=answer.reason, is_run_wanted=wanted)

    def _own(self, stack: Stack) -> Document:
        """The document's part about the stack, as far as a configuration says it."""
        event = EventAsked(
            repository=self.repository,
            push=PushAsked(commit=CommitFacts()),
            pull=None,
            at=_EPOCH,
            web_url=self.web_url,
        )
        head = CommitFacts(sha=stack.head_sha) if stack.head_sha else None
        return stack_document(event, StackAsked(stack=stack, state=None, tracked=head))

    def _restrained(self, said: Rejudged, pull: Mapping[str, object]) -> Rejudged:
        """Without what no policy can have."""
        if said.verdict not in (Verdict.TRACK, Verdict.PROPOSE) or not pull:
            return said
        owner = _text(pull, "head_owner")
        is_merged = pull.get("action") == "merged"
        is_fork = bool(owner) and owner.lower() != self.repository.owner.lower() and not is_merged
        if is_fork and (said.verdict is Verdict.TRACK or not said.is_fork_allowed):
            why = "the pull request comes from a fork"
            return Rejudged(verdict=Verdict.IGNORE, reason=f"{said.reason}; {why}", outcomes=said.outcomes)
        if said.verdict is Verdict.PROPOSE and pull.get("closed") is True:
            return Rejudged(
                verdict=Verdict.IGNORE, reason=f"{said.reason}; the pull request is closed", outcomes=said.outcomes
            )
        return said


def imagined_stacks(
    configuration: Configuration, known: Mapping[str, Stack], repository_id: RepositoryId
) -> list[Stack]:
    """The stacks that a configuration would make, in its order; one that is there by its name keeps what it is."""
    made = []
    for spec in configuration.stacks:
        before = known.get(spec.settings.name) or known.get(spec.renamed_from)
        made.append(
            Stack(
                id=before.id if before else StackId(""),
                repository_id=repository_id,
                settings=spec.settings,
                policies=tuple(policy for policy in configuration.policies if policy.is_attached_to(spec.settings)),
                config_version_id=before.config_version_id if before else ConfigVersionId(""),
                is_detached=False,
                state_mode=before.state_mode if before else None,
                head_sha=before.head_sha if before else None,
                head_seq=before.head_seq if before else 0,
                policy_id=spec.policy_id,
            )
        )
    return made


def decides_alike(one: Stack, other: Stack) -> bool:
    """True when no event can mean something else for one stack than for the other."""
    return (
        one.settings == other.settings
        and one.policy_id == other.policy_id
        and [(policy.name, policy.digest, policy.dialect) for policy in one.push_policies]
        == [(policy.name, policy.digest, policy.dialect) for policy in other.push_policies]
    )


def _part(document: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _text(part: Mapping[str, object], key: str) -> str:
    found = part.get(key)
    return found if isinstance(found, str) else ""


def _texts(part: Mapping[str, object], key: str) -> tuple[str, ...]:
    found = part.get(key)
    return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else ()
