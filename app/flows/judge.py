"""What an event means for each stack: the default policy for most, Rego for those that have a push policy.

Asks the policy engine, outside of any transaction; changes nothing. A policy that gives no answer starts nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core.contract import Evaluated, PolicyFailed, PolicyQuestions
from app.core.contract_push import PolicyReceipt, PushAnswer, combine
from app.core.decision import Answer, EventKind, PolicyOutcome, PushInput, Verdict
from app.core.errors import UserError
from app.core.happening import Happening
from app.core.pushinput import Document, EventAsked, StackAsked, event_document, stack_document, with_files
from app.core.pushpolicy import AffectedIndex, default_policy
from app.core.stack import PolicySpec, Stack
from app.flows.configure import text_of
from app.flows.look import Base, Looked
from app.flows.ports import Policies

DEFAULT = "default"
MAX_PRINTS = 50
"""Prints of one policy that the record keeps, of 500 characters at most each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What an event means for one stack, before anything follows from it."""

    stack: Stack
    answer: Answer
    said: PushAnswer | None = None
    """All that its policies said; None: the default policy decided."""
    outcomes: tuple[PolicyOutcome, ...] = ()
    asked: Document | None = None
    """The part of the question that is the stack's own; None: the default policy was not asked by document."""
    note: str = ""
    elapsed_s: float = 0.0
    is_rejected: bool = False
    """The stack is locked with another key: said on the commit."""

    @property
    def policy(self) -> str:
        """Who decided: `default`, or the names of the policies."""
        return ", ".join(outcome.name for outcome in self.outcomes) or DEFAULT

    @property
    def own_input(self) -> Document:
        """The part of the question that is the stack's own, as the record keeps it."""
        return default_input(self.stack) if self.asked is None else self.asked

    @property
    def is_run_wanted(self) -> bool:
        """True when a run should be made of it."""
        if self.said is not None:
            return self.said.is_run_wanted
        return self.answer.verdict in (Verdict.TRACK, Verdict.PROPOSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One event with all that its stacks are asked."""

    happening: Happening
    looked: Looked
    event: EventAsked
    stacks: Sequence[StackAsked]
    texts: Mapping[str, str]
    """Policy texts by digest."""
    everything: tuple[str, ...] = ()
    """Every file of the commit, for policies, when the base could not be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Decides a case."""

    policies: Policies

    def rule(self, case: Case) -> list[Ruling]:
        """A ruling for each stack, in their order. Comments are for policies: other stacks are not asked about them."""
        is_comment = case.happening.kind is EventKind.COMMENT
        default = DefaultJudge(case)
        shared = event_document(case.event)
        if case.looked.base is not None:
            shared = self._with_files(case, shared, case.looked.base)
        asked = [each for each in case.stacks if each.stack.policies and each.stack.push_policies]
        told = iter(self._ask(case, shared, asked))
        rulings = []
        for each in case.stacks:
            if each.stack.policies and each.stack.push_policies:
                rulings.append(next(told))
            elif not is_comment:
                rulings.append(default.rule(each.stack))
        return rulings

    def _ask(self, case: Case, shared: Document, stacks: Sequence[StackAsked]) -> list[Ruling]:
        """Ask the stacks' policies: each apart, all that one policy is asked together."""
        owns = [self._own(case, shared, asked) for asked in stacks]
        places: dict[PolicySpec, list[int]] = {}
        for at, asked in enumerate(stacks):
            for spec in asked.stack.push_policies:
                places.setdefault(spec, []).append(at)
        questions = {spec: [owns[at] for at in wanted] for spec, wanted in places.items()}
        answers = self._evaluate(case.texts, shared, questions)
        told = {
            (spec, at): said for spec, wanted in places.items() for at, said in zip(wanted, answers[spec], strict=True)
        }
        return [
            _ruling(case, asked, own, [PolicyReceipt(spec.name, told[spec, at]) for spec in asked.stack.push_policies])
            for at, (asked, own) in enumerate(zip(stacks, owns, strict=True))
        ]

    def _own(self, case: Case, shared: Document, asked: StackAsked) -> Document:
        """The part of the question that is the stack's own: after a tag also what was pushed, since its own head."""
        own = stack_document(case.event, asked)
        if case.looked.base is not None:
            return own
        return own | {"push": self._with_files(case, shared, base_of(case.looked, asked.stack))["push"]}

    def _with_files(self, case: Case, shared: Document, base: Base) -> Document:
        files = case.looked.since(base)
        return with_files(shared, case.everything if files is None else files)

    def _evaluate(
        self, texts: Mapping[str, str], shared: Document, questions: Mapping[PolicySpec, Sequence[Document]]
    ) -> dict[PolicySpec, Sequence[Evaluated | PolicyFailed]]:
        """What each policy says to its questions; one without a text, or without an engine to ask, says nothing."""
        found: dict[PolicySpec, Sequence[Evaluated | PolicyFailed]] = {}
        known = {spec: text for spec in questions if (text := texts.get(spec.digest)) is not None}
        for spec in questions.keys() - known.keys():
            words = "its text is not kept yet: the next push to the default branch brings it"
            found[spec] = [PolicyFailed(kind="missing", message=words)] * len(questions[spec])
        if not known:
            return found
        asked = [PolicyQuestions(policy=text_of(spec, text), own=questions[spec]) for spec, text in known.items()]
        try:
            return found | dict(zip(known, self.policies.evaluate_all(shared, asked), strict=True))
        except UserError as error:
            failed = PolicyFailed(kind="unavailable", message=str(error)[:500])
            return found | {spec: [failed] * len(questions[spec]) for spec in known}


def _ruling(case: Case, asked: StackAsked, own: Document, receipts: Sequence[PolicyReceipt]) -> Ruling:
    """What a stack's policies come to together."""
    said = combine(receipts, tag=case.happening.tag)
    answer = Answer(
        verdict=said.verdict,
        reason=said.reason,
        rules={name: value for name, value in said.rules.items() if isinstance(value, bool)},
    )
    spent = (each.said.elapsed_s for each in receipts if isinstance(each.said, Evaluated))
    return Ruling(
        stack=asked.stack,
        answer=answer,
        said=said,
        outcomes=tuple(outcome_of(receipt) for receipt in receipts),
        asked=own,
        note=note_of(case.looked, base_of(case.looked, asked.stack)),
        elapsed_s=sum(spent),
    )


class DefaultJudge:
    """The default policy for many stacks: the changed files are indexed once."""

    __slots__ = ("_branch", "_files", "_index", "_note", "_pull_files", "_pull_index", "_tag")

    def __init__(self, case: Case) -> None:
        looked = case.looked
        self._branch, self._tag = case.happening.branch, case.happening.tag
        # A tag has a base for each stack; the default policy ignores tags whatever they change.
        self._files = looked.since(looked.base) if looked.base is not None else ()
        self._note = note_of(looked, looked.base) if looked.base is not None else ""
        self._pull_files = looked.pull_files
        self._index = AffectedIndex(self._files or ())
        self._pull_index = AffectedIndex(looked.pull_files or ())

    def rule(self, stack: Stack) -> Ruling:
        """The default policy's ruling."""
        settings = stack.settings
        question = PushInput(
            branch=self._branch,
            tag=self._tag,
            affected_files=self._files,
            project_root=settings.project_root,
            additional_project_globs=settings.additional_project_globs,
            stack_branch=settings.branch,
            pull_files=self._pull_files,
        )
        answer = default_policy(question, self._index, self._pull_index)
        return Ruling(stack=stack, answer=answer, note=self._note)


def default_input(stack: Stack) -> Document:
    """What of a stack the default policy looks at."""
    settings = stack.settings
    globs = list(settings.additional_project_globs)
    return {
        "stack": {
            "branch": settings.branch,
            "project_root": settings.project_root,
            "additional_project_globs": globs,
        }
    }


def base_of(looked: Looked, stack: Stack) -> Base:
    """What the event's commit is compared with for a stack: a tag with the stack's own head."""
    if looked.base is not None:
        return looked.base
    if stack.head_sha is None:
        return Base(sha=None, note="the stack has no head yet: everything counts as changed")
    return Base(sha=stack.head_sha)


def note_of(looked: Looked, base: Base) -> str:
    """What a reader must know about the base."""
    if base.sha is not None and looked.since(base) is None:
        return f"{base.sha[:7]}, the commit before, could not be had: everything counts as changed"
    return base.note


def outcome_of(receipt: PolicyReceipt) -> PolicyOutcome:
    """What a policy said, as the record keeps it."""
    said = receipt.said
    if isinstance(said, PolicyFailed):
        where = f" (line {said.line})" if said.line else ""
        return PolicyOutcome(name=receipt.name, failure=f"{said.kind}: {said.message}{where}"[:1000])
    return PolicyOutcome(
        name=receipt.name,
        rules=dict(said.rules),
        fired=tuple((fired.rule, fired.line) for fired in said.fired),
        prints=tuple(line[:500] for line in said.prints[:MAX_PRINTS]),
        elapsed_s=said.elapsed_s,
    )
