"""Many questions at once: what they share is written and sent once, and every free child works on a part of them.

Limits, strikes and failures are each question's own, as if it were asked alone: an answer that does not come closes
that question's door, and those after it are asked afresh.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Final

import msgspec

from app.core.contract import Evaluated, PolicyFailed, PolicyQuestions, PolicyText, PolicyType
from app.policy.evaluation import ALL_RULES, Evaluation, failed_of
from app.policy.frames import joined
from app.policy.prepare import Prepared, Refused
from app.policy.program import AskMany, Backend
from app.policy.registry import Registry

MAX_QUESTION_BYTES: Final = 48 * 1024 * 1024
_LEAST: Final = 8
"""Fewer questions are not worth a second child."""
_MOST: Final = 64
_MOST_BYTES: Final = 8 * 1024 * 1024
"""Of what the questions of one message have of their own."""
Said = Evaluated | PolicyFailed


@dataclass(slots=True, kw_only=True)
class _Piece:
    """Some questions to one policy that share the same part."""

    policy: PolicyText
    shared: bytes
    owns: list[bytes] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    """Where the answers belong: policy, question."""
    size_bytes: int = 0

    def has_room(self, more_bytes: int, most: int) -> bool:
        """True when one more question may go with these."""
        return len(self.owns) < most and self.size_bytes + more_bytes <= _MOST_BYTES


class Batch:
    """All questions of one event."""

    def __init__(self, backend: Backend, registry: Registry, timeouts_s: Mapping[PolicyType, float]) -> None:
        self._backend, self._registry, self._timeouts_s = backend, registry, timeouts_s

    def run(self, shared: Mapping[str, object], asked: Sequence[PolicyQuestions]) -> list[list[Said]]:
        """The answers, in the order of policies and questions."""
        found: dict[tuple[int, int], Said] = {}
        pieces = self._pieces(shared, asked, found)
        width = min(self._backend.width, len(pieces))
        if width > 1:
            with ThreadPoolExecutor(width, thread_name_prefix="policies") as threads:
                answers = list(threads.map(self._ask, pieces))
        else:
            answers = [self._ask(piece) for piece in pieces]
        for piece, said in zip(pieces, answers, strict=True):
            found.update(zip(piece.places, said, strict=True))
        return [[found[at, number] for number in range(len(each.own))] for at, each in enumerate(asked)]

    def _pieces(
        self, shared: Mapping[str, object], asked: Sequence[PolicyQuestions], found: dict[tuple[int, int], Said]
    ) -> list[_Piece]:
        """The questions in pieces; what cannot be asked at all is answered in `found`."""
        parts: dict[frozenset[str], bytes | PolicyFailed] = {}
        pieces: list[_Piece] = []
        for at, each in enumerate(asked):
            most = min(_MOST, max(_LEAST, ceil(len(each.own) / self._backend.width)))
            piece: _Piece | None = None
            for number, own in enumerate(each.own):
                keys = frozenset(own)
                if keys not in parts:
                    parts[keys] = encoded({key: value for key, value in shared.items() if key not in keys})
                question = _askable(parts[keys], encoded(own))
                if isinstance(question, PolicyFailed):
                    found[at, number] = question
                    continue
                part, body = question
                if piece is None or piece.shared is not part or not piece.has_room(len(body), most):
                    piece = _Piece(policy=each.policy, shared=part)
                    pieces.append(piece)
                piece.owns.append(body)
                piece.places.append((at, number))
                piece.size_bytes += len(body)
        return pieces

    def _ask(self, piece: _Piece) -> list[Said]:
        """The answers to a piece: asked again for what is left whenever the backend stops early."""
        found: list[Said] = []
        while len(found) < len(piece.owns):
            aside = self._registry.find_quarantine(piece.policy)
            prepared = aside or self._registry.prepared(piece.policy)
            if isinstance(prepared, Prepared):
                found += self._answers(piece, prepared, len(found))
                continue
            said = failed_of(prepared) if isinstance(prepared, Refused) else prepared
            if aside is None:
                self._registry.count(piece.policy, said)
            found.append(said)
        return found

    def _answers(self, piece: _Piece, prepared: Prepared, first: int) -> list[Said]:
        """What the backend answers to the questions from `first` on, as far as it comes; at least one."""
        timeout_s = self._timeouts_s[piece.policy.type]
        many = AskMany(query=ALL_RULES, shared=piece.shared, owns=tuple(piece.owns[first:]), timeout_s=timeout_s)
        found: list[Said] = []
        for own, answer in zip(many.owns, self._backend.evaluate_many(prepared.program, many), strict=False):
            began = time.monotonic()
            body, left = joined(piece.shared, own), timeout_s - answer.elapsed_s
            said = Evaluation(self._backend, piece.policy, body, began + left, want_trace=False).conclude(
                prepared, answer.envelope
            )
            self._registry.count(piece.policy, said)
            if isinstance(said, Evaluated):
                said = replace(said, elapsed_s=answer.elapsed_s + time.monotonic() - began)
            found.append(said)
        return found


def _askable(shared: bytes | PolicyFailed, own: bytes | PolicyFailed) -> tuple[bytes, bytes] | PolicyFailed:
    """Both parts of a question that can be asked, or why it cannot."""
    if isinstance(shared, PolicyFailed):
        return shared
    if isinstance(own, PolicyFailed):
        return own
    return too_long(len(shared) + len(own)) or (shared, own)


def encoded(question: Mapping[str, object]) -> bytes | PolicyFailed:
    """A question, or a part of one, as JSON."""
    try:
        return msgspec.json.encode(question)
    except (TypeError, ValueError, RecursionError) as error:
        return PolicyFailed(kind="contract", message=f"the input cannot be written as JSON: {error}"[:300])


def too_long(size_bytes: int) -> PolicyFailed | None:
    """The answer to a question that is longer than any may be."""
    if size_bytes <= MAX_QUESTION_BYTES:
        return None
    return PolicyFailed(kind="memory", message=f"the input is longer than {MAX_QUESTION_BYTES:,} bytes")
