"""What a person comes back to who has installed the App: the repositories that are served, and what is next in each.

Asks GitHub and reads; changes nothing. Whether the person may know, the door has asked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.core.errors import UserError
from app.core.event import Repository
from app.core.names import InstallationId
from app.core.stack import CONFIG_PATH
from app.core.suggestion import new_file_url, suggest_configuration
from app.flows.ports import Store


class Reached(Protocol):
    """What an installation reaches."""

    @property
    def repositories(self) -> Sequence[Repository]: ...
    @property
    def total(self) -> int: ...


class Reaches(Protocol):
    """The one question to GitHub. Raises: UserError when there is no such installation of the App; RetryableError."""

    def list_reached(self, installation_id: InstallationId) -> Reached: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One repository, and what is next."""

    repository: Repository
    stacks: int
    """How many stacks it has already."""
    new_file_url: str
    """Where its stacks.yml is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One installation."""

    accounts: tuple[str, ...]
    """Whose repositories they are."""
    is_served: bool
    """False: of an account that is not among those that are served."""
    served: tuple[Served, ...]
    more: int
    """How many repositories are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtInstallation:
    """The use case."""

    store: Store
    github: Reaches
    is_allowed: Callable[[str], bool]
    web_url: str

    def find(self, installation_id: InstallationId) -> Installed | None:
        """What it reaches, or None when the App has no such installation. Raises: RetryableError."""
        try:
            reached = self.github.list_reached(installation_id)
        except UserError:
            return None
        accounts = tuple(sorted({one.owner for one in reached.repositories}))
        if not all(self.is_allowed(account) for account in accounts):
            return Installed(accounts=accounts, is_served=False, served=(), more=0)
        with self.store.begin() as tx:
            counts = {
                one.id: sum(not stack.is_detached for stack in tx.list_stacks(one.id)) for one in reached.repositories
            }
        return Installed(
            accounts=accounts,
            is_served=True,
            served=tuple(self._served(one, counts[one.id]) for one in reached.repositories),
            more=max(reached.total - len(reached.repositories), 0),
        )

    def _served(self, one: Repository, stacks: int) -> Served:
        url = new_file_url(
            f"{self.web_url}/{one.full_name}", one.default_branch, CONFIG_PATH, suggest_configuration(())
        )
        return Served(repository=one, stacks=stacks, new_file_url=url)
