"""Remarks on the files of a commit: what a plan destroys stands on its block."""

from tests.driver import World

STACKS = "version: 1\nstacks:\n  - name: app\n    project_root: app\n"
NODES = (
    'variable "size" { default = 1 }\n\nresource "terraform_data" "node" {\n  count = %d\n  input = count.index\n}\n'
)


def test_a_destroy_is_marked_on_its_block_once_also_when_the_answer_was_lost(world: World) -> None:
    """GitHub appends annotations at every update and never takes one back: an update that may have brought them is not
    repeated with them."""
    repo = world.repository()
    first = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": NODES % 2}, "Two")
    plan = world.expect_check(repo, first, "deploy/app", "action_required")
    assert plan.annotations == []
    world.press(plan, "Confirm")
    world.expect_check(repo, first, "deploy/app", "success")

    world.github.trouble.fail_next("PATCH", r"/check-runs/\d+$", 502, after_work=True)
    second = world.push(repo, {"app/main.tf": NODES % 1}, "One")
    check = world.expect_check(repo, second, "deploy/app", "action_required")
    assert check.title == "-1 · waiting for confirmation"
    assert [(one["path"], one["start_line"], one["end_line"], one["title"]) for one in check.annotations] == [
        ("app/main.tf", 3, 6, "this plan destroys this")
    ]
    world.press(check, "Discard")
    world.expect_check(repo, second, "deploy/app", "neutral")
    world.settle()
    assert len(check.annotations) == 1
