"""The App's tokens: minted once for all who wait, renewed in time, dropped when refused, narrow where they travel."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from app.core.errors import BrokenError, RetryableError, UserError
from app.core.event import Repository
from app.core.names import InstallationId, Secret
from app.github.client import GitHubApp
from app.github.config import AppConfig
from app.sandbox import Repo, SandboxGitHub, Served
from tests.github.made import check, known

MINT = "access_tokens"


def test_a_token_is_minted_once_and_kept(app: GitHubApp, repository: Repository, sandbox: SandboxGitHub) -> None:
    assert app.control_token(repository) == app.control_token(repository)
    assert sandbox.count_requests("POST", MINT) == 1


def test_twenty_threads_at_once_cost_one_request(
    app: GitHubApp, repository: Repository, sandbox: SandboxGitHub
) -> None:
    gate = threading.Barrier(20)

    def ask(_: int) -> Secret:
        gate.wait(10)
        return app.control_token(repository)

    with ThreadPoolExecutor(20) as pool:
        tokens = set(pool.map(ask, range(20)))
    assert len(tokens) == 1
    assert sandbox.count_requests("POST", MINT) == 1


def test_each_installation_has_its_own_token(app: GitHubApp, repository: Repository, sandbox: SandboxGitHub) -> None:
    other = sandbox.create_repository("globex", "infra", files={"a": "b"})
    assert app.control_token(repository) != app.control_token(known(other, sandbox))


def test_a_token_is_renewed_five_minutes_before_its_end(
    app: GitHubApp, repository: Repository, sandbox: SandboxGitHub
) -> None:
    first = app.control_token(repository)
    sandbox.clock.advance(54 * 60)
    assert app.control_token(repository) == first
    sandbox.clock.advance(2 * 60)
    assert app.control_token(repository) != first


def test_a_token_that_died_in_the_middle_is_replaced_and_the_call_goes_through(
    app: GitHubApp, repo: Repo, repository: Repository, sandbox: SandboxGitHub
) -> None:
    app.control_token(repository)
    sandbox.tokens.clear()
    app.create_check(repository, check(repo.sha()))
    assert len(repo.check_runs()) == 1
    assert sandbox.count_requests("POST", MINT) == 2
    assert sandbox.count_requests("POST", "check-runs") == 2


def test_a_second_refusal_is_for_later(
    app: GitHubApp, repo: Repo, repository: Repository, sandbox: SandboxGitHub
) -> None:
    sandbox.trouble.fail_next("POST", "check-runs", 401, times=2)
    with pytest.raises(RetryableError, match=r"creating check run deploy/net on acme/infra: .* credentials \(401\)"):
        app.create_check(repository, check(repo.sha()))
    assert sandbox.count_requests("POST", "check-runs") == 2
    app.create_check(repository, check(repo.sha()))
    assert len(repo.check_runs()) == 1


def test_a_clone_token_reads_the_contents_of_one_repository_and_can_nothing_else(
    app: GitHubApp, repo: Repo, repository: Repository, sandbox: SandboxGitHub, served: Served
) -> None:
    sandbox.create_repository("acme", "secrets", files={"a": "b"})
    token = app.mint_clone_token(repository).reveal()
    assert sandbox.tokens[token].permissions == {"contents": "read", "metadata": "read"}
    assert sandbox.tokens[token].repository_ids == {repo.id}
    headers = {"Authorization": f"Bearer {token}", "User-Agent": "test"}
    other = httpx.get(f"{served.api_url}/repos/acme/secrets", headers=headers, trust_env=False)
    assert other.status_code == 404


def test_a_clone_token_reads_module_repositories_too_when_it_is_asked_for_them(
    app: GitHubApp, repo: Repo, repository: Repository, sandbox: SandboxGitHub
) -> None:
    modules = sandbox.create_repository("acme", "modules", files={"a": "b"})
    sandbox.create_repository("acme", "secrets", files={"a": "b"})
    token = app.mint_clone_token(repository, ("modules",)).reveal()
    assert sandbox.tokens[token].permissions == {"contents": "read", "metadata": "read"}
    assert sandbox.tokens[token].repository_ids == {repo.id, modules.id}
    wide = app.mint_clone_token(repository, ("*",)).reveal()
    assert sandbox.tokens[wide].permissions == {"contents": "read", "metadata": "read"}
    assert sandbox.tokens[wide].repository_ids is None, "all that the installation has"
    with pytest.raises(UserError, match="does not exist or is not accessible"):
        app.mint_clone_token(repository, ("modules", "gone"))


def test_clone_tokens_are_never_shared(app: GitHubApp, repository: Repository) -> None:
    assert app.mint_clone_token(repository) != app.mint_clone_token(repository)


def test_a_revoked_token_is_dead_and_may_be_revoked_again(
    app: GitHubApp, repository: Repository, sandbox: SandboxGitHub
) -> None:
    token = app.mint_clone_token(repository)
    app.revoke_token(token)
    assert token.reveal() not in sandbox.tokens
    app.revoke_token(token)


def test_an_installation_that_is_gone_is_said_to_be(
    app: GitHubApp, repository: Repository, sandbox: SandboxGitHub
) -> None:
    sandbox.uninstall("acme")
    with pytest.raises(UserError, match=r"minting a token for installation .*: not found on GitHub"):
        app.control_token(repository)


def test_a_suspended_installation_is_said_to_be(app: GitHubApp, repository: Repository, sandbox: SandboxGitHub) -> None:
    sandbox.suspend("acme")
    with pytest.raises(UserError, match="This installation has been suspended"):
        app.control_token(repository)


def test_a_repository_outside_the_installation_gets_no_clone_token(
    app: GitHubApp, repository: Repository, sandbox: SandboxGitHub
) -> None:
    sandbox.create_repository("acme", "other", files={"a": "b"})
    sandbox.select_repositories("acme", ["other"])
    with pytest.raises(UserError, match="not accessible to the parent installation"):
        app.mint_clone_token(repository)


def test_a_failed_flight_leaves_the_way_free_for_the_next(
    app: GitHubApp, repository: Repository, sandbox: SandboxGitHub
) -> None:
    sandbox.trouble.fail_next("POST", MINT, 502)
    with pytest.raises(RetryableError, match=r"minting a token for installation .*: GitHub answered 502"):
        app.control_token(repository)
    assert app.control_token(repository)


@pytest.mark.parametrize("pem", ["", "not a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
def test_a_key_that_is_none_is_a_broken_world(config: AppConfig, repository: Repository, pem: str) -> None:
    broken = AppConfig(app_id=config.app_id, private_key=Secret(pem), api_url=config.api_url)
    app = GitHubApp(broken)
    with pytest.raises(BrokenError, match="signing as App 4711: the private key is not an RSA key in PEM form"):
        app.control_token(repository)
    app.close()


def test_a_wrong_app_number_is_for_later_and_says_what_github_said(config: AppConfig, repository: Repository) -> None:
    app = GitHubApp(AppConfig(app_id=1, private_key=config.private_key, api_url=config.api_url))
    with pytest.raises(RetryableError, match="refused the App's credentials"):
        app.mint_clone_token(repository)
    with pytest.raises(RetryableError, match="refused the App's credentials"):
        app.find_app_owner()
    app.close()


def test_a_dropped_token_that_has_a_successor_leaves_it_alone(app: GitHubApp, repository: Repository) -> None:
    first = app.control_token(repository)
    app._tokens.drop(InstallationId(repository.installation_id), Secret("another"))
    assert app.control_token(repository) == first
