"""The `config` check of a pull request that edits the stacks file or a policy."""

from tests.driver import World

STACKS = """\
version: 1
stacks:
  - {name: app, project_root: app}
  - {name: net, project_root: net}
"""
WITH_POLICY = STACKS + "policies:\n  - {name: calm, type: push, path: policies/calm.rego, attach: [app]}\n"
POLICY = 'package trackside\n\ntrack if input.push.branch == "main"\n'
TEST = """\
package trackside_test

import data.trackside

test_main_is_tracked if trackside.track with input as {"push": {"branch": "main"}}

test_topic_is_not if not trackside.track with input as {"push": {"branch": "topic"}}
"""
FILES = {".trackside/stacks.yml": STACKS, "app/main.tf": "# one\n", "net/main.tf": "# one\n"}


def test_mistakes_are_annotations_on_their_lines(world: World) -> None:
    """Stacks file and policy alike, before anything is merged; nothing comes into force."""
    repo = world.repository(FILES)
    world.settle()
    broken = WITH_POLICY.replace("project_root: net", "projct_root: net")
    head = world.push(repo, {".trackside/stacks.yml": broken}, "Broken", branch="edit")
    repo.open_pull("edit", title="Edit", author="alice")
    check = world.expect_check(repo, head, "config", "failure")
    assert check.title == "1 problem in the configuration"
    assert [(one["path"], one["start_line"]) for one in check.annotations] == [(".trackside/stacks.yml", 4)]
    assert "project_root" in str(check.annotations[0]["message"])

    second = world.push(
        repo,
        {".trackside/stacks.yml": WITH_POLICY, "policies/calm.rego": "package trackside\n\ntrack if {\n\tfoo(\n"},
        "Broken policy",
        branch="edit",
    )
    check = world.expect_check(repo, second, "config", "failure")
    assert [one["path"] for one in check.annotations] == ["policies/calm.rego"]
    assert world.sql("SELECT count(*) FROM config_versions") == [(1,)]


def test_a_new_policy_is_tested_and_tried_on_what_happened(world: World) -> None:
    """Its own tests run; recorded events are decided again: what would be otherwise is a table, nothing is run."""
    repo = world.repository(FILES)
    words = world.push(repo, {"docs/a.md": "words\n"}, "Words")
    world.settle()
    before = len(world.runs())
    files = {".trackside/stacks.yml": WITH_POLICY, "policies/calm.rego": POLICY, "policies/calm_test.rego": TEST}
    head = world.push(repo, files, "A policy", branch="edit")
    repo.open_pull("edit", title="Edit", author="alice")
    check = world.expect_check(repo, head, "config", "success")
    assert "Policy tests: 2 passed." in (check.summary or "")
    assert (check.title or "").startswith("valid: 2 stacks · 1 of ")
    assert f"| `push to main` at `{words[:7]}` | `app` | ignored | tracked |" in (check.text or "")
    assert "`net`" not in (check.text or "")
    assert len([run for run in world.runs() if run.head_sha != head]) == before

    failing = world.push(
        repo, {"policies/calm_test.rego": TEST.replace('"topic"', '"main"')}, "A wrong test", branch="edit"
    )
    check = world.expect_check(repo, failing, "config", "failure")
    assert check.title == "1 policy test failed"
    assert "`policies/calm_test.rego` `test_topic_is_not` failed" in (check.text or "")


def test_other_pull_requests_have_no_config_check(world: World) -> None:
    """No request is spent on a pull request that edits neither the stacks file nor a policy."""
    repo = world.repository(FILES)
    world.settle()
    head = world.push(repo, {"app/main.tf": "# three\n"}, "Code", branch="code")
    repo.open_pull("code", title="Code", author="alice")
    world.expect_check(repo, head, "trackside", "success")
    assert repo.check_run(head, "config") is None
