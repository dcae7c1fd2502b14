"""The owner's repository `.trackside`: its settings are read, kept, and taken in by every repository of the owner.

A push is read and kept in one short transaction, which has each repository taken in again by a job of its own. Until
that is done nothing of a repository is handed to a worker, confirmed or applied: see `is_current`. Its own stacks, if
it had any under another name, stay as they were: the repository holds settings alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.core.errors import BrokenError, UserError
from app.core.event import Push, Repository
from app.core.names import DeliveryId, OrganisationVersionId, RepositoryId, Sha
from app.core.organisation import ORGANISATION_PATH, OrganisationVersion, is_organisation_repository
from app.core.record import ConfigVersion, DeliveryOutcome
from app.core.report import ConfigView, config_report
from app.core.report_organisation import OrganisationView, organisation_report
from app.core.stack import CONFIG_PATH
from app.flows.configure import Taken, renew
from app.flows.effects import want_check
from app.flows.look import Look
from app.flows.missed_heads import note_decided
from app.flows.organisation import GONE, FoundOrganisation, read_settings
from app.flows.ports import Mirror, Policies, Store, Transaction

LATE = "the organisation's settings are at a newer commit that holds this one: the push arrived late"
SETTINGS_ONLY = "the repository of the organisation's settings: only its default branch counts"
NO_OWNER = "the payload does not say who owns the repository: its settings cannot be taken in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Organise:
    """The use cases. `source_of` names a repository's mirror with the token that it needs."""

    store: Store
    mirror: Mirror
    policies: Policies
    look: Look
    source_of: Callable[[Repository], Any]
    web_url: str

    def takes(self, push: Push) -> bool:
        """True for a push to the repository of an organisation's settings: the name decides, as the event has it."""
        return is_organisation_repository(push.repository.name)

    def push(self, push: Push, guid: DeliveryId) -> str:
        """Take in the settings of a push to the default branch, and close the delivery; what became of it, in words."""
        repository = push.repository
        if push.is_deleted or push.ref != f"refs/heads/{repository.default_branch}":
            return self._close(repository, guid, DeliveryOutcome.IGNORED, SETTINGS_ONLY)
        if not repository.owner_id:
            return self._close(repository, guid, DeliveryOutcome.MALFORMED, NO_OWNER)
        source = self.source_of(repository)
        self.mirror.fetch(source, wants=[push.after])
        if not push.is_forced and self._is_late(repository, source, push.after):
            return self._close(repository, guid, DeliveryOutcome.IGNORED, LATE)
        found = read_settings(push.after, partial(self.mirror.read_file, source, push.after), self.policies)
        with self.store.begin() as tx:
            tx.save_repository(repository)
            tx.adopt_repositories(repository.owner_id, repository.owner)
        with self.store.begin() as tx:
            said = self._take_in(tx, repository, found)
            if not push.is_found:
                note_decided(tx, repository.id, push.ref, push.after)
            tx.save_config_head(repository.id, push.after)
            tx.close_delivery(guid, DeliveryOutcome.EVENT, said)
        return said

    def renew(self, repository_id: RepositoryId) -> None:
        """Make a repository's stacks of the settings that are in force for its owner now. Safe to run twice.

        Raises: RetryableError when its stacks file has to be read again and git does not answer.
        """
        with self.store.begin() as tx:
            repository = tx.find_repository(repository_id)
            accepted = tx.find_accepted_config(repository_id)
            is_kept = accepted is None or tx.find_configuration(accepted.id) is not None
        if repository is None:
            return
        if accepted is not None and not is_kept:
            self._read_again(repository, accepted)
        with self.store.begin() as tx:
            tx.lock_repository(repository_id)
            taken, is_newer = renew(tx, repository)
            if taken.version is not None and (is_newer or taken.problems):
                self._tell(tx, repository, taken, taken.version.sha)

    def _take_in(self, tx: Transaction, repository: Repository, found: FoundOrganisation) -> str:
        """Keep what was found; when it is valid and new it is in force. What became of it, in words."""
        accepted = tx.lock_organisation(repository.owner_id)
        if found.is_missing and accepted is None:
            return f"there is no {ORGANISATION_PATH}: nothing is set for {repository.owner}"
        problems = (GONE,) if found.is_missing else found.problems
        renewed = 0
        is_known = accepted is not None and accepted.digest == found.digest
        if not is_known:
            tx.add_organisation_version(
                OrganisationVersion(
                    id=OrganisationVersionId(tx.new_id()),
                    owner_id=repository.owner_id,
                    repository_id=repository.id,
                    sha=found.sha,
                    digest=found.digest,
                    is_valid=found.organisation is not None,
                    problems=problems,
                    organisation=found.organisation,
                )
            )
        if found.organisation is not None and not is_known:
            tx.save_policy_texts(found.texts)
            renewed = tx.defer_renewals(repository.owner_id)
        view = OrganisationView(
            owner=repository.owner,
            head_sha=found.sha,
            problems=problems,
            organisation=found.organisation,
            has_last_good=accepted is not None,
            is_known=is_known,
            renewed=renewed,
            details_url=f"{self.web_url}/{repository.full_name}/blob/{found.sha}/{ORGANISATION_PATH}",
        )
        want_check(tx, repository, organisation_report(view))
        if problems:
            return f"the organisation's settings have {len(problems)} problems: what was in force stays"
        return f"the organisation's settings are in force: {renewed} repositories are taken in again"

    def _is_late(self, repository: Repository, source: Any, sha: Sha) -> bool:
        """True when the settings were read last at a commit that holds this one and more."""
        with self.store.begin() as tx:
            accepted, read_at = tx.find_organisation(repository.owner_id), tx.find_config_head(repository.id)
        if read_at is None and accepted is not None and accepted.repository_id == repository.id:
            read_at = accepted.sha  # of before that was noted
        if read_at is None or read_at == sha:
            return False
        try:
            return self.mirror.merge_base(source, sha, read_at) == sha
        except UserError:  # the commit is gone by a forced push
            return False

    def _read_again(self, repository: Repository, accepted: ConfigVersion) -> None:
        """Keep what the version in force says: it was read before that was kept."""
        found = self.look.read_again(repository, accepted.sha)
        if found.configuration is None or found.digest != accepted.digest:
            raise BrokenError(f"reading {repository.full_name} at {accepted.sha} again: it says something else now")
        with self.store.begin() as tx:
            tx.lock_repository(repository.id)
            now = tx.find_accepted_config(repository.id)
            if now is not None and now.id == accepted.id:
                tx.add_config_version(accepted, found.configuration)

    def _tell(self, tx: Transaction, repository: Repository, taken: Taken, sha: Sha) -> None:
        """On the commit of the repository's stacks file: what the new settings mean for it."""
        stacks = [stack.name for stack in tx.list_stacks(repository.id) if not stack.is_detached]
        view = ConfigView(
            head_sha=sha,
            problems=taken.problems,
            stack_names=tuple(stacks),
            has_last_good=True,
            details_url=f"{self.web_url}/{repository.full_name}/blob/{sha}/{CONFIG_PATH}",
        )
        want_check(tx, repository, config_report(view))

    def _close(self, repository: Repository, guid: DeliveryId, outcome: DeliveryOutcome, reason: str) -> str:
        with self.store.begin() as tx:
            tx.save_repository(repository)
            tx.close_delivery(guid, outcome, reason)
        return reason
