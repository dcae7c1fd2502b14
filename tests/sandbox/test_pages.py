"""The pages: what they show, what their forms do, and that neither text nor strangers get more out of them."""

import re
from collections.abc import Iterator

import httpx
import pytest

from app.sandbox import Repo, SandboxGitHub, Served
from app.sandbox.markdown import render
from tests.sandbox.conftest import Api, Inbox

BUTTON = {"label": "Confirm", "description": "Apply", "identifier": "c1"}


@pytest.fixture
def browser(served: Served, repo: Repo) -> Iterator[httpx.Client]:
    headers = {"Origin": served.url}
    with httpx.Client(base_url=served.url, headers=headers, follow_redirects=True, trust_env=False) as client:
        yield client


def submit(browser: httpx.Client, page: str, action: str, **fields: str) -> httpx.Response:
    """Send a form that stands on a page."""
    return browser.post(action, data=fields, headers={"Referer": f"{browser.base_url}{page}"})


def test_a_pull_request_from_edit_to_click_to_merge(
    github: SandboxGitHub, repo: Repo, api: Api, browser: httpx.Client, inbox: Inbox
) -> None:
    submit(
        browser,
        "/",
        "/acme/infra/edit",
        path="net/main.tf",
        branch="main",
        new_branch="topic",
        content="two\r\n",
        message="Two",
    )
    assert repo.read_file("net/main.tf", "topic") == "two\n"
    page = submit(browser, "/", "/acme/infra/pulls", head="topic", base="main", title="Widen <b>it</b>")
    assert "Widen &lt;b&gt;it&lt;/b&gt;" in page.text
    sha = repo.sha("topic")
    api(
        "POST", "/repos/acme/infra/check-runs", name="deploy/net", head_sha=sha, conclusion="action_required",
        output={"title": "+1", "summary": "| a |\n| - |\n| 1 |"}, actions=[BUTTON],
    )  # fmt: skip
    checks = browser.get("/acme/infra/pull/1?part=checks").text
    assert "<table>" in checks
    action = re.search(r'action="(/acme/infra/runs/\d+/press)"', checks)
    assert action is not None
    submit(browser, "/acme/infra/pull/1?part=checks", action[1], identifier="c1")
    said = submit(browser, "/acme/infra/pull/1", "/acme/infra/pull/1/comment", body="/trackside confirm")
    assert "/trackside confirm" in said.text
    body = "```\n- [ ] no box\n```\n#### `a` · plan 1\n- [ ] **1.** one\n#### `b`\n- [ ] **1.** one"
    comment = repo.comment_on_pull(1, body, by="alice")
    shown = browser.get("/acme/infra/pull/1").text
    assert shown.count("/pull/1/tick") == 2
    assert [f'☐ 1. one <span class="dim">({stack})</span>' in shown for stack in "ab"] == [True, True]
    tick = "/acme/infra/pull/1/tick"
    submit(browser, "/acme/infra/pull/1", tick, comment=str(comment.id), box="**1.** one", line="6")
    assert comment.body.split("\r\n")[4:] == ["- [ ] **1.** one", "#### `b`", "- [x] **1.** one"]
    github.wait_deliveries()
    click = next(one for one in github.deliveries if one.action == "requested_action")
    assert click.payload["sender"]["login"] == "alice"
    merged = submit(browser, "/acme/infra/pull/1", "/acme/infra/pull/1/merge", method="squash")
    assert "Merged by" in merged.text
    assert repo.read_file("net/main.tf") == "two\n"


def test_every_page_answers(github: SandboxGitHub, repo: Repo, api: Api, browser: httpx.Client, inbox: Inbox) -> None:
    sha = repo.push("topic", {"net/main.tf": "two\n"})
    number = repo.open_pull("topic")
    repo.tag("v1", message="one")
    made = api("POST", "/repos/acme/infra/deployments", ref="main", auto_merge=False, required_contexts=[]).json()
    api("POST", f"/repos/acme/infra/deployments/{made['id']}/statuses", state="in_progress", description="applying")
    run = api("POST", "/repos/acme/infra/check-runs", name="x", head_sha=sha).json()
    github.wait_deliveries()
    pages = [
        "/", "/acme/infra", "/acme/infra?branch=topic", "/acme/infra/tree/topic", "/acme/infra/blob/main/net/main.tf",
        "/acme/infra/edit?path=net/main.tf", "/acme/infra/edit", "/acme/infra/pulls?state=all",
        *(f"/acme/infra/pull/{number}?part={part}" for part in ("conversation", "commits", "checks", "files")),
        "/acme/infra/branches", "/acme/infra/deployments", f"/acme/infra/commit/{sha}",
        "/acme/infra/compare/main...topic", f"/acme/infra/runs/{run['id']}",
        "/-/deliveries", f"/-/deliveries/{github.deliveries[0].id}", "/-/avatar/1001", "/-/static/style.css",
    ]  # fmt: skip
    for page in pages:
        answer = browser.get(page)
        assert answer.status_code == 200, page
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "applying" in browser.get("/acme/infra/deployments").text
    assert browser.get("/acme/nothing").status_code == 404


def test_a_commit_page_says_why_there_are_no_buttons(
    repo: Repo, api: Api, browser: httpx.Client, github: SandboxGitHub
) -> None:
    sha = repo.sha()
    api("POST", "/repos/acme/infra/check-runs", name="x", head_sha=sha, conclusion="neutral", actions=[BUTTON])
    page = f"/acme/infra/commit/{sha}"
    assert "this commit is in none" in browser.get(page).text
    shown = submit(browser, page, "/-/buttons", on="yes")
    assert ">Confirm</button>" in shown.text
    assert github.buttons_on_commits


def test_the_viewer_can_be_switched(repo: Repo, browser: httpx.Client) -> None:
    submit(browser, "/acme/infra", "/-/act-as", login="rita")
    refused = submit(browser, "/acme/infra/edit", "/acme/infra/edit", path="a", branch="main", content="1")
    assert "rita has no write access to acme/infra" in refused.text
    said = submit(browser, f"/acme/infra/commit/{repo.sha()}", f"/acme/infra/commit/{repo.sha()}/comment", body="hm")
    assert said.status_code == 200
    assert [one.user.login for one in repo.commit_comments()] == ["rita"]


def test_a_private_repository_is_not_shown_to_strangers(
    github: SandboxGitHub, repo: Repo, browser: httpx.Client
) -> None:
    github.create_user("mallory")
    submit(browser, "/", "/-/act-as", login="mallory")
    assert "acme/infra" not in browser.get("/").text
    assert browser.get("/acme/infra").status_code == 404


def test_forms_from_elsewhere_are_refused(repo: Repo, browser: httpx.Client, served: Served) -> None:
    path = f"/acme/infra/commit/{repo.sha()}/comment"
    assert browser.post(path, data={"body": "x"}, headers={"Origin": "https://evil.example"}).status_code == 403
    assert httpx.post(served.url + path, data={"body": "x"}).status_code == 403
    assert browser.get("/", headers={"Host": "evil.example"}).status_code == 403
    assert repo.commit_comments() == []


def test_deliveries_are_sent_again(github: SandboxGitHub, repo: Repo, browser: httpx.Client, inbox: Inbox) -> None:
    repo.tag("v1")
    github.wait_deliveries()
    first = github.deliveries[0]
    submit(browser, "/-/deliveries", f"/-/deliveries/{first.id}/redeliver")
    github.wait_deliveries()
    assert [one.guid for one in github.deliveries] == [first.guid, first.guid]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert(1)</script>after", "after"),
        ('<img src="x" onerror="alert(1)">', "<img>"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"),
        ('<a href="javascript:alert(1)">x</a>', "<p><a>x</a></p>\n"),
        ('<p style="position:fixed">x', '<p>x</p>'),
        ("<details><summary>s</summary>\n\n*b*\n</details>",
         "<details><summary>s</summary>\n<p><em>b</em></p>\n</details>"),
        ("<iframe src='//evil'></iframe>ok", "ok"),
        ("a <sub>b</sub> <svg onload=1>c</svg>", "<p>a <sub>b</sub> c</p>\n"),
        ("&lt;b&gt; `<i>`", "<p>&lt;b&gt; <code>&lt;i&gt;</code></p>\n"),
        ("- [x] done", '<ul>\n<li><input type="checkbox" disabled checked> done</li>\n</ul>\n'),
        ("```diff\n+a <b>\n```",
         '<pre><code class="language-diff"><span class="diff-add">+a &lt;b&gt;</span></code></pre>\n'),
        ("| n |\n| -: |\n| 1 |", 'class="text-align-right"'),
        ("</div></main>x<div>", "x<div></div>"),
    ],
)  # fmt: skip
def test_markdown_keeps_what_is_harmless(text: str, shown: str) -> None:
    assert shown in render(text)
    assert "alert(1)" not in re.sub(r"\[x\]\(.*\)", "", render(text))
