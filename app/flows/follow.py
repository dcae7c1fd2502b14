"""What becomes of a repository as a whole: renamed, transferred, archived, deleted, out of reach; and of the App on an
account: suspended, removed, back again.

Of what is archived or out of reach nothing is asked any more, and nobody can decide its runs: those that wait are let
go. A suspended App waits with all it has, and catches up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.core.event import (
    AccountRenamed,
    InstallationChanged,
    RepositoriesChosen,
    RepositoryMoved,
    RepositoryStands,
    Standing,
)
from app.core.missed import FoundRef
from app.core.names import DeliveryId, InstallationId, RepositoryId, Sha
from app.core.record import DeliveryOutcome
from app.core.run import TABLE, Step
from app.flows.held import archive_key
from app.flows.look import Look
from app.flows.missed_heads import HEADS, SOON_S, announce
from app.flows.ports import Artifacts, Store, Transaction
from app.flows.schedule import retell, step
from app.flows.secrets import Secrets

WHY = {
    Standing.ARCHIVED: "the repository was archived",
    Standing.REMOVED: "the App was removed from the repository",
    Standing.DELETED: "the repository was deleted",
}
"""Why runs that wait are let go."""
OLD_NEWS = "it came late: an event that happened after it was carried out already"


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """The use cases; each closes its delivery."""

    store: Store
    look: Look
    artifacts: Artifacts
    secrets: Secrets

    def moved(self, event: RepositoryMoved, guid: DeliveryId) -> None:
        """Names, owner, visibility or the default branch changed. Another default branch is decided as a push of it:
        the configuration in force is the one that it has."""
        repository = event.repository
        with self.store.begin() as tx:
            before = tx.find_repository(repository.id)
        is_other = before is not None and before.default_branch != repository.default_branch
        tip = self.look.find_tip(repository, repository.default_branch) if is_other else None
        with self.store.begin() as tx:
            if not tx.save_repository(repository):
                tx.close_delivery(guid, DeliveryOutcome.EVENT, OLD_NEWS)
                return
            said = f"repository is now {repository.full_name}"
            if before is not None and repository.owner_id not in (0, before.owner_id):  # under other settings now
                tx.defer_renewals(repository.owner_id)
            if before is not None and before.is_private and not repository.is_private:
                for stack in tx.list_stacks(repository.id):  # what waits is shown without its plan from now on
                    retell(tx, stack)
            if before is not None and tip is not None:
                self._announce_default(tx, event, HEADS + before.default_branch, tip)
                said += f", and its default branch is {repository.default_branch}"
            tx.close_delivery(guid, DeliveryOutcome.EVENT, said)

    def _announce_default(self, tx: Transaction, event: RepositoryMoved, old_ref: str, tip: Sha) -> None:
        """Have the new default branch decided, as what changed since the old one was."""
        repository = event.repository
        if tx.find_accepted_config(repository.id) is None:
            return
        known = tx.find_known_ref(repository.id, old_ref)
        base = known.sha if known is not None else tx.find_newest_decided(repository.id, old_ref)
        ref = HEADS + repository.default_branch
        announce(
            tx,
            FoundRef(repository_id=repository.id, ref=ref, before=base or tip, after=tip, found_at=tx.now()),
        )

    def stands(self, event: RepositoryStands, guid: DeliveryId) -> None:
        """The repository was archived, came back, or was deleted."""
        with self.store.begin() as tx:
            if not tx.save_repository(event.repository):
                tx.close_delivery(guid, DeliveryOutcome.EVENT, OLD_NEWS)
                return
        said = self._turn([event.repository.id], event.standing)
        self._close(guid, f"{event.repository.full_name} is {event.standing.value}{said}")

    def left(self, event: RepositoryMoved | RepositoryStands, guid: DeliveryId, reason: str) -> None:
        """The repository belongs to an account now that is not served."""
        said = self._turn([event.repository.id], Standing.REMOVED)
        with self.store.begin() as tx:
            tx.close_delivery(guid, DeliveryOutcome.IGNORED, f"{reason}{said}"[:1000])

    def chosen(self, event: RepositoriesChosen, guid: DeliveryId) -> None:
        """Repositories came to an installation, or were taken from it."""
        with self.store.begin() as tx:  # one that moved to another installation is not gone
            mine = set(tx.list_installed(event.installation_id))
        said = self._turn([one for one in event.removed if one in mine], Standing.REMOVED)
        said += self._turn(event.added, Standing.HERE)
        counts = f"{len(event.added)} repositories added, {len(event.removed)} removed"
        self._close(guid, f"installation on {event.account}: {counts}{said}")

    def renamed(self, event: AccountRenamed, guid: DeliveryId) -> None:
        """The account has another name."""
        with self.store.begin() as tx:
            before = event.before or self._owner_of(tx, event.installation_id)
            moved = self.secrets.follow_owner(tx, before, event.account)
            tx.rename_account(before.lower(), event.account.lower())
            count = tx.rename_owner(event.installation_id, event.account)
            said = f"the account is now {event.account}: {count} repositories and {moved} secrets follow"
            tx.close_delivery(guid, DeliveryOutcome.EVENT, said)

    def _owner_of(self, tx: Transaction, installation_id: InstallationId) -> str:
        """What the account was called until now, as its repositories say; empty when it has none."""
        for one in tx.list_installed(installation_id)[:1]:
            repository = tx.find_repository(one)
            return repository.owner if repository is not None else ""
        return ""

    def installation(self, event: InstallationChanged, guid: DeliveryId, at: datetime) -> None:
        """The App came to an account, went, was suspended or is back. `at`: when that happened."""
        with self.store.begin() as tx:
            if not tx.save_installation(event.installation_id, event.account, is_active=event.is_active, told_at=at):
                tx.close_delivery(guid, DeliveryOutcome.EVENT, OLD_NEWS)
                return
            mine = tx.list_installed(event.installation_id)
        said = ""
        if event.is_gone:
            said = self._turn(mine, Standing.REMOVED)
        elif event.is_active:
            said = self._catch_up(mine)
        word = "active" if event.is_active else "not active"
        self._close(guid, f"installation on {event.account} is {word}{said}")

    def _turn(self, repository_ids: Sequence[RepositoryId], standing: Standing) -> str:
        """Note how repositories stand, and do what follows; what that was, in words. Safe to do twice."""
        if not repository_ids:
            return ""
        with self.store.begin() as tx:
            tx.save_standing(repository_ids, standing)
        if standing is Standing.HERE:
            return self._catch_up(repository_ids)
        gone = sum(self._let_go(repository_id, standing) for repository_id in repository_ids)
        return f"; {gone} waiting runs let go" if gone else ""

    def _let_go(self, repository_id: RepositoryId, standing: Standing) -> int:
        """Cancel or discard the repository's waiting runs, and forget its refs if it is out of reach; how many runs."""
        with self.store.begin() as tx:
            run_ids = tx.list_undecided_runs(repository_id)
            if standing is not Standing.ARCHIVED:
                tx.forget_refs(repository_id, None)
        spent = []
        for run_id in run_ids:
            with self.store.begin() as tx:
                tx.lock_stack(tx.get_run(run_id).stack_id)
                run = tx.get_run(run_id)
                what = next((one for one in (Step.CANCEL, Step.DISCARD) if (run.state, one) in TABLE), None)
                if what is None:  # somebody was quicker
                    continue
                step(tx, run, what, cause=WHY[standing])
                if run.plan is not None:
                    spent.append(archive_key(run.id, run.plan))
        for key in spent:
            self.artifacts.delete(key)
        return len(run_ids)

    def _catch_up(self, repository_ids: Sequence[RepositoryId]) -> str:
        """Everything that waited goes on: reports, refs, runs."""
        with self.store.begin() as tx:
            behind = tx.defer_behind(repository_ids)
            for repository_id in repository_ids:
                if tx.find_accepted_config(repository_id) is not None:
                    tx.want_look(repository_id, in_s=SOON_S)
                    tx.wake_workers(repository_id)
        return f"; {behind} reports catch up" if behind else ""

    def _close(self, guid: DeliveryId, reason: str) -> None:
        with self.store.begin() as tx:
            tx.close_delivery(guid, DeliveryOutcome.EVENT, reason[:1000])
