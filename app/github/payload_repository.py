"""The repository and the installation in payloads, and the events that are about them alone."""

from typing import Annotated, Final

import msgspec

from app.core.event import (
    AccountRenamed,
    Ignored,
    InstallationChanged,
    RepositoriesChosen,
    Repository,
    RepositoryMoved,
    RepositoryStands,
    Standing,
)
from app.core.names import AccountId, InstallationId, RepositoryId
from app.github.shapes import Login, Number, RefText, RepositoryName, Word

MOVES: Final = frozenset({"renamed", "transferred", "publicized", "privatized"})
"""Actions after which the repository's row is out of date; `edited` is one when it names the default branch."""
STANDINGS: Final = {"archived": Standing.ARCHIVED, "unarchived": Standing.HERE, "deleted": Standing.DELETED}
"""Actions after which the repository can, or can no longer, be worked on."""
MAX_CHOSEN: Final = 10_000
"""Repositories that one event adds or takes away."""
ACTIVITY: Final = {"created": True, "unsuspend": True, "deleted": False, "suspend": False}


class OwnerShape(msgspec.Struct, frozen=True):
    """The account that owns the repository."""

    login: Login
    id: Number | None = None


class RepositoryShape(msgspec.Struct, frozen=True):
    """`repository`, as every event of a repository carries it."""

    id: Number
    name: RepositoryName
    owner: OwnerShape
    default_branch: RefText
    private: bool


class InstallationShape(msgspec.Struct, frozen=True):
    """`installation`: all that most events carry of it."""

    id: Number


class AccountShape(msgspec.Struct, frozen=True):
    """Who sent, wrote or owns something. Enterprises have a slug instead of a login."""

    login: Login | None = None
    slug: Word | None = None
    type: Word | None = None

    @property
    def is_bot(self) -> bool:
        """True for an App's account."""
        return self.type == "Bot" or (self.login or "").endswith("[bot]")


def to_repository(shape: RepositoryShape, installation: InstallationShape) -> Repository:
    """The repository by our names."""
    return Repository(
        id=RepositoryId(shape.id),
        owner=shape.owner.login,
        name=shape.name,
        default_branch=shape.default_branch,
        is_private=shape.private,
        installation_id=InstallationId(installation.id),
        owner_id=AccountId(shape.owner.id or 0),
    )


class _Changes(msgspec.Struct, frozen=True):
    default_branch: msgspec.Raw = msgspec.Raw()


class _Edit(msgspec.Struct, frozen=True):
    action: Word
    changes: _Changes | None = None


class _RepositoryEvent(msgspec.Struct, frozen=True):
    repository: RepositoryShape
    installation: InstallationShape


class _FullInstallation(msgspec.Struct, frozen=True):
    id: Number
    account: AccountShape | None = None


class _InstallationEvent(msgspec.Struct, frozen=True):
    action: Word
    installation: _FullInstallation


class _Numbered(msgspec.Struct, frozen=True):
    id: Number


_Chosen = Annotated[list[_Numbered], msgspec.Meta(max_length=MAX_CHOSEN)]


class _ChosenEvent(msgspec.Struct, frozen=True):
    installation: _FullInstallation
    repositories_added: _Chosen = []
    repositories_removed: _Chosen = []


class _From(msgspec.Struct, frozen=True, rename={"before": "from"}):
    before: str = ""


class _NameChange(msgspec.Struct, frozen=True):
    login: _From = _From()
    slug: _From = _From()


class _Renamed(msgspec.Struct, frozen=True):
    action: Word
    installation: InstallationShape
    account: AccountShape
    changes: _NameChange = _NameChange()


_CHOSEN = msgspec.json.Decoder(_ChosenEvent)
_RENAMED = msgspec.json.Decoder(_Renamed)
_EDIT = msgspec.json.Decoder(_Edit)
_REPOSITORY = msgspec.json.Decoder(_RepositoryEvent)
_INSTALLATION = msgspec.json.Decoder(_InstallationEvent)


def read_repository(body: bytes) -> RepositoryMoved | RepositoryStands | Ignored:
    """A `repository` event: names, owner, visibility or default branch changed, it was archived, or nothing that we
    keep."""
    edit = _EDIT.decode(body)
    if edit.action in STANDINGS:
        event = _REPOSITORY.decode(body)
        repository = to_repository(event.repository, event.installation)
        return RepositoryStands(repository=repository, standing=STANDINGS[edit.action])
    if edit.action not in MOVES and not (edit.action == "edited" and _names_default_branch(edit)):
        return Ignored(f"repository {edit.action}: nothing that is kept changed")
    event = _REPOSITORY.decode(body)
    return RepositoryMoved(repository=to_repository(event.repository, event.installation))


def _names_default_branch(edit: _Edit) -> bool:
    return edit.changes is not None and bytes(edit.changes.default_branch) not in (b"", b"null")


def read_installation(body: bytes) -> InstallationChanged | Ignored:
    """An `installation` event: the App came, went, or was paused."""
    event = _INSTALLATION.decode(body)
    is_active = ACTIVITY.get(event.action)
    if is_active is None:
        return Ignored(f"installation {event.action}: nothing that is kept changed")
    return InstallationChanged(
        installation_id=InstallationId(event.installation.id),
        account=_name(event.installation.account),
        is_active=is_active,
        is_gone=event.action == "deleted",
    )


def read_chosen(body: bytes) -> RepositoriesChosen:
    """An `installation_repositories` event: which ones came, which went."""
    event = _CHOSEN.decode(body)
    return RepositoriesChosen(
        installation_id=InstallationId(event.installation.id),
        account=_name(event.installation.account),
        added=tuple(RepositoryId(one.id) for one in event.repositories_added),
        removed=tuple(RepositoryId(one.id) for one in event.repositories_removed),
    )


def read_target(body: bytes) -> AccountRenamed | Ignored:
    """An `installation_target` event: the account has another name."""
    event = _RENAMED.decode(body)
    if event.action != "renamed" or not _name(event.account):
        return Ignored(f"installation target {event.action}: nothing that is kept changed")
    return AccountRenamed(
        installation_id=InstallationId(event.installation.id),
        account=_name(event.account),
        before=(event.changes.login.before or event.changes.slug.before)[:100],
    )


def _name(account: AccountShape | None) -> str:
    return (account.login or account.slug or "") if account else ""
