"""Missed events inside a transaction: how far each path has looked, what is asked for again, which refs are known.

The only clock is the database's. Knows nothing of what a ref or a delivery means.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.core.event import Repository
from app.core.missed import KnownRef, Look, MissedDelivery, Outcome, Path, Sight
from app.core.names import DeliveryId, RepositoryId, Sha
from app.core.record import NewDelivery
from app.store.schema import (
    IS_LIVE,
    decisions,
    deliveries,
    known_refs,
    looks,
    missed_counts,
    missed_deliveries,
    ref_looks,
    repositories,
    stacks,
)
from app.store.transaction_deliveries import RECORD_DELIVERIES, delivery_values, read_repository
from app.store.wall import wall
from app.store.wire import Wire, safe_text

AT_ONCE: Final = 5_000
"""Rows of one statement."""
MAX_DISCUSSED: Final = 10_000
"""Pull requests with live runs that one look for comments takes in."""
CAN_BE_ASKED: Final = """(
    repositories.standing = 'here' AND NOT EXISTS (
        SELECT FROM installations WHERE installations.id = repositories.installation_id AND NOT installations.is_active
    )
)"""
"""True for a row of `repositories` that the App may ask about and write to."""
_HAS_STACKS: Final = """(
    EXISTS (SELECT FROM stacks WHERE stacks.repository_id = repositories.id AND NOT is_detached)
    OR EXISTS (SELECT FROM organisation_versions WHERE organisation_versions.repository_id = repositories.id)
)"""
"""True for a row of `repositories` with stacks, or with an organisation's settings."""
_BEGIN_LOOKS: Final = text(f"""
INSERT INTO ref_looks (repository_id) SELECT id FROM repositories WHERE {_HAS_STACKS} AND {CAN_BE_ASKED}
AND NOT EXISTS (SELECT FROM ref_looks WHERE repository_id = repositories.id) LIMIT :limit ON CONFLICT DO NOTHING
""")  # noqa: S608 - our own words only
_TAKE_LOOKS: Final = text(f"""
WITH due AS (
    SELECT ref_looks.repository_id AS id FROM ref_looks JOIN repositories ON repositories.id = ref_looks.repository_id
    WHERE due_at <= clock_timestamp() AND {CAN_BE_ASKED} AND {_HAS_STACKS}
    ORDER BY due_at LIMIT :limit FOR UPDATE OF ref_looks SKIP LOCKED
)
UPDATE ref_looks SET due_at = clock_timestamp()
    + make_interval(secs => CAST(:every_s AS double precision) * (0.9 + 0.2 * random()))
FROM due WHERE ref_looks.repository_id = due.id RETURNING due.id
""")  # noqa: S608 - our own words only
_WANT_LOOK: Final = text("""
INSERT INTO ref_looks (repository_id, due_at)
VALUES (:id, clock_timestamp() + make_interval(secs => CAST(:in_s AS double precision)))
ON CONFLICT (repository_id) DO UPDATE SET due_at = least(ref_looks.due_at, excluded.due_at)
""")
_WANT_ALL: Final = text("""
UPDATE ref_looks SET due_at = least(
    due_at, clock_timestamp() + make_interval(secs => CAST(:within_s AS double precision) * random())
)
""")
_IS_BUSY: Final = text("""
SELECT EXISTS (
    SELECT FROM procrastinate_jobs WHERE lock = :lane AND task_name = 'deliver' AND status IN ('todo', 'doing')
)
""")
_SETTLE: Final = text("""
WITH arrived AS (
    UPDATE missed_deliveries SET outcome = 'recovered'
    WHERE outcome = 'missing' AND EXISTS (SELECT FROM deliveries WHERE deliveries.guid = missed_deliveries.guid)
    RETURNING guid
), given_up AS (
    UPDATE missed_deliveries SET outcome = 'given_up'
    WHERE outcome = 'missing' AND asked >= :max_asks AND next_ask_at <= clock_timestamp()
      AND NOT EXISTS (SELECT FROM deliveries WHERE deliveries.guid = missed_deliveries.guid)
    RETURNING guid
)
SELECT (SELECT count(*) FROM arrived) AS arrived, (SELECT count(*) FROM given_up) AS given_up
""")
_TO_ASK: Final = text("""
SELECT guid, event, attempt_id, delivered_at, asked FROM missed_deliveries
WHERE outcome = 'missing' AND next_ask_at <= clock_timestamp()
ORDER BY delivered_at, attempt_id
LIMIT greatest(0, :per_minute - (
    SELECT count(*) FROM missed_deliveries WHERE asked_at > clock_timestamp() - interval '1 minute'
))
""")
_SWEEP: Final = text("""
WITH old AS (
    SELECT guid FROM missed_deliveries
    WHERE outcome <> 'missing' AND found_at < clock_timestamp() - make_interval(days => :kept_days) LIMIT :limit
), gone AS (DELETE FROM missed_deliveries WHERE guid IN (SELECT guid FROM old))
SELECT count(*) FROM old
""")
_DISCUSSED: Final = text(f"""
SELECT repositories.*, talked.number FROM (
    SELECT DISTINCT repository_id, pull_number AS number FROM runs WHERE {IS_LIVE} AND pull_number IS NOT NULL
    ORDER BY repository_id, pull_number LIMIT :limit
) AS talked JOIN repositories ON repositories.id = talked.repository_id WHERE {CAN_BE_ASKED}
ORDER BY repositories.id, talked.number
""")  # noqa: S608 - our own words only


class MissedWrites(Wire):
    """Transaction methods about missed events."""

    def find_look(self, path: Path) -> Look:
        """How far a path has looked; an empty one before its first look."""
        row = self._first(select(looks).where(looks.c.path == path.value))
        if row is None:
            return Look()
        return Look(seen_until=row.seen_until, began_at=row.began_at, ended_at=row.ended_at, cursor=row.cursor)

    def save_look(self, path: Path, look: Look) -> None:
        """Note how far a path has looked."""
        values = asdict(look) | {"cursor": safe_text(look.cursor)}
        statement = insert(looks).values(path=path.value, **values)
        self._execute(statement.on_conflict_do_update(index_elements=["path"], set_=values))

    def is_resting(self, path: Path) -> bool:
        """True until GitHub may be asked again for the path."""
        wanted = select(looks.c.path).where(looks.c.path == path.value, looks.c.rests_until > func.clock_timestamp())
        return self._scalar(wanted) is not None

    def rest_look(self, path: Path, *, for_s: float) -> None:
        """Have nothing asked for the path for so long."""
        until = func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, for_s)
        statement = insert(looks).values(path=path.value, rests_until=until)
        self._execute(statement.on_conflict_do_update(index_elements=["path"], set_={"rests_until": until}))

    def count_missed(self, path: Path, outcome: Outcome, number: int = 1) -> None:
        """Add to what the metric counts; nothing for 0."""
        if number:
            statement = insert(missed_counts).values(path=path.value, outcome=outcome.value, total=number)
            more = {"total": missed_counts.c.total + statement.excluded.total}
            self._execute(statement.on_conflict_do_update(index_elements=["path", "outcome"], set_=more))

    def add_delivery(self, guid: DeliveryId, event: str, body: bytes, *, repository_id: RepositoryId) -> bool:
        """Keep a delivery of our own making and its job, in its repository's lane. False: it was made before."""
        delivery = NewDelivery(guid=guid, event=event, body=body, lane=f"repository:{repository_id}")
        with wall():
            row = self._connection.exec_driver_sql(RECORD_DELIVERIES, delivery_values([delivery])).one()
        return guid in row.new

    def list_unheard(self, guids: Sequence[DeliveryId]) -> set[DeliveryId]:
        """Those of which no delivery was ever stored."""
        heard = {row.guid for row in self._all(select(deliveries.c.guid).where(deliveries.c.guid.in_(list(guids))))}
        return {guid for guid in guids if guid not in heard}

    def note_missed(self, missed: Sequence[MissedDelivery]) -> int:
        """Note that they are to be asked for again; how many were not noted before."""
        new = 0
        for one in missed:
            values = {"event": safe_text(one.event), "attempt_id": one.attempt_id, "delivered_at": one.delivered_at}
            statement = insert(missed_deliveries).values(guid=safe_text(one.guid), **values)
            known = {
                "attempt_id": func.greatest(missed_deliveries.c.attempt_id, statement.excluded.attempt_id),
                "delivered_at": func.least(missed_deliveries.c.delivered_at, statement.excluded.delivered_at),
            }
            kept = statement.on_conflict_do_update(index_elements=["guid"], set_=known)
            new += int(self._scalar(kept.returning(text("CASE WHEN xmax = 0 THEN 1 ELSE 0 END"))))
        return new

    def settle_missed(self, *, max_asks: int) -> tuple[int, int]:
        """Close those that have arrived, and those that were asked for too often; how many of each."""
        row = self._first(_SETTLE, {"max_asks": max_asks})
        return (int(row.arrived), int(row.given_up)) if row is not None else (0, 0)

    def list_to_ask(self, *, per_minute: int) -> list[MissedDelivery]:
        """Those whose time has come, oldest first, as many as this minute still takes."""
        return [
            MissedDelivery(
                guid=DeliveryId(row.guid),
                event=row.event,
                attempt_id=row.attempt_id,
                delivered_at=row.delivered_at,
                asked=row.asked,
            )
            for row in self._all(_TO_ASK, {"per_minute": per_minute})
        ]

    def note_asked(self, guid: DeliveryId, *, wait: timedelta) -> None:
        """It was asked for now; the next time is not before `wait`."""
        table = missed_deliveries.c
        values = {
            "asked": table.asked + 1,
            "asked_at": func.clock_timestamp(),
            "next_ask_at": func.clock_timestamp() + wait,
        }
        self._execute(update(missed_deliveries).where(table.guid == guid).values(values))

    def give_up(self, guid: DeliveryId) -> None:
        """It is not asked for any more."""
        mine = missed_deliveries.c.guid == guid
        self._execute(update(missed_deliveries).where(mine).values(outcome=Outcome.GIVEN_UP.value))

    def find_missed_at(self, guid: DeliveryId) -> datetime | None:
        """When GitHub first tried to deliver what was missed; None for every other delivery.

        Whether it was asked for again does not matter: it may come before that is noted, or be sent again by a person.
        """
        table = missed_deliveries.c
        found: datetime | None = self._scalar(select(table.delivered_at).where(table.guid == guid))
        return found

    def sweep_missed(self, *, kept_days: int, limit: int) -> int:
        """Forget what was settled so long ago; how many."""
        return int(self._scalar(_SWEEP, {"kept_days": kept_days, "limit": limit}))

    def take_due_looks(self, *, every_s: float, limit: int) -> list[Repository]:
        """Repositories whose refs are to be looked at now; each is due again `every_s` later, give or take a tenth."""
        self._execute(_BEGIN_LOOKS, {"limit": AT_ONCE})
        taken = [row.id for row in self._all(_TAKE_LOOKS, {"every_s": every_s, "limit": limit})]
        wanted = select(repositories).where(repositories.c.id.in_(taken)).order_by(repositories.c.id)
        return [read_repository(row) for row in self._all(wanted)] if taken else []

    def want_look(self, repository_id: RepositoryId, *, in_s: float) -> None:
        """Have the repository's refs looked at, at the latest so soon."""
        self._execute(_WANT_LOOK, {"id": repository_id, "in_s": in_s})

    def want_all_looks(self, *, within_s: float) -> None:
        """Have every repository's refs looked at, spread over that time."""
        self._execute(_WANT_ALL, {"within_s": within_s})

    def read_sight(self, repository_id: RepositoryId) -> Sight:
        """What is known of a repository's refs."""
        first = select(ref_looks.c.first_at).where(ref_looks.c.repository_id == repository_id)
        rows = self._all(select(known_refs).where(known_refs.c.repository_id == repository_id))
        return Sight(is_first=self._scalar(first) is None, refs={row.ref: _known(row) for row in rows})

    def save_refs(self, repository_id: RepositoryId, refs: Sequence[KnownRef]) -> None:
        """Remember refs, whatever was known of them."""
        for start in range(0, len(refs), AT_ONCE):
            values = [
                {"repository_id": repository_id, **asdict(one), "ref": safe_text(one.ref)}
                for one in refs[start : start + AT_ONCE]
            ]
            statement = insert(known_refs).values(values)
            new = {name: statement.excluded[name] for name in ("sha", "new_sha", "new_since", "found_base")}
            self._execute(statement.on_conflict_do_update(index_elements=["repository_id", "ref"], set_=new))

    def mark_seen(self, repository_id: RepositoryId) -> None:
        """All of the repository's refs are remembered from now on."""
        mine = (ref_looks.c.repository_id == repository_id) & ref_looks.c.first_at.is_(None)
        self._execute(update(ref_looks).where(mine).values(first_at=func.clock_timestamp()))

    def forget_refs(self, repository_id: RepositoryId, refs: Sequence[str] | None) -> None:
        """Forget refs that are gone; None: all of them, and that it was ever seen."""
        mine = known_refs.c.repository_id == repository_id
        if refs is None:
            self._execute(delete(known_refs).where(mine))
            self._execute(delete(ref_looks).where(ref_looks.c.repository_id == repository_id))
            return
        for start in range(0, len(refs), AT_ONCE):
            gone = [safe_text(ref) for ref in refs[start : start + AT_ONCE]]
            self._execute(delete(known_refs).where(mine, known_refs.c.ref.in_(gone)))

    def find_known_ref(self, repository_id: RepositoryId, ref: str) -> KnownRef | None:
        """What is known of a ref, or None."""
        table = known_refs.c
        wanted = select(known_refs).where(table.repository_id == repository_id, table.ref == safe_text(ref))
        row = self._first(wanted)
        return _known(row) if row is not None else None

    def find_newest_decided(self, repository_id: RepositoryId, ref: str) -> Sha | None:
        """The commit of the newest decision about a ref that is still kept, or None."""
        mine = select(stacks.c.id).where(stacks.c.repository_id == repository_id)
        wanted = select(decisions.c.head_sha).where(
            decisions.c.stack_id.in_(mine), decisions.c.ref == safe_text(ref), decisions.c.event.in_(("push", "tag"))
        )
        found = self._scalar(wanted.order_by(decisions.c.created_at.desc()).limit(1))
        return Sha(found) if found is not None else None

    def is_busy(self, repository_id: RepositoryId) -> bool:
        """True while deliveries of the repository wait to be carried out."""
        return bool(self._scalar(_IS_BUSY, {"lane": f"repository:{repository_id}"}))

    def list_discussed(self) -> list[tuple[Repository, frozenset[int]]]:
        """Repositories with the numbers of their pull requests that have live runs."""
        found: dict[RepositoryId, tuple[Repository, set[int]]] = {}
        for row in self._all(_DISCUSSED, {"limit": MAX_DISCUSSED}):
            found.setdefault(row.id, (read_repository(row), set()))[1].add(row.number)
        return [(repository, frozenset(numbers)) for repository, numbers in found.values()]

    def note_subject(self, guid: DeliveryId, subject: str) -> None:
        """Note what a delivery is about."""
        self._execute(update(deliveries).where(deliveries.c.guid == guid).values(subject=safe_text(subject, 200)))

    def is_heard(self, subject: str) -> bool:
        """True when some delivery was about it."""
        wanted = select(deliveries.c.guid).where(deliveries.c.subject == safe_text(subject, 200)).limit(1)
        return self._scalar(wanted) is not None


def _known(row: Row[Any]) -> KnownRef:
    return KnownRef(
        ref=row.ref,
        sha=Sha(row.sha),
        new_sha=Sha(row.new_sha) if row.new_sha is not None else None,
        new_since=row.new_since,
        found_base=Sha(row.found_base) if row.found_base is not None else None,
    )
