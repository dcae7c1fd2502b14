"""The ways of finding missed events, put together: the delivery log, branches and tags, conversations.

Each looks when the database says that it is time, and rests as long as GitHub asks; see `missed_log`, `missed_heads`,
`missed_comments`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

from app.core.errors import RetryableError
from app.core.event import Repository
from app.core.missed import Path
from app.flows.missed_comments import MissedComments
from app.flows.missed_heads import MissedHeads
from app.flows.missed_log import MissedLog
from app.flows.ports import Store
from app.flows.ports_missed import Conversations, DeliveryLog, OnlyOne, RemoteRefs


class Witness(DeliveryLog, Conversations, Protocol):
    """GitHub, as far as it can be asked for what was missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often, how far back, how much at once."""

    log_every_s: float
    log_days: int
    """How far back GitHub's log goes."""
    per_minute: int
    """Deliveries that are asked for in a minute."""
    refs_every_s: float
    refs_grace_s: float
    """How long an event may be on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """What the looks stand on. `source_of` names a repository's mirror with the token that it needs."""

    store: Store
    github: Witness
    mirror: RemoteRefs
    only_one: OnlyOne
    source_of: Callable[[Repository], Any]
    prefix: str
    pace: Pace

    def start(self) -> None:
        """Something was down a moment ago: every repository is looked at."""
        self._heads().start()

    def looks(self) -> dict[str, Callable[[], int]]:
        """The looks by path; each says how many events turned out to be missed. Raises: as each does."""
        log = MissedLog(
            store=self.store,
            github=self.github,
            only_one=self.only_one,
            every=timedelta(seconds=self.pace.log_every_s),
            kept=timedelta(days=self.pace.log_days),
            per_minute=self.pace.per_minute,
        )
        comments = MissedComments(store=self.store, github=self.github, only_one=self.only_one, prefix=self.prefix)
        made = {Path.DELIVERY_LOG: log.look, Path.HEADS: self._heads().look, Path.COMMENTS: comments.look}
        return {path: partial(self._patiently, path, look) for path, look in made.items()}

    def _patiently(self, path: Path, look: Callable[[], int]) -> int:
        """Look, unless GitHub has told when to come again, and that is not yet."""
        with self.store.begin() as tx:
            if tx.is_resting(path):
                return 0
        try:
            return look()
        except RetryableError as error:
            if error.retry_after_s is not None:
                with self.store.begin() as tx:
                    tx.rest_look(path, for_s=error.retry_after_s)
            raise

    def _heads(self) -> MissedHeads:
        return MissedHeads(
            store=self.store,
            mirror=self.mirror,
            source_of=self.source_of,
            every_s=self.pace.refs_every_s,
            grace=timedelta(seconds=self.pace.refs_grace_s),
        )
