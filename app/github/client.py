"""GitHub as flows ask it: the port, on top of the nouns of this room. One object per App, shared by all threads.

Every call may raise RetryableError (try later; `retry_after_s` when GitHub said when) or UserError (GitHub said no).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Lock

from app.core.environment import Environment
from app.core.event import Repository
from app.core.missed import FoundComment
from app.core.names import InstallationId, Secret, Sha
from app.core.permit import Access, Stretch
from app.core.pull import PullDetail, PullFacts, Reviews, Signature
from app.core.reply import CheckReport, DeploymentReport, DeploymentState, OwnComment
from app.core.stack import Permission
from app.core.visitor import Account, LoginRefused
from app.github import (
    authors,
    checks,
    deployments,
    environments,
    login,
    people,
    pulls,
    registration,
    reviews,
    signatures,
    talk,
    teams,
)
from app.github.api import Api, Clock, OnRequest
from app.github.caller import Caller
from app.github.config import AppConfig
from app.github.limits import Limits, LimitWatch
from app.github.pulls import PullRequest
from app.github.registration import AppIdentity, DeliveryAttempt, DeliveryPage, Installation, Reach, Webhook
from app.github.tokens import AppKey, Tokens


def utc_now() -> datetime:
    """The present, by this machine's clock."""
    return datetime.now(UTC)


class GitHubApp:
    """One GitHub App on one GitHub. Thread-safe; costs nothing until its first call; `close` it at the end."""

    def __init__(
        self,
        config: AppConfig,
        *,
        on_request: OnRequest | None = None,
        now: Clock = utc_now,
        watch: LimitWatch | None = None,
    ) -> None:
        self._config, self._now = config, now
        self._api = Api(config, now=now, on_request=on_request)
        key = AppKey(config, now)
        self._tokens = Tokens(self._api, key, now)
        limits = Limits(watch, now)
        self._caller = Caller(self._api, key, self._tokens, limits, app_id=config.app_id)
        self._identity: AppIdentity | None = None
        self._identity_lock = Lock()

    def close(self) -> None:
        """Close the connections."""
        self._api.shut()

    # git
    def clone_url(self, repository: Repository) -> str:
        """Where git finds the repository; never with credentials."""
        return f"{self._config.server_url.rstrip('/')}/{repository.full_name}.git"

    def control_token(self, repository: Repository) -> Secret:
        """The installation's token (cached, single flight), for the control plane's own mirror."""
        return self._tokens.get(repository.installation_id)

    def mint_clone_token(self, repository: Repository, modules: Sequence[str] = ()) -> Secret:
        """A fresh token with contents: read on that repository, and on others of its owner by name (`*`: on all)."""
        return self._tokens.mint_for_clone(repository, modules)

    def revoke_token(self, token: Secret) -> None:
        """End a token's life; one that ended already is no error."""
        self._tokens.revoke(token)

    # logging people in
    def login_url(self, *, state: str, challenge: str, redirect_uri: str) -> str:
        """Where somebody tells GitHub that we may know who they are."""
        return login.login_url(self._config, state=state, challenge=challenge, redirect_uri=redirect_uri)

    def identify(self, *, code: str, verifier: Secret, redirect_uri: str) -> Account | LoginRefused:
        """Who came back from GitHub with that code; nothing of theirs is kept."""
        return login.identify(self._api, self._config, code=code, verifier=verifier, redirect_uri=redirect_uri)

    def takes_client_secret(self) -> bool:
        """Whether GitHub takes the client id and secret by which people log in."""
        return login.takes_secret(self._api, self._config)

    # people and pull requests
    def ask_permission(self, repository: Repository, login: str) -> Permission:
        """What the person may do there, now."""
        return people.ask_access(self._caller, repository, login).permission

    def ask_access(self, repository: Repository, login: str) -> Access:
        """The permission, with the role behind it, and whether a machine has it."""
        return people.ask_access(self._caller, repository, login)

    def list_authors(self, repository: Repository, stretches: Sequence[Stretch]) -> tuple[str, ...]:
        """Logins of those who made commits, who opened their pull requests, and who made the commits of these."""
        return authors.list_authors(self._caller, repository, stretches)

    def is_team_member(self, repository: Repository, team: str, login: str) -> bool:
        """True for an active member of the owner's team."""
        return teams.is_member(self._caller, repository, team, login)

    def list_teams(self, repository: Repository, login: str) -> tuple[str, ...]:
        """The owner's teams that somebody is in, by slug."""
        return teams.list_of(self._caller, repository, login)

    def find_environment(self, repository: Repository, name: str) -> Environment | None:
        """The protection rules of an environment, or None without one of that name."""
        return environments.find(self._caller, repository, name)

    def is_branch_protected(self, repository: Repository, branch: str) -> bool:
        """True for a branch that GitHub protects."""
        return environments.is_branch_protected(self._caller, repository, branch)

    def find_pull(self, repository: Repository, number: int) -> PullRequest | None:
        """The pull request, or None."""
        return pulls.find(self._caller, repository, number)

    def read_pull(self, repository: Repository, number: int) -> PullDetail | None:
        """The pull request as it is now, with whether it can be merged, or None."""
        return pulls.read(self._caller, repository, number)

    def read_reviews(self, repository: Repository, number: int) -> Reviews | None:
        """What the reviews of a pull request amount to now, or None without such a pull request."""
        return reviews.read(self._caller, repository, number)

    def list_changed_pulls(self, repository: Repository, sha: Sha) -> tuple[PullFacts, ...]:
        """The open pull requests whose head is that commit, by number."""
        return pulls.list_of_commit(self._caller, repository, sha)

    def list_open_pulls(self, repository: Repository, head_branch: str) -> tuple[PullFacts, ...]:
        """The open pull requests of a branch of the repository itself, by number."""
        return pulls.list_of_branch(self._caller, repository, head_branch)

    # signatures
    def find_signature(self, repository: Repository, sha: Sha) -> Signature | None:
        """Who signed a commit, or None when there is no such commit."""
        return signatures.find_of_commit(self._caller, repository, sha)

    def find_tag_signature(self, repository: Repository, tag_sha: Sha) -> Signature | None:
        """Whether an annotated tag's object is signed (by whom, GitHub does not tell), or None when it is no tag."""
        return signatures.find_of_tag(self._caller, repository, tag_sha)

    # check runs
    def create_check(self, repository: Repository, report: CheckReport) -> int:
        """Post a new check run; its number. After a RetryableError it may stand there: ask `find_check` first."""
        return checks.create(self._caller, repository, report)

    def update_check(self, repository: Repository, check_run_id: int, report: CheckReport) -> bool:
        """Make a check run say what the report says; False when it is not there any more."""
        return checks.update(self._caller, repository, check_run_id, report)

    def has_annotations(self, repository: Repository, check_run_id: int) -> bool:
        """True when a check run has annotations."""
        return checks.has_annotations(self._caller, repository, check_run_id)

    def retire_check(self, repository: Repository, check_run_id: int, title: str) -> None:
        """Take a check run's buttons; it concludes neutral. One that is gone has none."""
        checks.retire(self._caller, repository, check_run_id, title)

    def find_check(self, repository: Repository, sha: Sha, name: str, external_id: str) -> int | None:
        """Our newest check run of that commit, name and external id, or None."""
        return checks.find(self._caller, repository, sha, name, external_id)

    # deployments
    def create_deployment(self, repository: Repository, report: DeploymentReport) -> int:
        """Make a deployment; its number. After a RetryableError it may stand there: ask `find_deployment` first."""
        return deployments.create(self._caller, repository, report)

    def find_deployment(self, repository: Repository, report: DeploymentReport) -> int | None:
        """Our newest deployment of the report's run, or None."""
        return deployments.find(self._caller, repository, report)

    def add_deployment_status(
        self, repository: Repository, deployment_id: int, state: DeploymentState, *, report: DeploymentReport
    ) -> bool:
        """Add a status to a deployment; others stay as they are. False when it is not there any more."""
        return deployments.add_status(self._caller, repository, deployment_id, state, report)

    def find_deployment_state(self, repository: Repository, deployment_id: int) -> DeploymentState | None:
        """What a deployment's newest status says; None when there is none, or one that we never send."""
        return deployments.find_state(self._caller, repository, deployment_id)

    # talk
    def comment_on_pull(self, repository: Repository, number: int, body: str) -> int:
        """Say something in a pull request; the comment's number."""
        return talk.comment_on_pull(self._caller, repository, number, body)

    def comment_on_commit(self, repository: Repository, sha: Sha, body: str) -> int:
        """Say something on a commit; the comment's number."""
        return talk.comment_on_commit(self._caller, repository, sha, body)

    def find_comment(self, repository: Repository, *, number: int | None, sha: Sha | None, body: str) -> int | None:
        """Our newest comment with that text on the pull request, else on the commit, or None."""
        if number is not None:
            return talk.find_on_pull(self._caller, repository, number, body, now=self._now())
        if sha is not None:
            return talk.find_on_commit(self._caller, repository, sha, body, bot=self._own_account())
        return None

    def list_own_comments(self, repository: Repository, number: int) -> list[OwnComment]:
        """The App's comments on a pull request of the last days, oldest first."""
        return talk.list_own(self._caller, repository, number, now=self._now())

    def edit_comment(self, repository: Repository, comment_id: int, body: str) -> bool:
        """Give a comment another text; False when it is there no more."""
        return talk.edit(self._caller, repository, comment_id, body)

    def list_comments(self, repository: Repository, since: datetime) -> list[FoundComment]:
        """Comments by people on the repository's issues and pull requests since then, oldest first."""
        return talk.list_since(self._caller, repository, since)

    def react(self, repository: Repository, comment_id: int, content: str) -> None:
        """React to a pull request's comment, unless it is gone; the same again changes nothing."""
        talk.react(self._caller, repository, comment_id, content)

    # the App itself
    def find_app_owner(self) -> AppIdentity:
        """Who the App is and whose."""
        return registration.find_identity(self._caller)

    def list_installations(self) -> list[Installation]:
        """Where the App is installed, by id."""
        return registration.list_installations(self._caller)

    def list_reached(self, installation_id: InstallationId) -> Reach:
        """The repositories that an installation reaches, a hundred at most, and how many there are."""
        return registration.list_repositories(self._caller, installation_id)

    def read_deliveries(self, cursor: str = "") -> DeliveryPage:
        """A page of the attempts to deliver, newest first."""
        return registration.read_deliveries(self._caller, cursor)

    def list_latest_deliveries(self) -> list[DeliveryAttempt]:
        """The last hundred attempts to deliver, newest first."""
        return list(self.read_deliveries().attempts)

    def find_webhook(self) -> Webhook:
        """Where deliveries go, and in which form."""
        return registration.find_webhook(self._caller)

    @property
    def clock_skew_s(self) -> float | None:
        """How far GitHub's clock was ahead of ours at its last answer; None before any."""
        return self._api.clock_skew_s

    def redeliver(self, attempt_id: int) -> None:
        """Have GitHub send a delivery again, under the same GUID."""
        registration.redeliver(self._caller, attempt_id)

    def _own_account(self) -> str:
        with self._identity_lock:
            if self._identity is None:
                self._identity = self.find_app_owner()
            return self._identity.bot
