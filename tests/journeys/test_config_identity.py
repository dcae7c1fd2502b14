"""What a stack is: its name, its root, its settings and its state, when the stacks file changes around it."""

from app.core.run import RunState
from tests.driver import World

FILE = ".trackside/stacks.yml"
CODE = 'resource "terraform_data" "web" { input = "one" }\n'


def stacks(*entries: str) -> str:
    """A stacks file with these entries."""
    return "version: 1\nstacks:\n" + "".join(f"  - {{{entry}}}\n" for entry in entries)


APP = "name: app, project_root: app"


def test_a_file_that_moved_from_one_root_to_another_concerns_both_stacks(world: World) -> None:
    """The old path counts as changed, so what the move takes away is planned as well as what it brings."""
    repo = world.repository()
    before = {
        FILE: stacks(APP, "name: net, project_root: net"),
        "app/main.tf": "",
        "app/web.tf": CODE,
        "net/main.tf": "",
    }
    first = world.push(repo, before, "Two stacks")
    world.press(world.expect_check(repo, first, "deploy/app", "action_required"), "Confirm")
    world.expect_check(repo, first, "deploy/app", "success")

    second = world.push(repo, {"app/web.tf": None, "net/web.tf": CODE}, "Move the web server to net")

    taken = world.expect_check(repo, second, "deploy/app", "action_required")
    brought = world.expect_check(repo, second, "deploy/net", "action_required")
    assert (taken.title, brought.title) == ("-1 · waiting for confirmation", "+1 · waiting for confirmation")
    assert world.runs("net")[0].state is RunState.FINISHED, "an empty plan is no plan"


def test_a_renamed_stack_keeps_its_id_and_its_state(world: World) -> None:
    """With `renamed_from` the stack goes on under its new name: what exists is known, so there is nothing to do."""
    repo = world.repository()
    first = world.push(repo, {FILE: stacks(APP), "app/main.tf": CODE}, "First stack")
    world.press(world.expect_check(repo, first, "deploy/app", "action_required"), "Confirm")
    world.expect_check(repo, first, "deploy/app", "success")

    renamed = {FILE: stacks("name: shop, renamed_from: app, project_root: app"), "app/main.tf": CODE + "\n"}
    second = world.push(repo, renamed, "Call it shop")

    check = world.expect_check(repo, second, "deploy/shop", "success")
    assert check.title == "no changes"
    assert repo.check_run(second, "deploy/app") is None
    assert len({run.stack_id for run in world.runs()}) == 1
    assert world.sql("SELECT name, is_detached FROM stacks") == [("shop", False)]


def test_a_stack_under_another_name_is_another_stack_until_it_comes_back(world: World) -> None:
    """Without `renamed_from` the old stack is detached, its waiting run discarded and its state kept for its return;
    the new one inherits nothing and plans everything anew."""
    repo = world.repository()
    first = world.push(repo, {FILE: stacks(APP), "app/main.tf": CODE}, "First stack")
    world.press(world.expect_check(repo, first, "deploy/app", "action_required"), "Confirm")
    world.expect_check(repo, first, "deploy/app", "success")
    waiting = world.push(repo, {"app/main.tf": CODE.replace("one", "two")}, "Waits for a person")
    plan = world.expect_check(repo, waiting, "deploy/app", "action_required")

    shop = {FILE: stacks("name: shop, project_root: app"), "app/main.tf": CODE}
    second = world.push(repo, shop, "A shop instead")

    anew = world.expect_check(repo, second, "deploy/shop", "action_required")
    assert anew.title == "+1 · waiting for confirmation"
    dropped = world.expect_check(repo, waiting, "deploy/app", "neutral")
    assert dropped.id == plan.id
    assert "the stack is no longer in .trackside/stacks.yml" in (dropped.summary or "")
    assert world.sql("SELECT name, is_detached FROM stacks ORDER BY name") == [("app", True), ("shop", False)]
    old, new = (world.runs(name)[0].stack_id for name in ("app", "shop"))
    assert old != new

    third = world.push(repo, {FILE: stacks(APP), "app/main.tf": CODE + "\n"}, "Back to app")

    assert world.expect_check(repo, third, "deploy/app", "success").title == "no changes"
    assert world.runs("app")[-1].stack_id == old
    assert world.runs("shop")[-1].state is RunState.DISCARDED
    assert world.sql("SELECT name, is_detached FROM stacks ORDER BY name") == [("app", False), ("shop", True)]


def test_a_plan_is_not_confirmed_under_other_settings_than_it_was_made_with(world: World) -> None:
    """When the stack's entry was edited in between, the check says so at once, a confirm is refused with the way on,
    and the next plan has the settings that are in force."""
    repo = world.repository()
    code = 'variable "size" { default = "small" }\nresource "terraform_data" "web" { input = var.size }\n'
    number, sha = world.land(repo, {FILE: stacks(APP), "app/main.tf": code}, "First stack")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    confirm = plan.actions[0]["identifier"]

    world.push(repo, {FILE: stacks(APP + ", environment: {TF_VAR_size: large}")}, "Larger")

    stale = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert stale.title == "+1 · its settings changed since"
    assert repo.buttons(stale) == ["Discard", "Replan"]
    repo.press_raw(stale, confirm, by="alice")
    world.comment(repo, number, "/trackside confirm")
    world.expect_state(RunState.UNCONFIRMED)
    for words in (world.remarks(repo, sha)[0], world.replies(repo, number)[0]):
        assert "settings of `app` in the stacks file changed since this plan was made" in words
        assert "`/trackside replan app` makes a plan with the settings that are in force" in words

    world.comment(repo, number, "/trackside replan")
    again = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert again.title == "+1 · waiting for confirmation"
    assert "large" in (again.text or "")
    world.press(again, "Confirm")
    world.expect_state(RunState.FINISHED)
