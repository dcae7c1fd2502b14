"""Which commits a mirror is known to keep: remembered, so that a question about one of them starts git once.

Knows nothing of git. What it remembers belongs to one making of a mirror and is never true of the next one.
"""

from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock
from typing import Final

MAX_KEPT: Final = 4_096
"""SHAs that are remembered, of all mirrors together; the one that was longest not asked for goes first."""


class KeptCommits:
    """The commits that were seen in a mirror, for many threads at once. To forget one costs a question to git."""

    def __init__(self, limit: int = MAX_KEPT) -> None:
        self._limit = limit
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = Lock()

    def unknown(self, made: str, shas: Iterable[str]) -> list[str]:
        """Those that this making of a mirror is not known to keep, in their order; all of them when `made` is empty."""
        with self._lock:
            return [sha for sha in shas if not self._touch((made, sha))]

    def remember(self, made: str, shas: Iterable[str]) -> None:
        """They are there. An empty `made` names no mirror, and nothing is remembered."""
        with self._lock:
            for sha in shas if made else ():
                self._known[made, sha] = None
                self._known.move_to_end((made, sha))
            while len(self._known) > self._limit:
                self._known.popitem(last=False)

    def _touch(self, key: tuple[str, str]) -> bool:
        if key not in self._known:
            return False
        self._known.move_to_end(key)
        return True
