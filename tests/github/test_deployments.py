"""Deployments through the port: of the SHA itself, unhindered by checks, their statuses touching no other one."""

from dataclasses import replace

import pytest

from app.core.errors import RetryableError, UserError
from app.core.event import Repository
from app.core.reply import Conclusion, DeploymentState
from app.github.client import GitHubApp
from app.sandbox import Repo, SandboxGitHub
from tests.github.made import check, deployment


def test_a_deployment_is_made_though_our_own_check_waits(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    sha = repo.sha()
    app.create_check(repository, check(sha, conclusion=Conclusion.ACTION_REQUIRED))
    number = app.create_deployment(repository, deployment(sha))
    (made,) = repo.deployments("main")
    assert (made.id, made.sha, made.ref, made.task, made.environment) == (number, sha, sha, "trackside:net", "net")
    assert made.payload == {"run": "RUN", "stack": "net", "tag": ""}
    assert made.production_environment
    assert not made.transient_environment


def test_nothing_is_merged_for_a_commit_that_is_behind(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    old = repo.sha()
    repo.set_branch("behind", old)
    repo.push(files={"net/main.tf": "two\n"}, message="Two")
    app.create_deployment(repository, deployment(old))
    assert repo.sha("behind") == old


def test_statuses_follow_and_leave_other_deployments_alone(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    first, second = (deployment(repo.sha(), run=run) for run in ("ONE", "TWO"))
    older, newer = (app.create_deployment(repository, one) for one in (first, second))
    app.add_deployment_status(repository, older, DeploymentState.SUCCESS, report=first)
    for state in (DeploymentState.QUEUED, DeploymentState.IN_PROGRESS, DeploymentState.SUCCESS):
        app.add_deployment_status(repository, newer, state, report=second)
    new, old = repo.deployments("main")
    assert [one.state for one in new.statuses] == ["queued", "in_progress", "success"]
    assert new.statuses[0].log_url == "https://trackside.example/runs/RUN"
    assert new.statuses[0].description == "waiting"
    assert (old.state, new.environment) == ("success", "net")


def test_a_lost_answer_is_found_by_its_run(
    app: GitHubApp, repo: Repo, repository: Repository, sandbox: SandboxGitHub
) -> None:
    app.create_deployment(repository, deployment(repo.sha(), run="OTHER"))
    assert app.find_deployment(repository, deployment(repo.sha())) is None
    sandbox.trouble.fail_next("POST", "deployments$", 502, after_work=True)
    with pytest.raises(RetryableError):
        app.create_deployment(repository, deployment(repo.sha()))
    assert app.find_deployment(repository, deployment(repo.sha())) == repo.deployments("main")[0].id


def test_a_persons_deployment_is_never_taken_for_ours(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    app.create_deployment(repository, deployment(repo.sha()))
    (made,) = repo.deployments("main")
    made.by_app, made.creator = False, repo.record.owner
    assert app.find_deployment(repository, deployment(repo.sha())) is None


def test_too_long_descriptions_are_cut(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    report = replace(deployment(repo.sha()), description="x" * 200, state_description="y" * 200)
    number = app.create_deployment(repository, report)
    app.add_deployment_status(repository, number, DeploymentState.QUEUED, report=report)
    (made,) = repo.deployments("main")
    assert made.description == "x" * 140
    assert made.statuses[0].description == "y" * 140


def test_a_commit_that_is_not_there_is_refused(app: GitHubApp, repository: Repository) -> None:
    with pytest.raises(
        UserError, match=r"creating the deployment of net on acme/infra: GitHub refused it \(422\): No ref"
    ):
        app.create_deployment(repository, deployment("d" * 40))


def test_a_deployment_that_is_gone_is_said_to_be(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    assert not app.add_deployment_status(repository, 1, DeploymentState.QUEUED, report=deployment(repo.sha()))
    assert app.find_deployment_state(repository, 1) is None


def test_the_newest_status_of_a_deployment_is_found(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    report = deployment(repo.sha())
    number = app.create_deployment(repository, report)
    assert app.find_deployment_state(repository, number) is None
    for state in (DeploymentState.QUEUED, DeploymentState.SUCCESS):
        app.add_deployment_status(repository, number, state, report=report)
    assert app.find_deployment_state(repository, number) is DeploymentState.SUCCESS
