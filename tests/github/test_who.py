"""Who somebody is to a repository: roles, teams, authors, and what an environment asks for; each closed by default."""

from dataclasses import replace

import pytest

from app.core.environment import Environment
from app.core.errors import RetryableError, UserError
from app.core.event import Repository
from app.core.names import Sha
from app.core.permit import Access, Stretch
from app.core.stack import Permission
from app.github.client import GitHubApp
from app.sandbox import Repo, SandboxGitHub
from app.sandbox.bare import NewCommit, Signature


def of(head: str, *, since: str | None = None) -> list[Stretch]:
    """The commits that a push brought."""
    return [Stretch(since=Sha(since) if since is not None else None, head=Sha(head))]


def test_a_custom_role_counts_by_what_it_is_based_on_and_keeps_its_name(
    app: GitHubApp, repo: Repo, repository: Repository, sandbox: SandboxGitHub
) -> None:
    repo.set_permission("alice", "write", custom="Deploy Master")
    found = app.ask_access(repository, "alice")
    assert (found.permission, found.role) == (Permission.WRITE, "Deploy Master")
    repo.set_permission("alice", "maintain")
    found = app.ask_access(repository, "alice")
    assert (found.permission, found.role) == (Permission.WRITE, "maintain")
    assert found.account_id == sandbox.user("alice").id, "whose login that is now"
    assert app.ask_access(repository, "nobody-at-all") == Access(permission=Permission.NONE)
    assert app.ask_access(repository, "renovate[bot]").is_bot


def test_active_members_alone_are_in_a_team(app: GitHubApp, sandbox: SandboxGitHub, repository: Repository) -> None:
    sandbox.team("acme/platform", ["alice"], pending=["rita"])
    assert app.is_team_member(repository, "platform", "alice")
    assert not app.is_team_member(repository, "platform", "rita")
    assert not app.is_team_member(repository, "platform", "dora")
    assert not app.is_team_member(repository, "nowhere", "alice")
    before = len(sandbox.requests)
    assert not app.is_team_member(repository, "../../orgs", "alice")
    assert not app.is_team_member(repository, "platform", "../alice")
    assert len(sandbox.requests) == before


def test_the_teams_of_somebody_are_one_request(app: GitHubApp, sandbox: SandboxGitHub, repository: Repository) -> None:
    assert app.list_teams(repository, "alice") == ()
    sandbox.team("acme/web", ["alice"])
    sandbox.team("acme/platform", ["alice"], pending=["rita"])
    before = len(sandbox.requests)
    assert app.list_teams(repository, "alice") == ("platform", "web")
    assert app.list_teams(repository, "rita") == ()
    assert len(sandbox.requests) - before == 2


def test_without_the_permission_nobody_is_taken_for_a_member(
    app: GitHubApp, sandbox: SandboxGitHub, repository: Repository
) -> None:
    sandbox.team("acme/platform", ["alice"])
    sandbox.installation("acme").permissions.pop("members")
    for ask in (
        lambda: app.is_team_member(repository, "platform", "alice"),
        lambda: app.list_teams(repository, "alice"),
    ):
        with pytest.raises(UserError):
            ask()


def test_authors_are_those_of_the_commit_and_of_its_pull_requests(
    app: GitHubApp, repo: Repo, repository: Repository
) -> None:
    repo.push("work", {"net/main.tf": "two\n"}, "Work", author="alice")
    number = repo.open_pull("work", title="Work", author="rita")
    repo.set_permission("dora", "write")
    landed = repo.merge_pull(number, by="dora", method="squash")
    assert {"rita"} <= set(app.list_authors(repository, of(landed)))
    assert "alice" in app.list_authors(repository, of(repo.sha("work")))
    with pytest.raises(UserError):
        app.list_authors(repository, of("e" * 40))


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_whoever_made_any_commit_of_the_pull_request_is_an_author(
    app: GitHubApp, sandbox: SandboxGitHub, repo: Repo, repository: Repository, method: str
) -> None:
    """However it is merged, and though the last commit is another's."""
    for login in ("mallory", "bob", "carol"):
        sandbox.create_user(login)
        repo.set_permission(login, "write")
    repo.push("work", {"net/main.tf": "two\n"}, "Mine", author="mallory")
    repo.push("work", {"net/more.tf": "two\n"}, "Yours", author="bob")
    landed = repo.merge_pull(repo.open_pull("work", author="rita"), by="carol", method=method)
    assert {"mallory", "bob", "rita"} <= set(app.list_authors(repository, of(landed)))
    direct = repo.push(None, {"net/main.tf": "three\n"}, "Direct", author="alice")
    assert app.list_authors(repository, of(direct, since=landed)) == ("alice",)


def test_authors_of_many_commits_are_known_up_to_what_github_lists(
    app: GitHubApp, sandbox: SandboxGitHub, repo: Repo, repository: Repository
) -> None:
    """Of 249 those on the third page are found too; of 250 there may be more, so that nobody is told from an author."""
    sandbox.create_user("mallory")
    commits = [repo.change({"net/main.tf": "first\n"}, author="mallory")]
    commits += [repo.change({"net/main.tf": f"{number}\n"}, author="alice") for number in range(220)]
    commits += [repo.change({"net/main.tf": "late\n"}, author="rita")]
    commits += [repo.change({"net/main.tf": f"after {number}\n"}, author="alice") for number in range(27)]
    head = repo.push_commits("work", commits, author="alice")[-1]
    number = repo.open_pull("work", author="alice")
    assert app.list_authors(repository, of(head)) == ("alice", "mallory", "rita")
    last = repo.push("work", {"net/main.tf": "one too many\n"}, author="alice")
    with pytest.raises(UserError, match=f"the commits of acme/infra#{number}: there are 250 or more"):
        app.list_authors(repository, of(last))


def test_a_commit_in_as_many_pull_requests_as_github_lists_may_be_in_more(
    app: GitHubApp, repo: Repo, repository: Repository
) -> None:
    """Whoever opens a hundred more must not push the one that they wrote out of sight."""
    sha = Sha(repo.push("work", {"net/main.tf": "two\n"}, author="alice"))
    pulls = repo.record.pulls
    first = pulls[repo.open_pull("work", author="alice")]
    pulls |= {number: replace(first, number=number) for number in range(first.number, first.number + 99)}
    assert app.list_authors(repository, of(sha)) == ("alice",)
    pulls[first.number + 99] = replace(first, number=first.number + 99)
    with pytest.raises(UserError, match=f"the pull requests of {sha[:7]} of acme/infra: there are 100 or more"):
        app.list_authors(repository, of(sha))


def test_a_pull_request_that_cannot_be_read_makes_nobody_free_of_authorship(
    app: GitHubApp, sandbox: SandboxGitHub, repo: Repo, repository: Repository
) -> None:
    repo.push("work", {"net/main.tf": "two\n"}, author="alice")
    number = repo.open_pull("work", author="alice")
    sandbox.trouble.fail_next("GET", f"pulls/{number}/commits", 404)
    with pytest.raises(UserError, match=f"listing the commits of acme/infra#{number}"):
        app.list_authors(repository, of(repo.sha("work")))


def test_everybody_who_made_a_commit_of_a_direct_push_is_an_author(
    app: GitHubApp, sandbox: SandboxGitHub, repo: Repo, repository: Repository
) -> None:
    """Not the last one's alone; of a beginning that nobody knows, everybody behind it."""
    sandbox.create_user("mallory")
    before = repo.sha("main")
    commits = [repo.change({"net/main.tf": f"{login}\n"}, author=login) for login in ("mallory", "rita", "alice")]
    head = repo.push_commits(None, commits, author="alice")[-1]
    assert app.list_authors(repository, of(head, since=before)) == ("alice", "mallory", "rita")
    assert app.list_authors(repository, of(head, since=head)) == ("alice",)
    assert {"alice", "mallory", "rita"} < set(app.list_authors(repository, of(head)))
    with pytest.raises(UserError, match=f"comparing eeeeeee with {head[:7]} of acme/infra"):
        app.list_authors(repository, of(head, since="e" * 40))


def test_everybody_behind_each_pull_request_that_landed_in_one_push_is_an_author(
    app: GitHubApp, sandbox: SandboxGitHub, repo: Repo, repository: Repository
) -> None:
    """As a merge queue pushes them; and each commit of one that is known already is asked about no more."""
    for login in ("mallory", "bob", "dora"):
        sandbox.create_user(login)
        repo.set_permission(login, "write")
    before = repo.sha("main")
    repo.push("one", {"net/one.tf": "1\n"}, author="mallory")
    repo.push("two", {"net/two.tf": "1\n"}, author="bob")
    repo.push("two", {"net/two.tf": "2\n"}, author="alice")
    first, second = repo.open_pull("one", author="rita"), repo.open_pull("two", author="bob")
    repo.merge_pull(first, by="dora", method="squash")
    landed = repo.merge_pull(second, by="dora", method="merge")
    began = len(sandbox.requests)
    found = app.list_authors(repository, of(landed, since=before))
    assert found == ("alice", "bob", "dora", "mallory", "rita")
    asked = [one.path.rpartition("/")[2] for one in sandbox.requests[began:]]
    assert sorted(one for one in asked if one in ("commits", "pulls")) == ["commits", "commits", "pulls", "pulls"]


def test_a_commit_of_nobody_with_an_account_makes_nobody_free_of_authorship(
    app: GitHubApp, sandbox: SandboxGitHub, repo: Repo, repository: Repository
) -> None:
    """Whoever pushes can write any name into a commit."""
    before = repo.sha("main")
    nobody = Signature("Bob", "bob@nowhere.example", sandbox.clock.now())
    strange = repo.push_commits(None, [NewCommit("Strange", nobody, {"net/main.tf": "x\n"})], author="alice")[-1]
    head = repo.push(None, {"net/main.tf": "y\n"}, author="alice")
    with pytest.raises(UserError, match=f"who made commit {strange[:7]} of acme/infra: its author has no account"):
        app.list_authors(repository, of(head, since=before))
    alice = Signature("alice", sandbox.user("alice").email, sandbox.clock.now())
    web = NewCommit("By GitHub", alice, {"net/main.tf": "w\n"}, committer=nobody)
    unsigned = repo.push_commits(None, [web], author="alice")[-1]
    with pytest.raises(UserError, match="its committer has no account"):
        app.list_authors(repository, of(unsigned, since=head))
    by_github = repo.push_commits(None, [replace(web, files={"net/main.tf": "v\n"})], author="alice", sign=True)[-1]
    assert app.list_authors(repository, of(by_github, since=unsigned)) == ("alice",)
    repo.push("work", {"net/main.tf": "z\n"}, author="alice")
    repo.push_commits("work", [NewCommit("Strange", nobody, {"net/main.tf": "o\n"})], author="alice")
    number = repo.open_pull("work", author="alice")
    landed = repo.merge_pull(number, by="alice", method="squash")
    with pytest.raises(UserError, match="its author has no account on GitHub"):
        app.list_authors(repository, of(landed, since=by_github))


def test_more_commits_than_are_looked_at_make_nobody_free_of_authorship(
    app: GitHubApp, repo: Repo, repository: Repository
) -> None:
    before = repo.sha("main")
    commits = [repo.change({"net/main.tf": f"{number}\n"}, author="alice") for number in range(250)]
    made = repo.push_commits(None, commits, author="alice")
    with pytest.raises(UserError, match="there are 250 or more, so not everybody who made them is known"):
        app.list_authors(repository, of(made[-1], since=before))
    with pytest.raises(UserError, match=r"listing the pull requests of .*: there are 100 or more"):
        app.list_authors(repository, of(made[100], since=before))


def test_the_rules_of_an_environment_are_read_and_what_is_not_known_is_an_obstacle(
    app: GitHubApp, sandbox: SandboxGitHub, repo: Repo, repository: Repository
) -> None:
    assert app.find_environment(repository, "production") is None
    sandbox.team("acme/platform", ["alice"])
    repo.environment("production")
    assert app.find_environment(repository, "production") == Environment(name="production")
    repo.environment(
        "production",
        reviewers=["rita", "acme/platform"],
        prevent_self_review=True,
        can_admins_bypass=False,
        wait_minutes=30,
        branches=["main", "release/*"],
        tags=["v*"],
        custom_rules=["gatekeeper"],
        unknown_rules=["quantum"],
    )
    assert app.find_environment(repository, "production") == Environment(
        name="production",
        users=("rita",),
        teams=("platform",),
        is_self_review_prevented=True,
        may_admins_bypass=False,
        branches=("main", "release/*"),
        tags=("v*",),
        obstacles=(
            "the rule of the App gatekeeper",
            "a wait timer of 30 minutes",
            "a rule of the type quantum, which is not known",
        ),
    )


def test_an_environment_for_protected_branches_says_so(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    repo.environment("staging/eu", protected_branches=True)
    found = app.find_environment(repository, "staging/eu")
    assert found is not None
    assert found.is_for_protected_branches
    assert not app.is_branch_protected(repository, "main")
    repo.protect("main")
    assert app.is_branch_protected(repository, "main")
    assert not app.is_branch_protected(repository, "nowhere")
    assert not app.is_branch_protected(repository, "refs/tags/v1")


def test_no_answer_is_no_rule_but_an_error(app: GitHubApp, sandbox: SandboxGitHub, repository: Repository) -> None:
    sandbox.trouble.fail_next("GET", "environments", 500, times=3)
    with pytest.raises(RetryableError, match="reading environment production of acme/infra"):
        app.find_environment(repository, "production")
