"""One question to one policy: strictly first, and rule by rule as OPA would when a built-in function failed.

Asks a backend as often as that takes, within one deadline. Knows no process, and no other policy.
"""

import time
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from app.core.contract import CONTRACTS, Evaluated, PolicyFailed, PolicyText
from app.policy.faults import BUILTIN_CODES, faults_of, is_builtin, kind_of
from app.policy.lenient import replacements
from app.policy.prelude import ANSWER_PACKAGE, POLICY_MODULE
from app.policy.prepare import Prepared, Refused, refusal_of
from app.policy.program import Ask, Backend, Envelope, NoAnswer, Program, Result
from app.policy.reading import fired_in, prints_of, trace_of, values_of
from app.policy.witness import without_witness

ALL_RULES: Final = f"x := data.{ANSWER_PACKAGE}"


class Evaluation:
    """One question to one policy: strictly first, and rule by rule as OPA would when a built-in function failed."""

    def __init__(self, backend: Backend, policy: PolicyText, body: bytes, deadline: float, *, want_trace: bool) -> None:
        self._backend, self._policy, self._body = backend, policy, body
        self._deadline, self._want_trace = deadline, want_trace

    def run(self, prepared: Prepared) -> Evaluated | PolicyFailed:
        """Ask, and what came of it."""
        return self.conclude(prepared, self._ask(prepared.program, ALL_RULES))

    def conclude(self, prepared: Prepared, envelope: Envelope | NoAnswer) -> Evaluated | PolicyFailed:
        """What came of an answer to `ALL_RULES`, or of none; asks again where that says too little."""
        if isinstance(envelope, Envelope) and prepared.has_witness and _is_halting(envelope):
            envelope = self._ask(prepared.program, without_witness(ALL_RULES))
            envelope = envelope if isinstance(envelope, NoAnswer) else _as_values(envelope)
        if isinstance(envelope, NoAnswer):
            return PolicyFailed(kind=envelope.kind, message=envelope.message)
        if envelope.error is None and not envelope.result:  # never so for a policy that is there
            return PolicyFailed(kind="unavailable", message="the engine does not have the policy")
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
            return failed_of(refusal_of(envelope, self._policy))
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


def failed_of(refused: Refused) -> PolicyFailed:
    """A policy that cannot be asked, as an answer."""
    first = refused.mistakes[0]
    more = f" (and {len(refused.mistakes) - 1} more)" if len(refused.mistakes) > 1 else ""
    place = f"line {first.line}: " if first.line else ""
    return PolicyFailed(kind=refused.kind, message=f"{place}{first.message}{more}", line=first.line)
