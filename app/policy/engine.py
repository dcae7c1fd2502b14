"""Asking a policy: prepared once, evaluated under its deadline, closed when it fails, put aside when it fails thrice.

The same for both backends (pool, server). Thread-safe; asked by flows, never by a worker.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from app.core.contract import CONTRACTS, Evaluated, Mistake, PolicyFailed, PolicyText, PolicyType
from app.policy.faults import BUILTIN_CODES, faults_of, is_builtin, kind_of
from app.policy.lenient import replacements
from app.policy.prelude import ANSWER_PACKAGE, POLICY_MODULE
from app.policy.prepare import Prepared, Refused, content_key, prepare, refusal_of
from app.policy.program import Ask, Backend, Envelope, NoAnswer, Program, Result
from app.policy.reading import fired_in, prints_of, trace_of, values_of
from app.policy.witness import without_witness

MAX_QUESTION_BYTES: Final = 48 * 1024 * 1024
STRIKES: Final = 3
"""How often a policy may end its worker, one time after the other, before it is put aside."""
_KEPT: Final = 512
_NO_RULE: Final = f"x := data.{ANSWER_PACKAGE}.nothing"
_ALL_RULES: Final = f"x := data.{ANSWER_PACKAGE}"
_STRIKING: Final = frozenset({"timeout", "memory", "crash"})


class PolicyEngine:
    """Policies can be asked here. Raises, on use: UserError when there is no engine to ask."""

    def __init__(self, backend: Backend, timeouts_s: Mapping[PolicyType, float] | None = None) -> None:
        self.backend = backend
        self._timeouts_s = {type_: each.timeout_s for type_, each in CONTRACTS.items()} | dict(timeouts_s or {})
        self._lock = threading.Lock()
        self._prepared: OrderedDict[str, Prepared | Refused] = OrderedDict()
        self._strikes: OrderedDict[str, int] = OrderedDict()

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
        prepared = self._prepare(policy)
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
        key = content_key(policy)
        if self._strikes.get(key, 0) >= STRIKES:
            why = f"put aside after it ended the engine {STRIKES} times: change the policy"
            return PolicyFailed(kind="quarantined", message=why)
        try:
            body = msgspec.json.encode(question)
        except (TypeError, ValueError, RecursionError) as error:
            return PolicyFailed(kind="contract", message=f"the input cannot be written as JSON: {error}"[:300])
        if len(body) > MAX_QUESTION_BYTES:
            return PolicyFailed(kind="memory", message=f"the input is longer than {MAX_QUESTION_BYTES:,} bytes")
        prepared = self._prepare(policy)
        deadline = time.monotonic() + self._timeouts_s[policy.type]  # reading and preparing it has limits of its own
        evaluation = _Evaluation(self.backend, policy, body, deadline, want_trace=want_trace)
        said = _failed(prepared) if isinstance(prepared, Refused) else evaluation.run(prepared)
        self._count(key, said)
        return replace(said, elapsed_s=time.monotonic() - began) if isinstance(said, Evaluated) else said

    def _prepare(self, policy: PolicyText) -> Prepared | Refused:
        key = content_key(policy)
        with self._lock:
            found = self._prepared.get(key)
            if found is not None:
                self._prepared.move_to_end(key)
                return found
        made = prepare(policy, self.backend)
        if isinstance(made, Refused) and (made.kind in _STRIKING or made.kind == "unavailable"):
            return made  # the next time may be better
        with self._lock:
            self._prepared[key] = made
            if len(self._prepared) > _KEPT:
                self._prepared.popitem(last=False)
        return made

    def _count(self, key: str, said: Evaluated | PolicyFailed) -> None:
        """Three strikes in a row put a policy aside until its text is another."""
        with self._lock:
            if isinstance(said, PolicyFailed) and said.kind in _STRIKING:
                self._strikes[key] = self._strikes.get(key, 0) + 1
                self._strikes.move_to_end(key)
                if len(self._strikes) > _KEPT:
                    self._strikes.popitem(last=False)
            else:
                self._strikes.pop(key, None)


class _Evaluation:
    """One question to one policy: strictly first, and rule by rule as OPA would when a built-in function failed."""

    def __init__(self, backend: Backend, policy: PolicyText, body: bytes, deadline: float, *, want_trace: bool) -> None:
        self._backend, self._policy, self._body = backend, policy, body
        self._deadline, self._want_trace = deadline, want_trace

    def run(self, prepared: Prepared) -> Evaluated | PolicyFailed:
        envelope = self._ask(prepared.program, _ALL_RULES)
        if isinstance(envelope, Envelope) and prepared.has_witness and _is_halting(envelope):
            envelope = self._ask(prepared.program, without_witness(_ALL_RULES))
            envelope = envelope if isinstance(envelope, NoAnswer) else _as_values(envelope)
        if isinstance(envelope, NoAnswer):
            return PolicyFailed(kind=envelope.kind, message=envelope.message)
        if envelope.error is None:
            said = dict(envelope.value or {})
            return self._evaluated(prepared, dict(said.get("values") or {}), [envelope], {}, said.get("fired") or ())
        if not is_builtin(faults_of(envelope.error.message)[0]):
            return self._stopped(envelope)
        return self._rule_by_rule(prepared)

    def _rule_by_rule(self, prepared: Prepared) -> Evaluated | PolicyFailed:
        found: dict[str, Any] = {}
        errors: dict[str, str] = {}
        envelopes: list[Envelope] = []
        for rule in CONTRACTS[self._policy.type].rules:
            query = f"x := data.{prepared.program.package}.{rule}"
            envelope = self._ask(prepared.program, query, with_coverage=True)
            if isinstance(envelope, Envelope) and envelope.error and is_builtin(faults_of(envelope.error.message)[0]):
                errors[rule] = self._error_text(envelope)
                envelope = self._ask_leniently(prepared, query)
                if isinstance(envelope, Envelope) and envelope.error and not _is_halting(envelope):
                    continue  # what cannot be replaced: the rule stays undefined, its error says so
            if isinstance(envelope, NoAnswer):
                return PolicyFailed(kind=envelope.kind, message=envelope.message)
            if envelope.error:
                return self._stopped(envelope)
            if envelope.result:
                found[rule] = envelope.value
            envelopes.append(envelope)
        return self._evaluated(prepared, found, envelopes, errors)

    def _ask_leniently(self, prepared: Prepared, query: str) -> Envelope | NoAnswer:
        if self._backend.is_lenient_itself:
            return self._ask(prepared.program, query, is_strict=False, with_coverage=True)
        return self._ask(prepared.lenient, query + replacements(prepared.calls), with_coverage=True)

    def _ask(
        self, program: Program, query: str, *, is_strict: bool = True, with_coverage: bool = False
    ) -> Envelope | NoAnswer:
        left = self._deadline - time.monotonic()
        if left <= 0:
            return NoAnswer("timeout", "no answer in time")
        ask = Ask(
            query=query,
            question=self._body,
            timeout_s=left,
            coverage=with_coverage,
            trace=self._want_trace,
            is_strict=is_strict,
        )
        return self._backend.evaluate(program, ask)

    def _evaluated(
        self,
        prepared: Prepared,
        found: dict[str, Any],
        envelopes: list[Envelope],
        errors: dict[str, str],
        witnessed: Iterable[str] = (),
    ) -> Evaluated | PolicyFailed:
        values = values_of(self._policy.type, found)
        if isinstance(values, PolicyFailed):
            return values
        fired = [fired for each in envelopes for fired in fired_in(values, prepared, witnessed, each.coverage)]
        if len(envelopes) > 1:  # each envelope covers one rule, and sees the others as not covered
            fired = [each for each in fired if each.line] or fired
        return Evaluated(
            rules=values,
            fired=tuple(dict.fromkeys(fired)),
            prints=tuple(dict.fromkeys(text for each in envelopes for text in prints_of(each.prints))),
            errors_by_rule=errors,
            trace=tuple(text for each in envelopes for text in trace_of(each.trace, self._policy.path)),
        )

    def _stopped(self, envelope: Envelope) -> PolicyFailed:
        if envelope.error and envelope.error.code in ("prepare_error", "parse_error"):
            return _failed(refusal_of(envelope, self._policy))
        fault = faults_of(envelope.error.message if envelope.error else "")[0]
        line = fault.line if fault.module == POLICY_MODULE else 0
        return PolicyFailed(kind=kind_of(fault), message=self._error_text(envelope), line=line)

    def _error_text(self, envelope: Envelope) -> str:
        fault = faults_of(envelope.error.message if envelope.error else "")[0]
        place = f"line {fault.line}: " if fault.module == POLICY_MODULE else ""
        return f"{place}{fault.code}: {fault.text}"[:500]


def _is_halting(envelope: Envelope) -> bool:
    """True for an error that stops OPA too, like two values for one rule."""
    code = faults_of(envelope.error.message)[0].code if envelope.error else ""
    return code.startswith("eval_") and code not in BUILTIN_CODES


def _as_values(envelope: Envelope) -> Envelope:
    """An answer to the question for values alone, in the shape of an answer to the whole question."""
    return msgspec.structs.replace(envelope, result=[Result(bindings={"x": {"values": envelope.value}})])


def _failed(refused: Refused) -> PolicyFailed:
    first = refused.mistakes[0]
    more = f" (and {len(refused.mistakes) - 1} more)" if len(refused.mistakes) > 1 else ""
    place = f"line {first.line}: " if first.line else ""
    return PolicyFailed(kind=refused.kind, message=f"{place}{first.message}{more}", line=first.line)
