"""Asking a policy: prepared once, evaluated under its deadline, closed when it fails, put aside when it fails thrice.

The same for both backends (pool, server). Thread-safe; asked by flows, never by a worker.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from app.core.contract import (
    CONTRACTS,
    Evaluated,
    Mistake,
    PolicyFailed,
    PolicyQuestions,
    PolicyText,
    PolicyType,
)
from app.policy.batch import Batch, encoded, too_long
from app.policy.evaluation import Evaluation, failed_of
from app.policy.prelude import ANSWER_PACKAGE
from app.policy.prepare import Refused, refusal_of
from app.policy.program import Ask, Backend, NoAnswer
from app.policy.registry import Registry

_NO_RULE: Final = f"x := data.{ANSWER_PACKAGE}.nothing"


class PolicyEngine:
    """Policies can be asked here. Raises, on use: UserError when there is no engine to ask."""

    def __init__(self, backend: Backend, timeouts_s: Mapping[PolicyType, float] | None = None) -> None:
        self.backend = backend
        self._timeouts_s = {type_: each.timeout_s for type_, each in CONTRACTS.items()} | dict(timeouts_s or {})
        self._registry = Registry(backend)

    @property
    def isolation(self) -> dict[str, str]:
        """What the engine's process cannot do. Shape: what, and how it went."""
        return self.backend.isolation

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the backend back."""
        self.backend.close()

    def check(self, policy: PolicyText) -> tuple[Mistake, ...]:
        """What stops a policy from being accepted: parsing, types, forbidden functions, package, rules."""
        prepared = self._registry.prepared(policy)
        if isinstance(prepared, Refused):
            return prepared.mistakes
        ask = Ask(query=_NO_RULE, question=b"{}", timeout_s=self._timeouts_s[policy.type])
        envelope = self.backend.evaluate(prepared.program, ask)
        if isinstance(envelope, NoAnswer):
            return (Mistake(0, 1, envelope.message, ""),)
        return refusal_of(envelope, policy).mistakes if envelope.error else ()

    def evaluate(
        self, policy: PolicyText, question: Mapping[str, object], *, want_trace: bool = False
    ) -> Evaluated | PolicyFailed:
        """What a policy says to a question. Shape: question: the documented input of the policy's type."""
        began = time.monotonic()
        aside = self._registry.find_quarantine(policy)
        if aside is not None:
            return aside
        body = encoded(question)
        if isinstance(body, PolicyFailed):
            return body
        failed = too_long(len(body))
        if failed is not None:
            return failed
        prepared = self._registry.prepared(policy)
        deadline = time.monotonic() + self._timeouts_s[policy.type]  # reading and preparing it has limits of its own
        evaluation = Evaluation(self.backend, policy, body, deadline, want_trace=want_trace)
        said = failed_of(prepared) if isinstance(prepared, Refused) else evaluation.run(prepared)
        self._registry.count(policy, said)
        return replace(said, elapsed_s=time.monotonic() - began) if isinstance(said, Evaluated) else said

    def evaluate_all(
        self, shared: Mapping[str, object], asked: Sequence[PolicyQuestions]
    ) -> list[list[Evaluated | PolicyFailed]]:
        """What several policies say to their questions, in that order: each as `evaluate` would, many at a time.

        Shape: shared: the part of every question that is the same; a question's own keys win.
        """
        return Batch(self.backend, self._registry, self._timeouts_s).run(shared, asked)
