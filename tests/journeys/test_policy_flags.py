"""Flags: what policies leave on a run for one another, and for the policies of later events."""

from app.core.run import RunState
from tests.driver import World

FILES = {
    ".trackside/stacks.yml": "version: 1\nstacks:\n  - {name: app, project_root: app, worker_pool: elsewhere}\n"
    'policies:\n  - {name: one, type: push, path: one.rego, attach: "*"}\n'
    '  - {name: two, type: push, path: two.rego, attach: "*"}\n',
    "one.rego": """package trackside

propose if input.push.branch == "work"

flag contains "unread" if input.pull_request == null

flag contains "opened" if input.pull_request.action == "opened"

reset_flag contains "unread" if "read" in input.pull_request.labels
""",
    "two.rego": """package trackside

flag contains "unread" if input.pull_request == null

flag contains sprintf("after %s", [flag]) if {
	"read" in input.pull_request.labels
	some flag in input.in_progress[_].flags
}

reset_flag contains "unread" if "approved" in input.pull_request.labels
""",
    "app/main.tf": "# nothing yet\n",
}


def test_a_flag_stays_until_every_policy_that_set_it_has_taken_it_back(world: World) -> None:
    """The second event of a head adds to the run of the first, and takes back; once the run has ended nothing moves."""
    repo = world.repository(FILES)
    world.settle()
    head = world.push(repo, {"app/main.tf": "# work\n"}, "Work", branch="work")
    world.wait_carried_out()
    (run,) = world.runs("app")
    assert (run.state, run.flags) == (RunState.READY, ("unread",))
    assert run.flag_owners["unread"] == ("one", "two")

    number = repo.open_pull("work", title="Work", author="alice")
    world.wait_carried_out()
    assert world.runs("app")[0].flags == ("opened", "unread")
    repo.add_labels(number, "read", by="alice")
    world.wait_carried_out()
    (run,) = world.runs("app")
    assert run.flags == ("after opened", "after unread", "opened", "unread")
    assert run.flag_owners["unread"] == ("two",)
    repo.add_labels(number, "approved", by="alice")
    world.wait_carried_out()
    (run,) = world.runs("app")
    assert (run.head_sha, "unread" in run.flags) == (head, False)

    world.push(repo, {"app/main.tf": "# more\n"}, "More work", branch="work")
    world.wait_carried_out()
    old, new = world.runs("app")
    assert (old.state, old.flags) == (RunState.CANCELED, run.flags)
    assert new.state is RunState.READY
