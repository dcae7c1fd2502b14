"""`SandboxGitHub`: the stand-in as tests and the demo hold it, and the verbs of owners of accounts and repositories.

What people do inside a repository is on the handle that `repo` gives. Synchronous and safe to use from any thread.
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.sandbox import access, environments, events, forks, keys, permits, registration
from app.sandbox.bare import BareRepository, NewCommit
from app.sandbox.errors import SandboxError
from app.sandbox.hooks import Delivery, Post
from app.sandbox.people import Repo
from app.sandbox.records import Installation, Repository, User
from app.sandbox.world import App, World

_RESERVED: Final = frozenset({"api", "login", "-", "apps", "settings", "organizations"})


@dataclass(frozen=True, slots=True)
class AppSettings:
    """The App that the sandbox knows, as it was registered."""

    app_id: int = 4711
    client_id: str = "Iv23liSandbox0000001"
    client_secret: str = "sandbox-client-secret"  # noqa: S105 - a stand-in's secret, on loopback
    callback_urls: Sequence[str] = ()
    slug: str = "trackside"
    name: str = "Trackside"
    owner: str = "trackside-labs"
    private_key_pem: str = ""
    """Empty: a key is made."""
    webhook_url: str | None = None
    webhook_secret: str = "sandbox-webhook-secret"  # noqa: S105 - a stand-in's secret, on loopback
    permissions: Mapping[str, str] | None = None
    events: Sequence[str] = permits.DEFAULT_EVENTS


class SandboxGitHub(World):
    """A whole GitHub on this machine, with one App. Give `root` an empty folder of its own."""

    def __init__(self, root: Path, settings: AppSettings | None = None) -> None:
        super().__init__(root)
        chosen = settings or AppSettings()
        root.mkdir(parents=True, exist_ok=True)
        self.private_key_pem = chosen.private_key_pem or keys.make_private_key()
        owner = self.create_user(chosen.owner, kind="Organization")
        bot = self.find_or_add_user(f"{chosen.slug}[bot]", "Bot")
        self.app = App(
            id=chosen.app_id,
            client_id=chosen.client_id,
            slug=chosen.slug,
            name=chosen.name,
            owner=owner,
            bot=bot,
            public_key=keys.public_half(self.private_key_pem),
            hook_id=self.next_id(),
            permissions=dict(permits.DEFAULT_PERMISSIONS if chosen.permissions is None else chosen.permissions),
            events=list(chosen.events),
            created_at=self.now(),
            client_secret=chosen.client_secret,
            callback_urls=list(chosen.callback_urls),
        )
        self.post = Post(
            self.clock,
            app_id=chosen.app_id,
            hook_id=self.app.hook_id,
            url=chosen.webhook_url,
            secret=chosen.webhook_secret,
        )

    @property
    def webhook_url(self) -> str | None:
        """Where deliveries go; None: the App has no webhook and events are not recorded."""
        return self.post.url

    @webhook_url.setter
    def webhook_url(self, url: str | None) -> None:
        self.post.url = url

    @property
    def webhook_secret(self) -> str:
        """What deliveries are signed with."""
        return self.post.secret

    @webhook_secret.setter
    def webhook_secret(self, secret: str) -> None:
        self.post.secret = secret

    def create_user(self, login: str, *, kind: str = "User") -> User:
        """A new account. People get an access token, `user.token`, which is their git password too."""
        with self.mutex:
            if login.lower() in self.users or login.lower() in _RESERVED:
                raise SandboxError(f"the name {login!r} is taken")
            return self.find_or_add_user(login, kind)

    def create_organization(self, login: str) -> User:
        """A new organisation."""
        return self.create_user(login, kind="Organization")

    def create_repository(
        self,
        owner: str,
        name: str,
        *,
        private: bool = True,
        default_branch: str = "main",
        files: Mapping[str, str | bytes] | None = None,
        installed: bool = True,
    ) -> Repo:
        """A new repository of an account (made if missing). `files` are its first commit, there before the App sees it.

        `installed`: the App is installed on the account if it is not yet, on all its repositories.
        """
        with self.mutex:
            account = self.users.get(owner.lower()) or self.create_user(owner)
            if self.find_repository(owner, name):
                raise SandboxError(f"the repository {owner}/{name} is there already")
            now = self.now()
            git = BareRepository(self.root / "repositories" / account.login / f"{name}.git", self.root)
            git.create(default_branch)
            record = Repository(self.next_id(), account, name, private, default_branch, git, now, now, now)
            if files:
                first = NewCommit("Initial commit", self.signature(account), dict(files))
                git.write(f"refs/heads/{default_branch}", [first], start=None)
            known = next((one for one in self.installations.values() if one.account is account), None)
            self.repositories[record.id] = record
            if installed and known is None:
                self.install(account.login)
            elif known is not None and known.repository_ids is None:
                events.installation_event(self, known, "added", [record], event="installation_repositories")
            return Repo(self, record)

    def fork_repository(self, full_name: str, by: str, name: str | None = None) -> Repo:
        """A person's fork of a repository that they can read (the account is made if missing); same name by default."""
        with self.mutex:
            parent, who = self.repo(full_name).record, self.find_or_add_user(by)
            if self.role(parent, who.login) == "none":
                raise SandboxError(f"{who.login} has no read access to {parent.full_name}")
            return Repo(self, forks.fork(self, parent, who, name or parent.name))

    def repo(self, full_name: str) -> Repo:
        """The handle of a repository, by `owner/name`. Raises: SandboxError when there is none."""
        owner, _, name = full_name.partition("/")
        found = self.find_repository(owner, name)
        if found is None:
            raise SandboxError(f"there is no repository {full_name!r} in the sandbox")
        return Repo(self, found)

    def install(
        self,
        account: str,
        repositories: Iterable[str] | None = None,
        *,
        permissions: Mapping[str, str] | None = None,
    ) -> Installation:
        """Install the App on an account: on all its repositories, or on those named; sends `installation`."""
        with self.mutex:
            who, chosen = self.user(account), None
            if repositories is not None:
                chosen = {self.repo(f"{who.login}/{name.rpartition('/')[2]}").record.id for name in repositories}
            return registration.install(self, who, chosen, permissions)

    def installation(self, account: str) -> Installation:
        """The installation on an account. Raises: SandboxError when there is none."""
        who = self.user(account)
        found = next((one for one in self.installations.values() if one.account is who), None)
        if found is None:
            raise SandboxError(f"the App is not installed on {account}")
        return found

    def uninstall(self, account: str) -> None:
        """Take the App away: its tokens die, `installation` deleted is sent."""
        with self.mutex:
            one = self.installation(account)
            repositories = self.installed_repositories(one)
            del self.installations[one.id]
            events.installation_event(self, one, "deleted", repositories)

    def suspend(self, account: str, *, suspended: bool = True) -> None:
        """Suspend the installation, or let it work again; sends `installation`."""
        with self.mutex:
            one = self.installation(account)
            one.suspended_at = self.now() if suspended else None
            events.installation_event(self, one, "suspend" if suspended else "unsuspend", [])

    def select_repositories(self, account: str, names: Iterable[str]) -> None:
        """Leave the App on those repositories of an account alone; sends `installation_repositories`."""
        with self.mutex:
            one = self.installation(account)
            before = {repo.id for repo in self.installed_repositories(one)}
            one.repository_ids = {self.repo(f"{account}/{name}").record.id for name in names}
            after, one.updated_at = one.repository_ids, self.now()
            for action, numbers in (("added", after - before), ("removed", before - after)):
                if numbers:
                    changed = [self.repositories[number] for number in sorted(numbers)]
                    events.installation_event(self, one, action, changed, event="installation_repositories")

    def installation_token(self, account: str, **narrowed: object) -> str:
        """An installation token without the way through the API; `permissions=` and `repositories=` narrow it."""
        with self.mutex:
            return access.mint(self, self.installation(account), narrowed).value

    def ping(self) -> None:
        """Send the `ping` of a new webhook."""
        events.ping(self)

    @property
    def deliveries(self) -> list[Delivery]:
        """The App's delivery log, oldest first."""
        return self.post.log()[::-1]

    def redeliver(self, delivery: Delivery) -> Delivery:
        """Press "redeliver" in the App's settings."""
        return self.post.redeliver(delivery.id)

    def wait_deliveries(self, timeout_s: float = 30.0) -> None:
        """Return when every delivery under way has been answered or has failed."""
        self.post.wait(timeout_s)

    def count_requests(self, method: str = "", path_contains: str = "") -> int:
        """How many API requests were answered, of that method and with that text in their path."""
        return sum((not method or one.method == method) and path_contains in one.path for one in self.requests)

    def rename_repository(self, full_name: str, new_name: str, by: str | None = None) -> Repo:
        """Rename a repository; its number stays. Sends `repository` renamed."""
        with self.mutex:
            repo = self.repo(full_name)
            record, old = repo.record, repo.record.name
            if self.find_repository(record.owner.login, new_name):
                raise SandboxError(f"the name {new_name!r} is taken")
            record.git.move(record.git.path.with_name(f"{new_name}.git"))
            record.name, record.updated_at = new_name, self.now()
            payload = {"action": "renamed", "changes": {"repository": {"name": {"from": old}}}}
            events.emit(self, record, "repository", self.user(by) if by else record.owner, payload)
            return repo

    def archive_repository(self, full_name: str, *, archived: bool = True) -> None:
        """Make a repository read-only, or take that back; sends `repository` archived or unarchived."""
        with self.mutex:
            record = self.repo(full_name).record
            record.archived, record.updated_at = archived, self.now()
            action = "archived" if archived else "unarchived"
            events.emit(self, record, "repository", record.owner, {"action": action})

    def set_default_branch(self, full_name: str, branch: str) -> None:
        """Make another branch the default one; sends `repository` edited."""
        with self.mutex:
            record = self.repo(full_name).record
            old, record.default_branch = record.default_branch, branch
            record.git.git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
            payload = {"action": "edited", "changes": {"default_branch": {"from": old}}}
            events.emit(self, record, "repository", record.owner, payload)

    def delete_repository(self, full_name: str) -> None:
        """Delete a repository with everything in it; sends `repository` deleted."""
        with self.mutex:
            record = self.repo(full_name).record
            events.emit(self, record, "repository", record.owner, {"action": "deleted"})
            del self.repositories[record.id]
            forks.forget(self, record)
            shutil.rmtree(record.git.path)

    def team(self, full_name: str, members: Sequence[str] = (), *, pending: Sequence[str] = ()) -> None:
        """Make a team of an organisation (`acme/platform`), or give it other members; accounts are made if missing."""
        with self.mutex:
            org, _, slug = full_name.partition("/")
            environments.add_team(self, org, slug, members, pending)

    def set_permission(self, full_name: str, login: str, role: str) -> None:
        """Give a person a role: none, read, triage, write, maintain or admin. The account is made if missing."""
        self.repo(full_name).set_permission(login, role)
