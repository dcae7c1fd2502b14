"""Deliveries, repositories and configuration versions inside a transaction; first the webhook's own fast door.

Knows nothing of what an event means.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Row, case, func, null, select, text, true, update
from sqlalchemy.dialects.postgresql import insert

from app.core.event import Repository, Standing
from app.core.names import AccountId, ConfigVersionId, DeliveryId, Digest, InstallationId, RepositoryId, Sha
from app.core.record import ConfigVersion, Delivery, DeliveryOutcome, NewDelivery
from app.core.stack import Configuration, Problem
from app.store.schema import config_versions, decision_inputs, deliveries, installations, repositories
from app.store.wire import Wire, safe_text

TWIN_WINDOW: Final = timedelta(minutes=10)
"""How far apart two deliveries of one event by two hooks may arrive."""
_CONFIG: Final = tuple(one for one in config_versions.c if one.name != "configuration")
"""A version without what it says, which can be large, and is wanted only when it is taken in again."""
RECORD_DELIVERIES: Final = """
WITH given AS (
    SELECT * FROM unnest(%(guids)s::text[], %(events)s::text[], %(bodies)s::bytea[], %(outcomes)s::text[],
                         %(reasons)s::text[], %(lanes)s::text[])
    WITH ORDINALITY AS given (guid, event, body, outcome, reason, lane, number)
), first AS (
    SELECT DISTINCT ON (guid) * FROM given ORDER BY guid, number
), kept AS (
    INSERT INTO deliveries (guid, event, body, outcome, reason)
    SELECT guid, event, body, outcome, reason FROM first ORDER BY guid
    ON CONFLICT (guid) DO NOTHING
    RETURNING guid
), job AS (
    SELECT procrastinate_defer_jobs_v1(array_agg(
        ROW('deliver', 'deliver', 0, NULLIF(lane, ''), NULL, jsonb_build_object('guid', guid), NULL)
        ::procrastinate_job_to_defer_v1 ORDER BY number
    )) AS ids
    FROM first JOIN kept USING (guid) WHERE outcome = 'pending' HAVING count(*) > 0
)
SELECT array(SELECT guid FROM kept) AS new, (SELECT count(ids) FROM job) AS jobs
"""
"""One statement, so one round trip and one transaction: the rows, in the order of their GUIDs, so that two processes
never wait for each other's; and in the order of arrival the jobs of those that are new and pending."""


def delivery_values(batch: Sequence[NewDelivery]) -> dict[str, list[Any]]:
    """What RECORD_DELIVERIES takes."""
    return {
        "guids": [one.guid for one in batch],
        "events": [one.event for one in batch],
        "bodies": [one.body for one in batch],
        "outcomes": [one.outcome.value for one in batch],
        "reasons": [safe_text(one.reason) for one in batch],
        "lanes": [safe_text(one.lane) for one in batch],
    }


class DeliveryWrites(Wire):
    """Transaction methods about what arrived, and from where."""

    def lock_delivery(self, guid: DeliveryId) -> Delivery | None:
        """The delivery under its row's lock, or None."""
        row = self._first(select(deliveries).where(deliveries.c.guid == guid).with_for_update())
        if row is None:
            return None
        return Delivery(
            guid=DeliveryId(row.guid),
            event=row.event,
            body=bytes(row.body),
            received_at=row.received_at,
            outcome=DeliveryOutcome(row.outcome),
            reason=row.reason,
        )

    def close_delivery(self, guid: DeliveryId, outcome: DeliveryOutcome, reason: str) -> None:
        """Write what became of it."""
        values = {"outcome": outcome.value, "reason": safe_text(reason)}
        self._execute(update(deliveries).where(deliveries.c.guid == guid).values(values))

    def find_twin(self, guid: DeliveryId, body_digest: Digest) -> DeliveryId | None:
        """Note the digest on the row, and give the delivery of equal body that was noted before it, if that one arrived
        within 10 minutes and was not turned away. Two jobs at once take turns, so never both are twins."""
        self._execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:digest, 7))"), {"digest": body_digest})
        seq = func.coalesce(deliveries.c.digest_seq, func.nextval(text("'delivery_digest_seq'")))
        own = self._first(
            update(deliveries)
            .where(deliveries.c.guid == guid)
            .values(body_digest=body_digest, digest_seq=seq)
            .returning(deliveries.c.digest_seq, deliveries.c.received_at)
        )
        if own is None:
            return None
        turned_away = (DeliveryOutcome.IGNORED.value, DeliveryOutcome.MALFORMED.value)
        twin = self._scalar(
            select(deliveries.c.guid)
            .where(
                deliveries.c.body_digest == body_digest,
                deliveries.c.digest_seq < own.digest_seq,
                deliveries.c.received_at.between(own.received_at - TWIN_WINDOW, own.received_at + TWIN_WINDOW),
                deliveries.c.outcome.not_in(turned_away),
            )
            .order_by(deliveries.c.digest_seq)
            .limit(1)
        )
        return DeliveryId(twin) if twin is not None else None

    def is_decided(self, guid: DeliveryId) -> bool:
        """True when the delivery's decisions are written already."""
        return self._scalar(select(decision_inputs.c.guid).where(decision_inputs.c.guid == guid)) is not None

    def save_repository(self, repository: Repository) -> bool:
        """Insert or follow: names, default branch, visibility, installation. False, and nothing changes, when an event
        that happened later has told of it already.

        An event of one that was out of reach shows that it is in reach again. Another default branch has its own stacks
        file: where that was read last is not known yet.
        """
        values = {
            "owner": repository.owner,
            "name": repository.name,
            "default_branch": repository.default_branch,
            "is_private": repository.is_private,
            "installation_id": repository.installation_id,
            "owner_id": repository.owner_id,
            "told_at": repository.told_at,
        }
        statement = insert(repositories).values(id=repository.id, **values)
        known = func.coalesce(func.nullif(statement.excluded.owner_id, 0), repositories.c.owner_id)
        is_same = statement.excluded.default_branch == repositories.c.default_branch
        read_at = case((is_same, repositories.c.config_sha), else_=null())
        changes = {**values, "owner_id": known, "config_sha": read_at, "updated_at": func.clock_timestamp()}
        changes["standing"] = func.replace(repositories.c.standing, Standing.REMOVED.value, Standing.HERE.value)
        told = repositories.c.told_at
        changes["told_at"] = func.coalesce(statement.excluded.told_at, told)
        is_news = func.coalesce(told <= statement.excluded.told_at, true())
        kept = statement.on_conflict_do_update(index_elements=["id"], set_=changes, where=is_news)
        return self._scalar(kept.returning(repositories.c.id)) is not None

    def find_config_head(self, repository_id: RepositoryId) -> Sha | None:
        """The commit of the default branch whose stacks file was read last, or None."""
        found = self._scalar(select(repositories.c.config_sha).where(repositories.c.id == repository_id))
        return Sha(found) if found is not None else None

    def save_config_head(self, repository_id: RepositoryId, sha: Sha) -> None:
        """Note the commit of the default branch whose stacks file is read now."""
        self._execute(update(repositories).where(repositories.c.id == repository_id).values(config_sha=sha))

    def find_repository(self, repository_id: RepositoryId) -> Repository | None:
        """The repository, or None."""
        row = self._first(select(repositories).where(repositories.c.id == repository_id))
        if row is None:
            return None
        return read_repository(row)

    def lock_repository(self, repository_id: RepositoryId) -> None:
        """Serialise decisions of one repository until the transaction ends."""
        self._execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 11))"), {"key": str(repository_id)})

    def save_installation(
        self, installation_id: InstallationId, account: str, *, is_active: bool, told_at: datetime | None = None
    ) -> bool:
        """Insert or follow an installation. False, and nothing changes, when an event that happened later has told of
        it already."""
        values = {"account": safe_text(account), "is_active": is_active, "updated_at": func.clock_timestamp()}
        statement = insert(installations).values(id=installation_id, told_at=told_at, **values)
        told = installations.c.told_at
        changes = values | {"told_at": func.coalesce(statement.excluded.told_at, told)}
        is_news = func.coalesce(told <= statement.excluded.told_at, true())
        kept = statement.on_conflict_do_update(index_elements=["id"], set_=changes, where=is_news)
        return self._scalar(kept.returning(installations.c.id)) is not None

    def add_config_version(self, version: ConfigVersion, configuration: Configuration | None = None) -> None:
        """Keep a reading of the stacks file, and what it says by itself. The same (repository, sha) again makes it the
        newest: a branch that was forced back is decided with the file that it has now."""
        values = {
            "id": version.id,
            "repository_id": version.repository_id,
            "sha": version.sha,
            "digest": version.digest,
            "is_valid": version.is_valid,
            "problems": [asdict(problem) for problem in version.problems],
            "configuration": msgspec.json.encode(configuration).decode() if configuration is not None else None,
        }
        again = insert(config_versions).values(values)
        changes = {key: values[key] for key in ("digest", "is_valid", "problems", "configuration")} | {
            "seq": text("DEFAULT")
        }
        self._execute(again.on_conflict_do_update(index_elements=["repository_id", "sha"], set_=changes))

    def find_config_version(self, repository_id: RepositoryId, sha: Sha) -> ConfigVersion | None:
        """The reading of that commit, or None."""
        table = config_versions.c
        return _config(self._first(select(*_CONFIG).where(table.repository_id == repository_id, table.sha == sha)))

    def find_accepted_config(self, repository_id: RepositoryId) -> ConfigVersion | None:
        """The newest valid version, or None."""
        table = config_versions.c
        wanted = select(*_CONFIG).where(table.repository_id == repository_id, table.is_valid)
        return _config(self._first(wanted.order_by(table.seq.desc()).limit(1)))

    def find_newest_config(self, repository_id: RepositoryId) -> ConfigVersion | None:
        """The newest version, valid or not, or None."""
        wanted = select(*_CONFIG).where(config_versions.c.repository_id == repository_id)
        return _config(self._first(wanted.order_by(config_versions.c.seq.desc()).limit(1)))

    def find_configuration(self, version_id: ConfigVersionId) -> Configuration | None:
        """What the file of that version says by itself; None when it is broken, or was read before that was kept."""
        wanted = select(config_versions.c.configuration).where(config_versions.c.id == version_id)
        kept = self._scalar(wanted)
        return msgspec.json.decode(kept, type=Configuration) if kept else None


def read_repository(row: Row[Any]) -> Repository:
    """The repository of a row of `repositories`."""
    return Repository(
        id=RepositoryId(row.id),
        owner=row.owner,
        name=row.name,
        default_branch=row.default_branch,
        is_private=row.is_private,
        installation_id=InstallationId(row.installation_id),
        owner_id=AccountId(row.owner_id),
        told_at=row.told_at,
    )


def _config(row: Row[Any] | None) -> ConfigVersion | None:
    if row is None:
        return None
    return ConfigVersion(
        id=ConfigVersionId(row.id),
        repository_id=RepositoryId(row.repository_id),
        sha=Sha(row.sha),
        digest=Digest(row.digest),
        is_valid=row.is_valid,
        problems=tuple(Problem(**problem) for problem in row.problems),
    )
