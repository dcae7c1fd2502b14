"""GitHub's delivery log: what could not be brought to us, and is not here, is asked for again. By GUID, oldest first,
so many a minute, each so many times; the ordinary door takes it in.

The log is read page by page, newest first; a look that ends half way goes on where it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from app.core.errors import RetryableError, UserError
from app.core.event import HANDLED_EVENTS
from app.core.missed import MAX_ASKS, Look, MissedDelivery, Outcome, Path, ask_again_in
from app.core.names import DeliveryId
from app.flows.ports import Store
from app.flows.ports_missed import Attempt, AttemptPage, DeliveryLog, OnlyOne

MAX_PAGES: Final = 100
"""Of the log in one look; the next one goes on there."""
OVERLAP: Final = timedelta(minutes=10)
"""A look begins that long before the end of the one before: clocks differ, and an attempt is logged when it ended."""
SWEPT: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedLog:
    """The use case of the look at the delivery log."""

    store: Store
    github: DeliveryLog
    only_one: OnlyOne
    every: timedelta
    kept: timedelta
    """How far back GitHub's log goes."""
    per_minute: int
    """How many deliveries are asked for in a minute, at most."""

    def look(self) -> int:
        """Ask for what is due, and read the log when it is time; how many deliveries turned out to be missed.

        Raises: RetryableError when GitHub or the database does not answer: what was found is kept.
        """
        with self.only_one(Path.DELIVERY_LOG) as is_ours:
            if not is_ours:
                return 0
            found = self._read() if self._is_time() else 0
            self._ask()
        return found

    def _is_time(self) -> bool:
        with self.store.begin() as tx:
            look = tx.find_look(Path.DELIVERY_LOG)
            return look.ended_at is None or look.began_at is not None or tx.now() - look.ended_at >= self.every

    def _read(self) -> int:
        """Read the log back to the last look's beginning."""
        with self.store.begin() as tx:
            look, now = tx.find_look(Path.DELIVERY_LOG), tx.now()
            if look.began_at is None:
                look = replace(look, began_at=now)
                self._note_outage(look, now)
        oldest = now - self.kept
        since = max(look.seen_until - OVERLAP, oldest) if look.seen_until is not None else oldest
        found, ok = 0, set[DeliveryId]()
        for _ in range(MAX_PAGES):
            page = self._page(look)
            ok |= {one.guid for one in page.attempts if one.is_ok}
            found += self._note(page.attempts, ok, since)
            is_over = not page.cursor or not page.attempts or page.attempts[-1].delivered_at < since
            look = replace(look, cursor="" if is_over else page.cursor)
            if is_over:
                look = Look(seen_until=look.began_at, ended_at=now)
            with self.store.begin() as tx:
                tx.save_look(Path.DELIVERY_LOG, look)
                tx.sweep_missed(kept_days=self.kept.days + 30, limit=SWEPT)
            if is_over:
                break
        return found

    def _page(self, look: Look) -> AttemptPage:
        """The next page. A place that GitHub does not know any more is forgotten: the next look starts from the top."""
        try:
            return self.github.read_deliveries(look.cursor)
        except UserError:
            with self.store.begin() as tx:
                tx.save_look(Path.DELIVERY_LOG, replace(look, cursor="", began_at=None))
                tx.count_missed(Path.DELIVERY_LOG, Outcome.UNANSWERED)
            raise
        except RetryableError:
            with self.store.begin() as tx:
                tx.count_missed(Path.DELIVERY_LOG, Outcome.UNANSWERED)
            raise

    def _note_outage(self, look: Look, now: datetime) -> None:
        """After an outage that is longer than the log goes back, conversations are looked at as well."""
        if look.seen_until is None or now - look.seen_until <= self.kept:
            return
        with self.store.begin() as tx:
            comments = tx.find_look(Path.COMMENTS)
            if comments.began_at is None:
                tx.save_look(Path.COMMENTS, Look(seen_until=look.seen_until, began_at=now))

    def _note(self, attempts: Sequence[Attempt], ok: set[DeliveryId], since: datetime) -> int:
        """Note what did not arrive on this page; how many are new. Events that are not handled are not missed."""
        failed: dict[DeliveryId, MissedDelivery] = {}
        for one in attempts:
            if one.is_ok or one.guid in ok or one.delivered_at < since or one.event not in HANDLED_EVENTS:
                continue
            newer = failed.get(one.guid)
            failed[one.guid] = MissedDelivery(
                guid=one.guid,
                event=one.event,
                attempt_id=newer.attempt_id if newer else one.id,
                delivered_at=one.delivered_at,
            )
        if not failed:
            return 0
        with self.store.begin() as tx:
            unheard = tx.list_unheard(list(failed))
            new = tx.note_missed([one for guid, one in failed.items() if guid in unheard])
            tx.count_missed(Path.DELIVERY_LOG, Outcome.FOUND, new)
        return new

    def _ask(self) -> None:
        """Ask for what is due."""
        with self.store.begin() as tx:
            arrived, given_up = tx.settle_missed(max_asks=MAX_ASKS)
            tx.count_missed(Path.DELIVERY_LOG, Outcome.RECOVERED, arrived)
            tx.count_missed(Path.DELIVERY_LOG, Outcome.GIVEN_UP, given_up)
            due = tx.list_to_ask(per_minute=self.per_minute)
        for one in due:
            try:
                self.github.redeliver(one.attempt_id)
                outcome = Outcome.ASKED
            except UserError:  # the log does not hold it any more
                outcome = Outcome.GIVEN_UP
            except RetryableError:
                with self.store.begin() as tx:
                    tx.count_missed(Path.DELIVERY_LOG, Outcome.UNANSWERED)
                raise
            with self.store.begin() as tx:
                tx.note_asked(one.guid, wait=ask_again_in(one.asked + 1, self.every))
                if outcome is Outcome.GIVEN_UP:
                    tx.give_up(one.guid)
                tx.count_missed(Path.DELIVERY_LOG, outcome)
