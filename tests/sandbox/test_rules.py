"""What GitHub refuses: tokens, permissions, check runs, deployments, comments, limits."""

import time
from functools import partial
from typing import Any

import httpx
import jwt
import pytest

from app.sandbox import Repo, SandboxGitHub, Served
from app.sandbox.errors import SandboxError
from app.sandbox.trouble import CUT
from tests.sandbox.conftest import Api

RUNS = "/repos/acme/infra/check-runs"
BUTTON = {"label": "Confirm", "description": "Apply", "identifier": "c1"}
NOTE = {"path": "a", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"}


def app_jwt(github: SandboxGitHub, **claims: Any) -> str:
    now = int(time.time())
    fields = {"iss": github.app.client_id, "iat": now - 60, "exp": now + 540} | claims
    return jwt.encode(fields, github.private_key_pem, "RS256")


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({}, 200),
        ({"iss": "4711"}, 200),
        ({"iss": "1"}, 401),
        ({"exp": 1}, 401),
        ({"iat": 9_999_999_999}, 401),
        ({"exp": 9_999_999_999}, 401),
    ],
)
def test_the_apps_jwt(github: SandboxGitHub, served: Served, repo: Repo, claims: dict[str, Any], status: int) -> None:
    assert Api(served, app_jwt(github, **claims))("GET", "/app").status_code == status


def test_a_jwt_of_another_key(github: SandboxGitHub, served: Served, repo: Repo) -> None:
    assert Api(served, app_jwt(github)[:-8] + "AAAAAAAA")("GET", "/app").status_code == 401
    assert Api(served, app_jwt(github))("GET", "/repos/acme/infra").status_code == 403


def test_tokens_are_narrowed_and_expire(github: SandboxGitHub, served: Served, repo: Repo) -> None:
    other = github.create_repository("acme", "other")
    app = Api(served, app_jwt(github))
    path = f"/app/installations/{github.installation('acme').id}/access_tokens"
    narrow = app("POST", path, repositories=["infra"], permissions={"contents": "read"})
    assert narrow.status_code == 201
    token = Api(served, narrow.json()["token"])
    assert token("GET", "/repos/acme/infra").status_code == 200
    assert token("GET", f"/repositories/{other.id}").status_code == 404
    refused = token("POST", RUNS, name="x", head_sha=repo.sha())
    assert (refused.status_code, refused.json()["message"]) == (403, "Resource not accessible by integration")
    assert app("POST", path, permissions={"contents": "write"}).status_code == 422
    assert app("POST", path, repositories=["nothing"]).status_code == 422
    assert app("POST", "/app/installations/1/access_tokens").status_code == 404
    github.clock.advance(3601)
    assert token("GET", "/repos/acme/infra").json()["message"] == "Bad credentials"


def test_a_revoked_token_is_dead(api: Api) -> None:
    assert api("DELETE", "/installation/token").status_code == 204
    assert api("GET", "/repos/acme/infra").status_code == 401


def test_repositories_that_are_not_ours(github: SandboxGitHub, api: Api) -> None:
    github.create_repository("stranger", "secret", installed=False, files={"a": "1"})
    github.create_repository("stranger", "open", installed=False, private=False, files={"a": "1"})
    assert api("GET", "/repos/stranger/secret").status_code == 404
    assert api("GET", "/repos/stranger/open").status_code == 200
    sha = github.repo("stranger/open").sha()
    assert api("POST", "/repos/stranger/open/check-runs", name="x", head_sha=sha).status_code == 403


def test_people_have_roles(github: SandboxGitHub, served: Served, repo: Repo) -> None:
    rita = Api(served, github.user("rita").token)
    assert rita("GET", "/repos/acme/infra/pulls").status_code == 200
    assert rita("POST", RUNS, name="x", head_sha=repo.sha()).status_code == 403
    assert rita("POST", "/repos/acme/infra/deployments", ref="main").status_code == 403
    repo.set_permission("mona", "maintain")
    answer = rita("GET", "/repos/acme/infra/collaborators/mona/permission").json()
    assert (answer["permission"], answer["role_name"]) == ("write", "maintain")
    github.create_user("nobody")
    assert Api(served, github.user("nobody").token)("GET", "/repos/acme/infra").status_code == 404


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"head_sha": "0" * 40},
        {"head_sha": "main"},
        {"status": "completed"},
        {"status": "waiting for godot"},
        {"conclusion": "great"},
        {"conclusion": "success", "status": "queued"},
        {"actions": [BUTTON] * 4},
        {"actions": [BUTTON | {"label": "x" * 21}]},
        {"actions": [BUTTON | {"description": "x" * 41}]},
        {"actions": [BUTTON | {"identifier": "x" * 21}]},
        {"actions": [{"label": "Confirm"}]},
        {"output": {"summary": "no title"}},
        {"output": {"title": "no summary"}},
        {"output": {"title": "t", "summary": "x" * 65_536}},
        {"output": {"title": "t", "summary": "s", "text": "x" * 65_536}},
        {"output": {"title": "t", "summary": "s", "annotations": [NOTE] * 51}},
        {"output": {"title": "t", "summary": "s", "annotations": [NOTE | {"annotation_level": "loud"}]}},
        {"details_url": "javascript:alert(1)"},
        {"started_at": "yesterday"},
    ],
    ids=str,
)
def test_check_runs_that_github_refuses(api: Api, repo: Repo, fields: dict[str, Any]) -> None:
    answer = api("POST", RUNS, **({"name": "x", "head_sha": repo.sha()} | fields))
    assert answer.status_code == 422, answer.text
    assert repo.check_runs() == []


def test_a_completed_check_run_stays_completed(api: Api, repo: Repo) -> None:
    run = api("POST", RUNS, name="x", head_sha=repo.sha(), conclusion="success").json()
    assert run["status"] == "completed"
    assert api("PATCH", f"{RUNS}/{run['id']}", status="in_progress").status_code == 422
    assert api("PATCH", f"{RUNS}/{run['id']}", actions=[]).status_code == 200
    assert api("PATCH", f"{RUNS}/{run['id']}", output={"title": "t", "summary": "s"}).json()["output"]["title"] == "t"


def test_completing_needs_a_conclusion(api: Api, repo: Repo) -> None:
    run = api("POST", RUNS, name="x", head_sha=repo.sha()).json()
    assert api("PATCH", f"{RUNS}/{run['id']}", status="completed").status_code == 422
    assert api("PATCH", f"{RUNS}/{run['id']}", status="completed", conclusion="failure").status_code == 200


def test_old_check_runs_turn_stale(api: Api, repo: Repo, github: SandboxGitHub) -> None:
    api("POST", RUNS, name="x", head_sha=repo.sha())
    github.clock.advance(14 * 86400 + 1)
    assert repo.check_runs()[0].conclusion == "stale"


def test_deployments_default_to_every_check(api: Api, repo: Repo) -> None:
    sha = repo.sha()
    api("POST", RUNS, name="deploy/net", head_sha=sha, conclusion="action_required")
    path = "/repos/acme/infra/deployments"
    refused = api("POST", path, ref=sha)
    assert (refused.status_code, refused.json()["message"]) == (
        409,
        f"Conflict: Commit status checks failed for {sha}.",
    )
    assert api("POST", path, ref=sha, auto_merge=False, required_contexts=[]).status_code == 201
    assert api("POST", path, ref="nowhere").status_code == 422


def test_a_deployment_merges_a_branch_that_is_behind(api: Api, repo: Repo) -> None:
    repo.push("topic", {"a": "1"})
    repo.push(files={"b": "1"})
    merged = api("POST", "/repos/acme/infra/deployments", ref="topic")
    assert merged.status_code == 202
    assert repo.read_file("b", "topic") == "1"


def test_success_makes_the_one_before_inactive(api: Api, repo: Repo) -> None:
    path, made = "/repos/acme/infra/deployments", []
    for environment in ("staging", "production"):
        for _ in range(2):
            one = api("POST", path, ref="main", environment=environment, auto_merge=False, required_contexts=[]).json()
            assert api("POST", f"{path}/{one['id']}/statuses", state="success").status_code == 201
            made.append(one["id"])
    states = {one.id: one.state for one in repo.deployments()}
    assert [states[number] for number in made] == ["inactive", "success", "success", "success"]
    assert api("POST", f"{path}/{made[0]}/statuses", state="splendid").status_code == 422
    assert api("POST", f"{path}/{made[0]}/statuses", state="success", description="x" * 141).status_code == 422


def test_comments_have_a_length(api: Api, repo: Repo) -> None:
    repo.push("topic", {"a": "1"})
    path = f"/repos/acme/infra/issues/{repo.open_pull('topic')}/comments"
    assert api("POST", path, body="x" * 65_536).status_code == 201
    assert api("POST", path, body="x" * 65_537).status_code == 422
    assert api("POST", path, body=" ").status_code == 422
    assert api("POST", "/repos/acme/infra/issues/99/comments", body="x").status_code == 404


def test_a_comment_is_edited_by_its_author_and_by_writers_alone(repo: Repo) -> None:
    repo.push("topic", {"a": "1"})
    number = repo.open_pull("topic")
    comment = repo.comment_on_pull(number, "- [ ] one\n- [x] two", by="alice")
    deeds = (
        partial(repo.edit_comment, comment, "mine", by="rita"),
        partial(repo.tick, comment, "one", by="rita"),
        partial(repo.delete_comment, comment, by="rita"),
    )
    for deed in deeds:
        with pytest.raises(SandboxError, match="rita did not write that comment"):
            deed()
    repo.tick(comment, "one", by="alice")
    repo.tick(comment, "two", by="alice")
    assert comment.body == "- [x] one\r\n- [ ] two"
    with pytest.raises(SandboxError, match="2 boxes hold 'o'"):
        repo.tick(comment, "o", by="alice")
    repo.delete_comment(comment, by="alice")
    assert repo.comments(number) == []


def test_reacting_to_commit_comments_takes_write_access(api: Api, repo: Repo) -> None:
    comment = repo.comment_on_commit(repo.sha(), "hi", by="rita")
    assert api("POST", f"/repos/acme/infra/comments/{comment.id}/reactions", content="eyes").status_code == 403


def test_limits(api: Api, github: SandboxGitHub) -> None:
    first = api("GET", "/repos/acme/infra")
    assert first.headers["x-ratelimit-limit"] == "5000"
    assert first.headers["date"]
    github.rates.set_remaining(1)
    assert api("GET", "/repos/acme/infra").headers["x-ratelimit-remaining"] == "0"
    assert api("GET", "/repos/acme/infra").status_code == 403
    assert api("GET", "/rate_limit").status_code == 200
    github.clock.advance(3601)
    github.trouble.hit_secondary_limit(retry_after_s=7)


def test_the_secondary_limit(api: Api, github: SandboxGitHub, repo: Repo) -> None:
    github.trouble.hit_secondary_limit(retry_after_s=7)
    refused = api("POST", RUNS, name="x", head_sha=repo.sha())
    assert (refused.status_code, refused.headers["retry-after"]) == (403, "7")
    assert api("POST", RUNS, name="x", head_sha=repo.sha()).status_code == 201


def test_writes_are_limited_by_the_minute_unless_that_is_switched_off(
    api: Api, github: SandboxGitHub, repo: Repo
) -> None:
    github.secondary.writes_a_minute, github.secondary.points_a_minute = 3, 17
    made = [api("POST", RUNS, name="x", head_sha=repo.sha()).status_code for _ in range(3)]
    refused = api("POST", RUNS, name="x", head_sha=repo.sha())
    assert (made, refused.status_code) == ([201, 201, 201], 403)
    assert 0 < int(refused.headers["retry-after"]) <= 61
    assert [api("GET", "/repos/acme/infra").status_code for _ in range(3)] == [200, 200, 403]
    github.clock.advance(61)
    assert api("POST", RUNS, name="x", head_sha=repo.sha()).status_code == 201
    github.secondary.writes_an_hour = 4
    assert int(api("POST", RUNS, name="x", head_sha=repo.sha()).headers["retry-after"]) > 3000
    github.secondary.is_on = False
    assert api("POST", RUNS, name="x", head_sha=repo.sha()).status_code == 201
    assert github.secondary.refused == 3
    assert github.secondary.most_writes(f"installation-{github.installation('acme').id}") == 3


def test_an_answer_that_never_comes_and_a_github_that_is_away(api: Api, github: SandboxGitHub, repo: Repo) -> None:
    github.trouble.fail_next("POST", "check-runs", CUT, after_work=True)
    with pytest.raises(httpx.RemoteProtocolError):
        api("POST", RUNS, name="x", head_sha=repo.sha())
    assert len(repo.check_runs()) == 1
    github.trouble.go_down(60)
    assert api("GET", "/repos/acme/infra").status_code == 503
    github.clock.advance(61)
    assert api("GET", "/repos/acme/infra").status_code == 200


def test_trouble_before_and_after_the_work(api: Api, github: SandboxGitHub, repo: Repo) -> None:
    github.trouble.fail_next("POST", "check-runs", 502)
    assert api("POST", RUNS, name="x", head_sha=repo.sha()).status_code == 502
    assert repo.check_runs() == []
    github.trouble.fail_next("POST", "check-runs", 502, after_work=True)
    assert api("POST", RUNS, name="x", head_sha=repo.sha()).status_code == 502
    assert len(repo.check_runs()) == 1
    repo.refuse_check_runs = True
    assert api("POST", RUNS, name="x", head_sha=repo.sha()).status_code == 403
    assert github.count_requests("POST", "check-runs") == 3


def test_an_unknown_route_is_remembered(api: Api, github: SandboxGitHub) -> None:
    assert api("GET", "/repos/acme/infra/traffic/views").status_code == 501
    assert [one.path for one in github.unknown_requests] == ["/repos/acme/infra/traffic/views"]


def test_broken_requests(api: Api, served: Served) -> None:
    headers = {"Authorization": f"Bearer {api.token}", "User-Agent": "test"}
    url = f"{served.api_url}{RUNS}"
    assert httpx.post(url, content=b"{", headers=headers).status_code == 400
    assert httpx.get(url + "/1", headers=headers | {"X-GitHub-Api-Version": "2021-01-01"}).status_code == 400
    assert httpx.get(url + "/1", headers={"User-Agent": "test"}).status_code == 404


def test_pages_of_a_list(api: Api, repo: Repo) -> None:
    for number in range(3):
        api("POST", RUNS, name=str(number), head_sha=repo.sha())
    answer = api("GET", f"/repos/acme/infra/commits/{repo.sha()}/check-runs?per_page=2")
    assert 'rel="next"' in answer.headers["link"]
    assert answer.json()["total_count"] == 3
