"""Pull requests in full: forks, labels, drafts, reviews, the merge queue; what the App hears of each, in what order."""

from typing import Any

import httpx
import pytest
from githubkit.webhooks import parse_obj

from app.sandbox import Repo, SandboxError, SandboxGitHub, Served
from tests.sandbox.conftest import Api, Inbox


def heard(github: SandboxGitHub) -> list[str]:
    """What the App was sent, as `event.action`, each checked against GitHub's description."""
    github.wait_deliveries()
    for one in github.deliveries:
        parse_obj(one.event, one.payload)
    return [one.event + (f".{one.action}" if one.action else "") for one in github.deliveries]


def last(github: SandboxGitHub, event: str) -> dict[str, Any]:
    github.wait_deliveries()
    return [one.payload for one in github.deliveries if one.event == event][-1]


@pytest.fixture
def number(repo: Repo) -> int:
    """Alice's open pull request, from before the App listens."""
    repo.push("topic", {"net/main.tf": "two\n"}, author="alice")
    return repo.open_pull("topic", title="Two", author="alice")


@pytest.fixture
def fork(github: SandboxGitHub, repo: Repo) -> Repo:
    repo.set_permission("mallory", "read")
    fork = github.fork_repository("acme/infra", "mallory")
    fork.push("topic", {"net/main.tf": "evil\n"}, author="mallory")
    return fork


def test_a_fork_s_pull_request_follows_its_branch(github: SandboxGitHub, repo: Repo, fork: Repo, inbox: Inbox) -> None:
    repo.push("topic", {"net/main.tf": "own\n"})
    number = repo.open_pull("mallory:topic", author="mallory")
    own = repo.open_pull("topic")
    moved = fork.push("topic", {"net/main.tf": "worse\n"}, author="mallory")
    assert heard(github) == [
        "push", "check_suite.requested", "pull_request.opened", "pull_request.opened", "pull_request.synchronize",
    ]  # fmt: skip
    told = last(github, "pull_request")
    assert (told["number"], told["after"], told["sender"]["login"]) == (number, moved, "mallory")
    head, base = told["pull_request"]["head"], told["pull_request"]["base"]
    assert (head["label"], head["repo"]["full_name"], head["repo"]["fork"]) == ("mallory:topic", "mallory/infra", True)
    assert (base["repo"]["full_name"], told["repository"]["full_name"]) == ("acme/infra", "acme/infra")
    git = repo.record.git
    assert git.find_ref(f"refs/pull/{number}/head") == moved
    merge = git.find_ref(f"refs/pull/{number}/merge")
    assert merge is not None
    assert git.commit(merge).parents == (repo.sha(), moved)
    assert repo.pull(own).head_sha == repo.sha("topic")


def test_a_fork_s_pull_request_ends_by_merge_or_loses_its_head(
    github: SandboxGitHub, repo: Repo, fork: Repo, inbox: Inbox, api: Api
) -> None:
    merged = repo.open_pull("mallory:topic", author="mallory")
    sha = repo.merge_pull(merged, by="alice")
    assert repo.record.git.commit(sha).title == f"Merge pull request #{merged} from mallory/topic"
    fork.push("more", {"a": "1"})
    gone = repo.open_pull("mallory:more", author="mallory")
    github.delete_repository("mallory/infra")
    repo.edit_pull(gone, title="Gone", by="alice")
    heard(github)
    assert last(github, "pull_request")["pull_request"]["head"]["repo"] is None
    assert api("GET", f"/repos/acme/infra/pulls/{gone}").json()["head"]["repo"] is None
    repo.close_pull(gone)
    with pytest.raises(SandboxError, match="cannot be changed"):
        repo.reopen_pull(gone)


def test_who_may_fork_and_what_is_no_head(github: SandboxGitHub, repo: Repo, fork: Repo) -> None:
    with pytest.raises(SandboxError, match="stranger has no read access"):
        github.fork_repository("acme/infra", "stranger")
    with pytest.raises(SandboxError, match="is there already"):
        github.fork_repository("acme/infra", "mallory")
    with pytest.raises(SandboxError, match="head"):
        repo.open_pull("nobody:topic")
    fork.set_branch("same", repo.sha())
    with pytest.raises(SandboxError, match="No commits between main and mallory:same"):
        repo.open_pull("mallory:same")
    assert [ref for ref in repo.record.git.refs() if "pull" in ref] == []


def test_labels_title_draft_and_back(github: SandboxGitHub, repo: Repo, number: int, inbox: Inbox) -> None:
    repo.add_labels(number, "prod", "ö/1", "prod", by="alice")
    repo.remove_label(number, "ö/1", by="alice")
    repo.edit_pull(number, title="Three", by="alice")
    repo.edit_pull(number, title="Three", by="alice")
    repo.convert_to_draft(number, by="alice")
    repo.mark_ready(number, by="alice")
    repo.close_pull(number)
    repo.reopen_pull(number)
    assert heard(github) == [
        f"pull_request.{action}"
        for action in (
            "labeled", "labeled", "unlabeled", "edited", "converted_to_draft", "ready_for_review", "closed", "reopened",
        )
    ]  # fmt: skip
    payloads = [one.payload for one in github.deliveries]
    assert [one["label"]["name"] for one in payloads[:3]] == ["prod", "ö/1", "ö/1"]
    assert [one["name"] for one in payloads[2]["pull_request"]["labels"]] == ["prod"]
    assert payloads[3]["changes"] == {"title": {"from": "Two"}}
    assert [one["pull_request"]["draft"] for one in payloads[4:6]] == [True, False]


def test_another_base_is_an_edit(github: SandboxGitHub, repo: Repo, number: int, inbox: Inbox) -> None:
    before = repo.sha()
    stable = repo.push("stable", {"s": "1"}, base=before)
    repo.edit_pull(number, base="stable", by="alice")
    told = last(github, "pull_request")
    assert told["changes"]["base"] == {"ref": {"from": "main"}, "sha": {"from": before}}
    merge = repo.pull(number).merge_commit_sha
    assert merge is not None
    assert repo.record.git.commit(merge).parents[0] == stable


def test_who_may_label_and_edit(repo: Repo, number: int) -> None:
    with pytest.raises(SandboxError, match="rita has no triage role"):
        repo.add_labels(number, "prod", by="rita")
    repo.set_permission("rita", "triage")
    repo.add_labels(number, "prod", by="rita")
    with pytest.raises(SandboxError, match="rita did not open #1"):
        repo.edit_pull(number, title="Mine", by="rita")
    with pytest.raises(SandboxError, match="#1 is no draft"):
        repo.mark_ready(number, by="alice")


def test_reviews_are_told_and_listed(github: SandboxGitHub, repo: Repo, number: int, inbox: Inbox, api: Api) -> None:
    first = repo.request_changes(number, "No.", by="rita")
    repo.edit_review(number, first, "Not so.", by="rita")
    repo.dismiss_review(number, first, by="alice")
    repo.review(number, "Hm.", by="rita")
    repo.approve(number, by="rita")
    assert heard(github) == [
        f"pull_request_review.{action}" for action in ("submitted", "edited", "dismissed", "submitted", "submitted")
    ]
    states = [one.payload["review"]["state"] for one in github.deliveries]
    assert states == ["changes_requested", "changes_requested", "dismissed", "commented", "approved"]
    listed = api("GET", f"/repos/acme/infra/pulls/{number}/reviews").json()
    assert [(one["user"]["login"], one["state"]) for one in listed] == [
        ("rita", "DISMISSED"), ("rita", "COMMENTED"), ("rita", "APPROVED"),
    ]  # fmt: skip


def test_reviews_that_github_refuses(repo: Repo, number: int) -> None:
    with pytest.raises(SandboxError, match="Can not approve your own"):
        repo.approve(number, by="alice")
    with pytest.raises(SandboxError, match="can't be blank"):
        repo.review(number, " ", by="rita")
    with pytest.raises(SandboxError, match="rita has no write access"):
        repo.dismiss_review(number, repo.approve(number, by="rita"), by="rita")


def test_required_approvals_hold_a_merge_back(repo: Repo, number: int, api: Api) -> None:
    path = f"/repos/acme/infra/pulls/{number}"
    repo.required_approvals = 1
    repo.approve(number, by="rita")
    assert api("GET", path).json()["mergeable_state"] == "blocked"
    with pytest.raises(SandboxError, match="At least 1 approving review is required"):
        repo.merge_pull(number, by="alice")
    repo.set_permission("walter", "write")
    repo.approve(number, by="walter")
    assert api("GET", path).json()["mergeable_state"] == "clean"
    repo.merge_pull(number, by="alice")


def test_a_group_of_the_merge_queue_is_checked_and_lands(
    github: SandboxGitHub, repo: Repo, number: int, inbox: Inbox
) -> None:
    base, head = repo.sha(), repo.sha("topic")
    group = repo.enqueue_pull(number, by="alice")
    assert group.head_ref == f"refs/heads/gh-readonly-queue/main/pr-{number}-{base}"
    assert repo.record.git.commit(group.head_sha).parents == (base, head)
    told = last(github, "merge_group")["merge_group"]
    assert (told["head_sha"], told["base_ref"], told["head_commit"]["id"]) == (
        group.head_sha, "refs/heads/main", group.head_sha,
    )  # fmt: skip
    assert repo.land_group(group, by="alice") == group.head_sha == repo.sha()
    assert heard(github) == [
        "pull_request.enqueued", "push", "check_suite.requested", "merge_group.checks_requested",
        "pull_request.closed", "push", "merge_group.destroyed", "push",
    ]  # fmt: skip
    assert last(github, "merge_group")["reason"] == "merged"
    assert repo.pull(number).merge_commit_sha == group.head_sha
    assert [ref for ref in repo.record.git.refs() if "queue" in ref] == []


def test_groups_build_on_each_other_and_are_taken_out_from_the_end(
    github: SandboxGitHub, repo: Repo, number: int, inbox: Inbox
) -> None:
    repo.push("other", {"other": "1"}, author="alice", base="main")
    other = repo.open_pull("other", author="alice")
    first, second = repo.enqueue_pull(number, by="alice"), repo.enqueue_pull(other, by="alice")
    assert second.base_sha == first.head_sha
    with pytest.raises(SandboxError, match="waits in the merge queue already"):
        repo.enqueue_pull(number, by="alice")
    with pytest.raises(SandboxError, match="cannot land"):
        repo.land_group(second, by="alice")
    with pytest.raises(SandboxError, match="not the last one"):
        repo.destroy_group(first, by="alice")
    repo.destroy_group(second, reason="invalidated", by="alice")
    told = last(github, "merge_group")
    assert (told["action"], told["reason"]) == ("destroyed", "invalidated")
    assert "pull_request.dequeued" in heard(github)
    repo.land_group(first, by="alice")
    assert repo.pull(other).state == "open"


SIGNATURE = """
query($owner: String!, $name: String!, $oid: GitObjectID!) {
  repository(owner: $owner, name: $name) {
    object(oid: $oid) { __typename ... on Commit { signature { isValid wasSignedByGitHub signer { login } } } }
  }
}
"""


def signature(api: Api, sha: str) -> Any:
    """What GraphQL says of an object."""
    variables = {"owner": "acme", "name": "infra", "oid": sha}
    return api("POST", "/graphql", query=SIGNATURE, variables=variables).json()["data"]["repository"]["object"]


def test_signatures_of_people_and_of_github(repo: Repo, number: int, api: Api) -> None:
    plain = repo.push("other", {"b": "1"}, author="alice")
    signed = repo.push("other", {"c": "1"}, author="alice", sign=True)
    merged = repo.merge_pull(number, by="alice", method="squash")
    assert signature(api, plain) == {"__typename": "Commit", "signature": None}
    valid: dict[str, Any] = {"isValid": True, "wasSignedByGitHub": False, "signer": {"login": "alice"}}
    assert signature(api, signed)["signature"] == valid
    assert signature(api, merged)["signature"] == {
        "isValid": True, "wasSignedByGitHub": True, "signer": {"login": "web-flow"},
    }  # fmt: skip
    assert signature(api, "0" * 40) is None
    assert api("GET", f"/repos/acme/infra/git/commits/{signed}").json()["verification"]["verified"] is True
    assert api("GET", f"/repos/acme/infra/git/commits/{plain}").json()["verification"]["reason"] == "unsigned"


def test_signed_tags_are_told_by_rest_alone(repo: Repo, api: Api) -> None:
    repo.tag("v1", by="alice", message="one", sign=True)
    repo.tag("v2", by="alice", message="two")
    for name, verified in (("v1", True), ("v2", False)):
        sha = repo.record.git.find_ref(f"refs/tags/{name}")
        assert sha is not None
        told = api("GET", f"/repos/acme/infra/git/tags/{sha}").json()
        assert (told["tag"], told["object"]["sha"], told["verification"]["verified"]) == (name, repo.sha(), verified)
        assert signature(api, sha) == {"__typename": "Tag"}
    assert api("GET", f"/repos/acme/infra/git/tags/{repo.sha()}").status_code == 404
    with pytest.raises(SandboxError, match="only a tag with a message"):
        repo.tag("v3", by="alice", sign=True)


@pytest.mark.parametrize(
    "query",
    [
        "{ viewer { login } }",
        'mutation { addStar(input: {starrableId: "x"}) { clientMutationId } }',
        '{ repository(owner: "acme", name: "infra") { stargazerCount } }',
        '{ repository(owner: "acme", name: "infra") { pullRequest(number: 1) { title } } }',
    ],
)
def test_a_query_that_the_sandbox_does_not_know_is_remembered(
    github: SandboxGitHub, repo: Repo, number: int, api: Api, query: str
) -> None:
    assert api("POST", "/graphql", query=query).status_code == 501
    assert [one.path for one in github.unknown_requests] == ["/graphql"]


def test_graphql_hides_and_refuses_as_rest_does(github: SandboxGitHub, repo: Repo, served: Served, api: Api) -> None:
    github.create_repository("other", "secret", installed=False)
    query = '{ repository(owner: "other", name: "secret") { object(oid: "x") { __typename } } }'
    hidden = api("POST", "/graphql", query=query).json()
    assert (hidden["data"], hidden["errors"][0]["type"]) == ({"repository": None}, "NOT_FOUND")
    narrow = Api(served, github.installation_token("acme", permissions={"checks": "write"}))
    variables = {"owner": "acme", "name": "infra", "oid": repo.sha()}
    refused = narrow("POST", "/graphql", query=SIGNATURE, variables=variables).json()
    assert (refused["data"]["repository"]["object"], refused["errors"][0]["type"]) == (None, "FORBIDDEN")
    assert httpx.post(f"{served.api_url}/graphql", json={}, headers={"User-Agent": "t"}).status_code == 401


def test_the_page_of_a_pull_request_labels_reviews_and_drafts(repo: Repo, number: int, served: Served) -> None:
    page = f"/acme/infra/pull/{number}"
    headers = {"Origin": served.url, "Referer": served.url + page}
    with httpx.Client(base_url=served.url, headers=headers, follow_redirects=True, trust_env=False) as browser:

        def send(verb: str, **fields: str) -> str:
            return browser.post(f"{page}/{verb}", data=fields).text

        browser.post("/-/act-as", data={"login": "rita"})
        assert "rita" in send("review", state="request changes", body="<b>no</b>")
        assert "&lt;b&gt;no&lt;/b&gt;" in send("review", state="approve")
        browser.post("/-/act-as", data={"login": "alice"})
        assert "<b>x</b>" not in send("label", name="<b>x</b>")
        send("label", name="prod")
        send("unlabel", name="<b>x</b>")
        send("title", title="Wider")
        send("dismiss", review=str(repo.pull(number).reviews[0].id))
        assert "still a draft" in send("draft")
        assert "Wider" in browser.get("/acme/infra/pulls").text
        send("ready")
        assert "no such review" in send("dismiss", review="1")
    pull = repo.pull(number)
    assert (pull.labels, pull.title, pull.draft) == (["prod"], "Wider", False)
    assert [one.state for one in pull.reviews] == ["DISMISSED", "APPROVED"]
