"""Pull requests and merge groups: proposed runs of what would be merged, one for each head."""

from pathlib import Path

from app.core.run import RunState
from tests.driver import World, open_world, wait_until

STACKS = """
version: 1
stacks:
  - {name: app, project_root: app}
  - {name: net, project_root: net}
"""
POLICY = "policies:\n  - {name: pulls, type: push, path: pulls.rego, attach: [app]}\n"
RESOURCE = 'resource "terraform_data" "one" {}\n'
EMPTY = "# nothing yet\n"
SLOW = """
locals { many = sum(flatten([for a in range(700) : [for b in range(700) : a * b]])) }
resource "terraform_data" "web" { input = local.many }
"""
"""Planning this takes seconds of thought."""
FILES = {".trackside/stacks.yml": STACKS, "app/main.tf": EMPTY, "net/main.tf": EMPTY}


def decided(world: World, event: str) -> list[tuple[object, ...]]:
    """Stack, action, verdict and pull request of the decisions about an event, oldest first."""
    world.settle()
    found = world.sql(
        "SELECT event, stack_name, action, verdict, pull_number FROM decisions ORDER BY created_at, stack_name"
    )
    return [row[1:] for row in found if row[0] == event]


def test_a_pull_request_makes_one_proposed_run_for_each_head(world: World) -> None:
    """The push and the pull request of one head are one run, which knows its pull request; the check shows the plan
    and asks for nothing."""
    repo = world.repository(FILES)
    world.settle()
    head = world.push(repo, {"app/main.tf": RESOURCE}, "Work", branch="work")
    number = repo.open_pull("work", title="Work", author="alice")
    check = world.expect_check(repo, head, "plan/app", "success")
    assert repo.buttons(check) == ["Plan again"]
    assert "+1" in (check.title or "")
    (run,) = [run for run in world.runs("app") if run.type.value == "proposed"]
    assert (run.state, run.head_sha, run.pull_number) == (RunState.FINISHED, head, number)
    assert ("app", "opened", "propose", number) in decided(world, "pull_request")
    assert ("net", "opened", "ignore", number) in decided(world, "pull_request")
    assert world.sql("SELECT count(*) FROM reports WHERE kind = 'deployment'") == [(0,)]

    second = world.push(repo, {"docs/a.md": "a\n"}, "Words", branch="work")
    world.expect_check(repo, second, "plan/app", "success")
    newest = world.runs("app")[-1]
    assert newest.head_sha == second, "the pull request as a whole still changes the stack"
    assert newest.pull_number == number
    merge = repo.sha(f"refs/pull/{number}/merge")
    assert newest.source_sha in (second, merge)
    assert second[:7] in newest.note

    landed = repo.merge_pull(number, by="alice", method="squash")
    world.expect_check(repo, landed, "deploy/app", "action_required")
    assert [run.head_sha for run in world.runs("app") if run.type.value == "tracked"][-1] == landed
    assert len([run for run in world.runs("app") if run.head_sha == landed]) == 1, "the merge is told twice, run once"


def test_a_newer_push_stops_what_is_proposed_of_the_older_head(world: World) -> None:
    """No worker plans for nobody: a run that waits is withdrawn, and says why."""
    stacks = STACKS.replace("project_root: app}", "project_root: app, worker_pool: elsewhere}")
    repo = world.repository(FILES | {".trackside/stacks.yml": stacks})
    old = world.push(repo, {"app/main.tf": RESOURCE}, "Work", branch="work")
    world.wait_carried_out()
    new = world.push(repo, {"app/main.tf": f"{RESOURCE}# again\n"}, "More work", branch="work")
    world.wait_carried_out()
    states = {run.head_sha: (run.state, run.reason) for run in world.runs("app") if run.type.value == "proposed"}
    assert states == {
        old: (RunState.CANCELED, f"a newer push to work: {new[:7]}"),
        new: (RunState.READY, ""),
    }
    repo.set_branch("work", old, by="alice")
    world.wait_carried_out()
    runs = [(run.head_sha, run.state) for run in world.runs("app") if run.type.value == "proposed"]
    assert runs == [(old, RunState.CANCELED), (new, RunState.CANCELED), (old, RunState.READY)]
    repo.delete_branch("work", by="alice")
    world.wait_carried_out()
    assert world.runs("app")[-1].reason == "refs/heads/work is gone"


def test_a_newer_push_stops_a_plan_that_is_under_way(tmp_path: Path, database_url: str) -> None:
    """The worker is told with its next heartbeat; the engine ends, and the newer head is planned."""
    with open_world(tmp_path, database_url, LEASE_S="5") as world:
        repo = world.repository(FILES)
        world.settle()
        old = world.push(repo, {"app/main.tf": SLOW}, "Work", branch="work")
        wait_until(lambda: world.runs("app")[-1].state is RunState.PLANNING, "the engine plans")
        new = world.push(repo, {"app/main.tf": RESOURCE}, "More work", branch="work")
        world.expect_check(repo, new, "plan/app", "success")
        states = {str(run.head_sha): run.state for run in world.runs("app")}
        assert (states[old], states[new]) == (RunState.STOPPED, RunState.FINISHED)
        world.expect_check(repo, old, "plan/app", "neutral")


def test_a_policy_ignores_by_label_and_sees_the_whole_pull_request(world: World) -> None:
    """Labels, reviews and whether it can be merged reach the policy as they are at the event."""
    policy = (
        "package spacelift\n\n"
        'ignore { input.pull_request.labels[_] == "no plan" }\n'
        "ignore { is_null(input.pull_request) }\n"
        "propose { not is_null(input.pull_request); input.pull_request.approved; input.pull_request.mergeable }\n"
        'message[m] { m := sprintf("diff %v", [input.pull_request.diff]) }\n'
        "notify { not is_null(input.pull_request) }\n"
    )
    repo = world.repository(FILES | {".trackside/stacks.yml": STACKS + POLICY, "pulls.rego": policy})
    world.settle()
    head = world.push(repo, {"app/main.tf": RESOURCE}, "Work", branch="work")
    number = repo.open_pull("work", title="Work", author="alice")
    assert world.decision(head, "app")[:2] == ("ignore", "no policy said track or propose (pulls)")
    assert "app/main.tf" in (world.expect_check(repo, head, "plan/app", "neutral").summary or "")

    repo.add_labels(number, "no plan", by="alice")
    assert world.decision(head, "app")[:2] == ("ignore", "policy pulls said ignore (line 3)")
    repo.remove_label(number, "no plan", by="alice")
    world.settle()
    repo.set_permission("carol", "write")
    repo.approve(number, by="carol")
    assert world.decision(head, "app")[:2] == ("propose", "policy pulls said propose (line 5)")
    world.expect_check(repo, head, "plan/app", "success")
    assert [run.pull_number for run in world.runs("app")] == [number]
    assert world.runs("app")[0].source_sha == repo.sha(f"refs/pull/{number}/merge")
    assert "planned the merge of" in world.runs("app")[0].note


def test_a_comment_reaches_the_policies_and_only_them(world: World) -> None:
    """What is no command of ours may be one of the policy's: it is answered with a run, not with a lesson. So may one
    with the prefix that policies from Spacelift know, beside ours."""
    policy = """package trackside

track if input.pull_request.comment == "/trackside ship app"
propose if {
    input.pull_request.action == "commented"
    input.pull_request.comment == "/spacelift propose app"
    input.pull_request.action_initiator == "alice"
}
"""
    repo = world.repository(FILES | {".trackside/stacks.yml": STACKS + POLICY, "pulls.rego": policy})
    world.settle()
    head = world.push(repo, {"app/main.tf": RESOURCE}, "Work", branch="work")
    number = repo.open_pull("work", title="Work", author="alice")
    world.settle()
    assert world.runs("app") == []
    world.comment(repo, number, "/trackside ship app")
    world.expect_check(repo, head, "deploy/app", "action_required")
    (run,) = world.runs("app")
    assert (run.trigger.value, run.triggered_by, run.head_sha) == ("comment", "alice", head)
    assert world.replies(repo, number) == []
    assert decided(world, "comment") == [("app", "commented", "track", number)]
    world.comment(repo, number, "/spacelift propose app", by="bob")
    world.comment(repo, number, "/spacelift propose app")
    assert [row[2] for row in decided(world, "comment")] == ["track", "ignore", "propose"]
    assert [one.type.value for one in world.runs("app")] == ["tracked", "proposed"]
    assert world.replies(repo, number) == []


def test_a_policy_and_our_grammar_may_share_the_prefix(tmp_path: Path, database_url: str) -> None:
    """With `/spacelift` for a prefix, a command that a policy makes a run of starts no other run; one that no policy
    takes is ours."""
    policy = 'package spacelift\n\npropose { input.pull_request.comment == "/spacelift plan app" }\n'
    with open_world(tmp_path, database_url, COMMAND_PREFIX="/spacelift") as world:
        repo = world.repository(FILES | {".trackside/stacks.yml": STACKS + POLICY, "pulls.rego": policy})
        world.push(repo, {"app/main.tf": RESOURCE}, "Work", branch="work")
        number = repo.open_pull("work", title="Work", author="alice")
        world.settle()
        world.comment(repo, number, "/spacelift plan app")
        world.settle()
        assert [run.trigger.value for run in world.runs("app")] == ["comment"]
        world.comment(repo, number, "/spacelift plan app net")
        world.settle()
        assert sorted(one.trigger.value for one in world.runs() if one.pull_number == number) == [
            "command",
            "command",
            "comment",
        ]


def test_a_merge_group_gets_proposed_runs_of_its_own_commit(world: World) -> None:
    """What the queue made is planned, on its own commit; its branch's push is left to it."""
    repo = world.repository(FILES)
    world.settle()
    world.push(repo, {"app/main.tf": RESOURCE}, "Work", branch="work")
    number = repo.open_pull("work", title="Work", author="alice")
    world.settle()
    group = repo.enqueue_pull(number, by="alice")
    check = world.expect_check(repo, group.head_sha, "plan/app", "success")
    assert check.head_sha == group.head_sha
    assert ("app", "checks_requested", "propose", None) in decided(world, "merge_group")
    assert decided(world, "merge_group") == [
        ("app", "checks_requested", "propose", None),
        ("net", "checks_requested", "ignore", None),
    ]
    landed = repo.land_group(group)
    world.expect_check(repo, landed, "deploy/app", "action_required")


def test_a_policy_locks_by_pull_request_and_cancels_what_waits(world: World) -> None:
    """While one pull request holds the stack, another's event is turned down, and the branch's run waits; closing it
    frees the stack. A newer run takes the place of the one that waited."""
    policy = (
        "package trackside\n\n"
        'key := sprintf("PR_%d", [input.pull_request.id])\n\n'
        'lock := key if input.pull_request.action in {"opened", "synchronize"}\n\n'
        'unlock := key if input.pull_request.action in {"closed", "merged"}\n\n'
        "propose if not is_null(input.pull_request)\n\n"
        "track if {\n\tis_null(input.pull_request)\n\tinput.push.branch == input.stack.branch\n}\n\n"
        'cancel contains run.id if {\n\tsome run in input.in_progress\n\trun.state == "QUEUED"\n}\n'
    )
    repo = world.repository(FILES | {".trackside/stacks.yml": STACKS + POLICY, "pulls.rego": policy})
    world.settle()
    world.push(repo, {"app/main.tf": RESOURCE}, "One", branch="one")
    first = repo.open_pull("one", title="One", author="alice")
    world.settle()
    two = world.push(repo, {"app/main.tf": f"{RESOURCE}# two\n"}, "Two", branch="two")
    repo.open_pull("two", title="Two", author="alice")
    verdict, reason, _ = world.decision(two, "app")
    assert verdict == "ignore"
    assert f"locked with the key PR_{first}" in reason
    world.expect_check(repo, two, "plan/app", "neutral")

    waiting = world.push(repo, {"app/main.tf": f"{RESOURCE}# three\n"}, "Three")
    queued = world.expect_state(RunState.QUEUED, "app")
    assert f"PR_{first}" in (world.expect_check(repo, waiting, "deploy/app", None).title or "")
    newer = world.push(repo, {"app/main.tf": f"{RESOURCE}# four\n"}, "Four")
    world.settle()
    assert {run.id: run.state for run in world.runs("app")}[queued.id] is RunState.CANCELED
    repo.close_pull(first, by="alice")
    world.expect_check(repo, newer, "deploy/app", "action_required")
