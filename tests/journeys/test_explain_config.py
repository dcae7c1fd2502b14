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

test_main_is_tracked if trackside.track with input as data.made.main

test_topic_is_not if not trackside.track with input as {"push": {"branch": "topic"}}
"""
COST = 'package trackside\n\ndeny contains "dear" if count(input.terraform.resource_changes) > 9\n'
COST_TEST = """\
package trackside_test

import data.trackside

test_little_is_cheap if count(trackside.deny) == 0 with input as {"terraform": {"resource_changes": []}}
"""
WITH_BOTH = f"{WITH_POLICY}  - {{name: cost, type: plan, path: .trackside/policies/cost.rego, attach: '*'}}\n"
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
    """Its own tests run, with the data beside them; recorded events are decided again: what would be otherwise is a
    table, nothing is run. A policy that is not asked about events is compiled and tested, and said to be one of those.
    """
    repo = world.repository(FILES)
    words = world.push(repo, {"docs/a.md": "words\n"}, "Words")
    world.settle()
    before = len(world.runs())
    files = {
        ".trackside/stacks.yml": WITH_BOTH,
        "policies/calm.rego": POLICY,
        "policies/calm_test.rego": TEST,
        "policies/made.json": '{"made": {"main": {"push": {"branch": "main"}}}}',
        ".trackside/policies/cost.rego": COST,
        ".trackside/policies/tests/cost_test.rego": COST_TEST,
    }
    head = world.push(repo, files, "A policy", branch="edit")
    repo.open_pull("edit", title="Edit", author="alice")
    check = world.expect_check(repo, head, "config", "success")
    assert "Policy tests: 3 passed." in (check.summary or "")
    assert "- push `calm` (`policies/calm.rego`, changed here): compiled; tests: 2 passed\n" in (check.summary or "")
    assert "`.trackside/policies/cost.rego`, changed here): compiled; tests: 1 passed\n" in (check.summary or "")
    assert "Only push policies are asked about them. The plan policies are not" in (check.summary or "")
    assert (check.title or "").startswith("valid: 2 stacks, 2 policies · 1 of ")
    assert f"| `push to main` at `{words[:7]}` | `app` | ignored | tracked |" in (check.text or "")
    assert "`net`" not in (check.text or "")
    assert len([run for run in world.runs() if run.head_sha != head]) == before

    failing = world.push(
        repo, {"policies/calm_test.rego": TEST.replace('"topic"', '"main"')}, "A wrong test", branch="edit"
    )
    check = world.expect_check(repo, failing, "config", "failure")
    assert check.title == "1 policy test failed"
    assert "`policies/calm_test.rego` `test_topic_is_not` failed" in (check.text or "")
    assert [(one["path"], one["start_line"], one["title"]) for one in check.annotations] == [
        ("policies/calm_test.rego", 7, "test_topic_is_not: failed")
    ]


def test_other_pull_requests_have_no_config_check(world: World) -> None:
    """No request is spent on a pull request that edits neither the stacks file nor a policy."""
    repo = world.repository(FILES)
    world.settle()
    head = world.push(repo, {"app/main.tf": "# three\n"}, "Code", branch="code")
    repo.open_pull("code", title="Code", author="alice")
    world.expect_check(repo, head, "trackside", "success")
    assert repo.check_run(head, "config") is None
