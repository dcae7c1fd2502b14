"""The policies that were prepared, by content, and the strikes against them.

Thread-safe. Strikes are this process's own: a new one, after a restart or beside this one, begins to count again.
"""

import threading
from collections import OrderedDict
from typing import Final

from app.core.contract import Evaluated, PolicyFailed, PolicyText
from app.policy.prepare import Prepared, Refused, content_key, prepare
from app.policy.program import Backend

STRIKES: Final = 3
"""How often a policy may end its worker, one time after the other, before it is put aside."""
_KEPT: Final = 512
_STRIKING: Final = frozenset({"timeout", "memory", "crash"})


class Registry:
    """What is known of policies on one backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = threading.Lock()
        self._prepared: OrderedDict[str, Prepared | Refused] = OrderedDict()
        self._strikes: OrderedDict[str, int] = OrderedDict()

    def prepared(self, policy: PolicyText) -> Prepared | Refused:
        """The policy's program, or its mistakes: made once for each content."""
        key = content_key(policy)
        with self._lock:
            found = self._prepared.get(key)
            if found is not None:
                self._prepared.move_to_end(key)
                return found
        made = prepare(policy, self._backend)
        if isinstance(made, Refused) and (made.kind in _STRIKING or made.kind == "unavailable"):
            return made  # the next time may be better
        with self._lock:
            self._prepared[key] = made
            if len(self._prepared) > _KEPT:
                self._prepared.popitem(last=False)
        return made

    def find_quarantine(self, policy: PolicyText) -> PolicyFailed | None:
        """The answer of a policy that was put aside; None for one that may be asked."""
        if self._strikes.get(content_key(policy), 0) < STRIKES:
            return None
        why = f"put aside after it ended the engine {STRIKES} times: change the policy"
        return PolicyFailed(kind="quarantined", message=why)

    def count(self, policy: PolicyText, said: Evaluated | PolicyFailed) -> None:
        """Three strikes in a row put a policy aside until its text is another."""
        key = content_key(policy)
        with self._lock:
            if isinstance(said, PolicyFailed) and said.kind in _STRIKING:
                self._strikes[key] = self._strikes.get(key, 0) + 1
                self._strikes.move_to_end(key)
                if len(self._strikes) > _KEPT:
                    self._strikes.popitem(last=False)
            else:
                self._strikes.pop(key, None)
