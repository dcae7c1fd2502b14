"""Organisations' settings inside a transaction: what is in force for whom, and which stacks are behind it.

Whoever takes settings in holds them (`hold_organisation`); whoever replaces them locks them (`lock_organisation`): so
that no stack is made with settings that were replaced without anybody being told. Knows nothing of what they say.
"""

from dataclasses import asdict
from typing import Any, Final

import msgspec
from sqlalchemy import Row, select, text
from sqlalchemy.dialects.postgresql import insert

from app.core.event import Repository
from app.core.names import AccountId, Digest, OrganisationVersionId, RepositoryId, Sha, StackId
from app.core.organisation import Organisation, OrganisationVersion
from app.core.stack import Problem
from app.store.schema import organisation_versions, repositories
from app.store.transaction_deliveries import read_repository
from app.store.transaction_runs import WORK_CHANNEL
from app.store.wire import Wire

IN_FORCE: Final = """(
    SELECT id FROM organisation_versions AS version
    WHERE version.owner_id = repositories.owner_id AND version.is_valid ORDER BY version.seq DESC LIMIT 1
)"""
"""The version in force for a row of `repositories`; null: none."""
IS_CURRENT: Final = f"(stacks.is_detached OR stacks.organisation_version_id IS NOT DISTINCT FROM {IN_FORCE})"
"""True for a stack whose settings and policies are made of what is in force; of one that is detached nothing is."""
_IS_CURRENT: Final = text(
    f"SELECT {IS_CURRENT} FROM stacks JOIN repositories ON repositories.id = stacks.repository_id"  # noqa: S608 - ours
    " WHERE stacks.id = :id"
)
_HAS_OUTDATED: Final = text(
    "SELECT EXISTS (SELECT FROM stacks JOIN repositories ON repositories.id = stacks.repository_id"  # noqa: S608 - ours
    f" WHERE repositories.id = :id AND NOT {IS_CURRENT})"
)
_WAKE: Final = text("""
SELECT pg_notify(:channel, worker_pool) FROM (SELECT DISTINCT worker_pool FROM stacks WHERE repository_id = :id) AS pool
""")
_DEFER: Final = text("""
SELECT count(procrastinate_defer_jobs_v1(ARRAY[ROW(
    'publish', 'renew', 5, 'renew:' || id, NULL, jsonb_build_object('repository_id', id), NULL
)::procrastinate_job_to_defer_v1])) FROM repositories WHERE owner_id = :owner_id
AND EXISTS (SELECT FROM config_versions WHERE repository_id = repositories.id)
""")


class OrganisationWrites(Wire):
    """Transaction methods about organisations' settings."""

    def find_organisation(self, owner_id: AccountId) -> OrganisationVersion | None:
        """The newest valid version of that owner, or None."""
        table = organisation_versions.c
        wanted = select(organisation_versions).where(table.owner_id == owner_id, table.is_valid)
        row = self._first(wanted.order_by(table.seq.desc()).limit(1))
        return _version(row) if row is not None else None

    def hold_organisation(self, owner_id: AccountId) -> OrganisationVersion | None:
        """The same, and nobody replaces it until the transaction ends."""
        self._execute(text("SELECT pg_advisory_xact_lock_shared(hashtextextended(:key, 13))"), {"key": str(owner_id)})
        return self.find_organisation(owner_id)

    def lock_organisation(self, owner_id: AccountId) -> OrganisationVersion | None:
        """The same, once nobody holds it, until the transaction ends: to replace it."""
        self._execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 13))"), {"key": str(owner_id)})
        return self.find_organisation(owner_id)

    def add_organisation_version(self, version: OrganisationVersion) -> None:
        """Keep a reading; a valid one is in force from now on."""
        kept = version.organisation
        values = {
            "id": version.id,
            "owner_id": version.owner_id,
            "repository_id": version.repository_id,
            "sha": version.sha,
            "digest": version.digest,
            "is_valid": version.is_valid,
            "problems": [asdict(problem) for problem in version.problems],
            "organisation": msgspec.json.encode(kept).decode() if kept is not None else None,
        }
        self._execute(insert(organisation_versions).values(values))

    def adopt_repositories(self, owner_id: AccountId, owner: str) -> None:
        """Note the owner of repositories that are known by its name alone. Call it before the organisation is locked:
        whoever holds the organisation has its repository's row already."""
        wanted = "UPDATE repositories SET owner_id = :owner_id WHERE owner_id = 0 AND lower(owner) = lower(:owner)"
        self._execute(text(wanted), {"owner_id": owner_id, "owner": owner})

    def defer_renewals(self, owner_id: AccountId) -> int:
        """Have each of the owner's repositories that has a configuration taken in again, a job each; how many."""
        return int(self._scalar(_DEFER, {"owner_id": owner_id}))

    def has_outdated(self, repository_id: RepositoryId) -> bool:
        """True when the organisation's settings changed since some stack of the repository was made of them."""
        return bool(self._scalar(_HAS_OUTDATED, {"id": repository_id}))

    def wake_workers(self, repository_id: RepositoryId) -> None:
        """Tell the pools of the repository's stacks that there may be work again."""
        self._execute(_WAKE, {"id": repository_id, "channel": WORK_CHANNEL})

    def is_current(self, stack_id: StackId) -> bool:
        """False when the organisation's settings changed since the stack's were made of them."""
        return bool(self._scalar(_IS_CURRENT, {"id": stack_id}))

    def list_owned_repositories(self, owner_id: AccountId, *, limit: int) -> list[Repository]:
        """The owner's repositories that are known, by name."""
        wanted = select(repositories).where(repositories.c.owner_id == owner_id)
        return [read_repository(row) for row in self._all(wanted.order_by(repositories.c.name).limit(limit))]


def _version(row: Row[Any]) -> OrganisationVersion:
    return OrganisationVersion(
        id=OrganisationVersionId(row.id),
        owner_id=AccountId(row.owner_id),
        repository_id=RepositoryId(row.repository_id),
        sha=Sha(row.sha),
        digest=Digest(row.digest),
        is_valid=row.is_valid,
        problems=tuple(Problem(**problem) for problem in row.problems),
        organisation=msgspec.json.decode(row.organisation, type=Organisation) if row.organisation else None,
    )
