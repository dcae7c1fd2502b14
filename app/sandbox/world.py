"""The state of the stand-in: accounts, repositories, installations, tokens, the App, the post. One mutex guards it all.

Questions about state live here; what people and the App do to it lives in the modules named after the thing.
"""

import itertools
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from app.sandbox.bare import Signature
from app.sandbox.clock import Clock
from app.sandbox.errors import SandboxError
from app.sandbox.hooks import Post
from app.sandbox.records import (
    CheckRun,
    Installation,
    LoginCode,
    Pull,
    Repository,
    RequestRecord,
    Signed,
    Team,
    Token,
    User,
    UserToken,
)
from app.sandbox.secondary import Secondary
from app.sandbox.trouble import RateLimits, Trouble

_FIRST_ID: Final = 1001


@dataclass(slots=True)
class App:
    """The GitHub App that the sandbox knows: exactly one."""

    id: int
    client_id: str
    slug: str
    name: str
    owner: User
    bot: User
    public_key: str
    hook_id: int
    permissions: dict[str, str]
    events: list[str]
    created_at: datetime
    client_secret: str = ""
    callback_urls: list[str] = field(default_factory=list)
    """Where people are led back to who have said who they are."""
    setup_url: str = ""
    """Where people come back to who have installed it; empty: nowhere."""


@dataclass(slots=True, eq=False)
class Draft:
    """A manifest that somebody is asked about."""

    manifest: dict[str, Any]
    owner: User
    state: str


@dataclass(slots=True, eq=False)
class MadeApp:
    """What an App that was made of a manifest is told, once, for its code."""

    app: App
    private_key_pem: str
    webhook_secret: str
    expires_at: datetime


class World:
    """State and questions about it. Callers hold `mutex` while they read or write more than one thing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mutex = threading.RLock()
        self.clock = Clock()
        self.trouble = Trouble(self.clock)
        self.rates = RateLimits(self.clock)
        self.secondary = Secondary(self.clock)
        self.server_url = "http://127.0.0.1"
        self.users: dict[str, User] = {}
        self.repositories: dict[int, Repository] = {}
        self.installations: dict[int, Installation] = {}
        self.tokens: dict[str, Token] = {}
        self.codes: dict[str, LoginCode] = {}
        self.user_tokens: dict[str, UserToken] = {}
        self.signed: dict[str, Signed] = {}
        """By SHA of the commit or tag object: a signature is part of it, whichever repository has it."""
        self.teams: dict[tuple[str, str], Team] = {}
        """By organisation and slug, in lower case."""
        self.requests: list[RequestRecord] = []
        self.unknown_requests: list[RequestRecord] = []
        self.buttons_on_commits = False
        """Offer buttons also on commits of no pull request, and send their clicks."""
        self.server_version: str | None = None
        """Of an Enterprise Server, `3.11.4`; None: as github.com, which tells none."""
        self.drafts: dict[str, Draft] = {}
        self.made_apps: dict[str, MadeApp] = {}
        """By code, until it is used."""
        self.app: App
        self.private_key_pem = ""
        self.post: Post
        self._ids = itertools.count(_FIRST_ID)

    @property
    def api_url(self) -> str:
        """The API's root, without a slash at its end."""
        return f"{self.server_url}/api"

    def next_id(self) -> int:
        """A number that nothing else in this sandbox has."""
        return next(self._ids)

    def now(self) -> datetime:
        """The sandbox's present."""
        return self.clock.now()

    def signature(self, user: User) -> Signature:
        """How commits of that account are signed off now."""
        return Signature(user.login, user.email, self.now())

    def user(self, login: str) -> User:
        """The account. Raises: SandboxError when there is none."""
        found = self.users.get(login.lower())
        if found is None:
            raise SandboxError(f"there is no account {login!r} in the sandbox")
        return found

    def find_or_add_user(self, login: str, kind: str = "User") -> User:
        """The account, made when there is none; people get a token, which is their git password too."""
        known = self.users.get(login.lower())
        if known is None:
            token = f"ghp_sandbox_{login.lower()}" if kind == "User" else ""
            known = self.users[login.lower()] = User(self.next_id(), login, kind, token)
        return known

    def user_by_email(self, email: str) -> User | None:
        """The account that a commit's address belongs to."""
        return next((user for user in self.users.values() if user.email == email), None)

    def user_by_token(self, token: str) -> User | None:
        """The person with that access token."""
        return next((user for user in self.users.values() if user.token and user.token == token), None)

    def find_repository(self, owner: str, name: str) -> Repository | None:
        """The repository by its present name, in any case."""
        wanted = f"{owner}/{name}".lower()
        return next((repo for repo in self.repositories.values() if repo.full_name.lower() == wanted), None)

    def installation_of(self, repo: Repository) -> Installation | None:
        """The installation that covers a repository."""
        return next((one for one in self.installations.values() if self.covers(one, repo)), None)

    @staticmethod
    def covers(installation: Installation, repo: Repository) -> bool:
        """True when the installation has the repository, whether or not it is suspended."""
        selected = installation.repository_ids
        return installation.account is repo.owner and (selected is None or repo.id in selected)

    def installed_repositories(self, installation: Installation) -> list[Repository]:
        """The installation's repositories, ordered by id."""
        return [repo for _, repo in sorted(self.repositories.items()) if self.covers(installation, repo)]

    def role(self, repo: Repository, login: str) -> str:
        """The role of an account: what was given, admin for the owner, read for everyone on a public repository."""
        if login.lower() == repo.owner.login.lower():
            return "admin"
        given = repo.roles.get(login.lower(), "none")
        return "read" if given == "none" and not repo.private else given

    def sign_as_github(self, shas: Iterable[str]) -> None:
        """Mark commits as signed with GitHub's own key: those that it makes for people on the web."""
        for sha in shas:
            self.signed[sha] = Signed("web-flow", self.now(), by_github=True)

    def is_in_pull_request(self, repo: Repository, sha: str) -> bool:
        """True when a pull request lists the commit: what merging made on the base branch is in none."""
        return any(has_commit(repo, pull, sha) for pull in repo.pulls.values())

    def shows_buttons(self, repo: Repository, run: CheckRun) -> bool:
        """True where GitHub documents buttons: completed, with actions, on a commit of a pull request.

        Source: https://docs.github.com/rest/guides/using-the-rest-api-to-interact-with-checks#check-runs-and-requested-actions
        """
        if run.status != "completed" or not run.actions:
            return False
        return self.buttons_on_commits or self.is_in_pull_request(repo, run.head_sha)


def has_commit(repo: Repository, pull: Pull, sha: str) -> bool:
    """True when the commit lies between the pull request's base and head."""
    if pull.head_sha == sha:
        return True
    git = repo.git
    return git.is_ancestor(sha, pull.head_sha) and not git.is_ancestor(sha, pull.base_sha)
