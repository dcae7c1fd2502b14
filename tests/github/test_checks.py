"""Check runs through the port: what is sent stands there, buttons go when they should, a lost answer is found again."""

from dataclasses import replace

import pytest

from app.core.errors import BrokenError, RetryableError, UserError
from app.core.event import Repository
from app.core.names import Sha
from app.core.reply import Annotation, AnnotationLevel, Conclusion
from app.github.client import GitHubApp
from app.sandbox import Repo, SandboxGitHub, checks
from app.sandbox.records import CheckRun
from tests.github.made import BUTTONS, check

WAITING = Conclusion.ACTION_REQUIRED


def shown(repo: Repo) -> CheckRun:
    """The check run that the commit's page shows under our name."""
    run = repo.check_run("main", "deploy/net")
    assert run is not None
    return run


def test_a_check_run_says_what_the_report_says(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    number = app.create_check(repository, check(repo.sha(), conclusion=WAITING, text="1. `terraform_data.a`"))
    run = shown(repo)
    assert run.id == number
    assert (run.status, run.conclusion, run.external_id) == ("completed", "action_required", "RUN/1")
    assert (run.title, run.summary, run.text) == ("+1 ~0 -0", "One change.", "1. `terraform_data.a`")
    assert run.details_url == "https://trackside.example/runs/RUN"
    assert [one["identifier"] for one in run.actions] == [one.identifier for one in BUTTONS]


def test_an_update_replaces_text_state_and_buttons(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    number = app.create_check(repository, check(repo.sha()))
    app.update_check(repository, number, check(repo.sha(), conclusion=WAITING))
    assert len(shown(repo).actions) == 2
    app.update_check(repository, number, check(repo.sha(), conclusion=Conclusion.SUCCESS))
    run = shown(repo)
    assert (run.conclusion, run.actions) == ("success", [])


def test_annotations_are_added_by_the_update_that_brings_them(
    app: GitHubApp, repo: Repo, repository: Repository
) -> None:
    mark = Annotation(
        path="main.tf", line=3, end_line=7, level=AnnotationLevel.WARNING, title="this plan destroys this", message="x"
    )
    number = app.create_check(repository, check(repo.sha()))
    assert not app.has_annotations(repository, number)
    app.update_check(repository, number, replace(check(repo.sha(), conclusion=WAITING), annotations=(mark,)))
    app.update_check(repository, number, check(repo.sha(), conclusion=WAITING))
    assert app.has_annotations(repository, number)
    assert [(one["path"], one["start_line"], one["end_line"]) for one in shown(repo).annotations] == [("main.tf", 3, 7)]


def test_a_retired_check_run_is_neutral_and_has_no_buttons(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    number = app.create_check(repository, check(repo.sha(), conclusion=WAITING))
    app.retire_check(repository, number, "Replaced by plan 2")
    run = shown(repo)
    assert (run.status, run.conclusion, run.actions) == ("completed", "neutral", [])
    assert run.title == "Replaced by plan 2"
    assert run.summary


def test_a_check_run_that_never_completed_can_be_retired_too(
    app: GitHubApp, repo: Repo, repository: Repository
) -> None:
    app.retire_check(repository, app.create_check(repository, check(repo.sha())), "Replaced by plan 2")
    assert shown(repo).conclusion == "neutral"


def test_an_answer_that_never_came_is_found_by_its_external_id(
    app: GitHubApp, repo: Repo, repository: Repository, sandbox: SandboxGitHub
) -> None:
    sha = Sha(repo.sha())
    sandbox.trouble.fail_next("POST", "check-runs", 502, after_work=True)
    with pytest.raises(RetryableError, match="creating check run deploy/net on acme/infra: GitHub answered 502"):
        app.create_check(repository, check(sha))
    assert sandbox.count_requests("POST", "check-runs") == 1
    assert app.find_check(repository, sha, "deploy/net", "RUN/1") == shown(repo).id


def test_the_newest_of_one_external_id_is_found_among_many(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    sha = Sha(repo.sha())
    made = [app.create_check(repository, check(sha, external_id=name)) for name in ("A/1", "B/1", "A/1", "C/1")]
    assert app.find_check(repository, sha, "deploy/net", "A/1") == made[2]
    assert app.find_check(repository, sha, "deploy/net", "D/1") is None
    assert app.find_check(repository, sha, "deploy/other", "A/1") is None


def test_an_old_one_is_found_on_a_later_page(
    app: GitHubApp, repo: Repo, repository: Repository, sandbox: SandboxGitHub
) -> None:
    sha = Sha(repo.sha())
    first = app.create_check(repository, check(sha, external_id="A/1"))
    for number in range(100):
        checks.create(sandbox, repo.record, {"name": "deploy/net", "head_sha": sha, "external_id": f"B/{number}"})
    before = sandbox.count_requests("GET")
    assert app.find_check(repository, sha, "deploy/net", "A/1") == first
    assert sandbox.count_requests("GET") - before == 2


def test_a_second_check_run_of_the_same_name_is_another_one(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    one, other = (app.create_check(repository, check(repo.sha(), external_id=name)) for name in ("RUN/1", "RUN/2"))
    assert one != other
    assert len(repo.check_runs("main", latest=False)) == 2


def test_a_completed_check_run_taken_back_is_refused_with_githubs_words(
    app: GitHubApp, repo: Repo, repository: Repository
) -> None:
    number = app.create_check(repository, check(repo.sha(), conclusion=WAITING))
    with pytest.raises(UserError, match=r"GitHub refused it \(422\): Validation Failed; CheckRun.status a completed"):
        app.update_check(repository, number, check(repo.sha()))


def test_a_commit_that_is_not_there_is_refused_with_githubs_words(app: GitHubApp, repository: Repository) -> None:
    with pytest.raises(UserError, match="No commit found for SHA: dddd"):
        app.create_check(repository, check("d" * 40))


def test_a_check_run_that_is_gone_is_said_to_be(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    assert not app.update_check(repository, 1, check(repo.sha()))
    app.retire_check(repository, 1, "over")


def test_a_missing_permission_is_named_and_asked_for_again_with_a_new_token(
    app: GitHubApp, repo: Repo, repository: Repository, sandbox: SandboxGitHub
) -> None:
    repo.refuse_check_runs = True
    with pytest.raises(UserError, match=r"creating check run deploy/net .* lacks the permission checks: write"):
        app.create_check(repository, check(repo.sha()))
    repo.refuse_check_runs = False
    app.create_check(repository, check(repo.sha()))
    assert sandbox.count_requests("POST", "access_tokens") == 2


def test_a_report_that_contradicts_itself_is_never_sent(
    app: GitHubApp, repo: Repo, repository: Repository, sandbox: SandboxGitHub
) -> None:
    wrong = replace(check(repo.sha(), conclusion=WAITING), conclusion=None)
    with pytest.raises(BrokenError, match="writing check run deploy/net: completed with conclusion None"):
        app.create_check(repository, wrong)
    assert sandbox.requests == []
