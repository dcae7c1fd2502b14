"""A part of a plan: what was chosen is planned, what it needs comes with it, what is left is told."""

import json

import httpx

from app.core.run import RunState
from tests.core.test_choice import ODD_KEYS, address
from tests.driver import POOL_TOKEN, World

STACKS = "version: 1\nstacks:\n  - name: app\n    project_root: app\n"
THREE = """
resource "terraform_data" "base" { input = "one" }
resource "terraform_data" "middle" { input = terraform_data.base.id }
resource "terraform_data" "top" { input = terraform_data.middle.id }
resource "terraform_data" "other" { input = "alone" }
output "said" { value = terraform_data.other.output }
"""


def test_chosen_changes_are_planned_confirmed_and_applied_and_the_rest_is_told(world: World) -> None:
    """Numbers are those of the plan that is shown; the part has its own digest and needs its own confirmation."""
    repo = world.repository()
    number, sha = world.land(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": THREE}, "Four")
    first = world.expect_check(repo, sha, "deploy/app", "action_required")
    whole = world.the_run().plan
    assert whole is not None
    assert "**2. create** `terraform_data.middle`" in (first.text or "")

    world.comment(repo, number, "/trackside replan app only 2")

    part = world.expect_check(repo, sha, "deploy/app", "action_required")
    run = world.the_run()
    assert run.plan is not None
    assert (run.plan.number, run.plan.digest == whole.digest) == (2, False)
    assert part.id != first.id
    assert part.title == "+2 · part of plan 1 · waiting for confirmation"
    said = part.summary or ""
    assert "**This is a part of plan 1: one resource chosen.**" in said
    assert "**One change was pulled in beyond the choice**" in said
    assert "- **1. create** `terraform_data.base`" in said
    assert run.confirmed_digest is None, "a part needs a confirmation of its own"

    repo.press_raw(part, f"c{whole.digest[:16]}", by="alice")
    world.expect_state(RunState.UNCONFIRMED)
    assert "the plan of `app` has changed since that button was shown" in world.remarks(repo, sha)[-1]

    world.press(part, "Confirm")
    done = world.expect_check(repo, sha, "deploy/app", "success")
    assert done.title == "applied: +2"
    told = done.summary or ""
    assert "**Of plan 1, 3 changes are still pending.**" in told
    assert "- **3. create** `terraform_data.other`" in told
    assert "- **4. create** `terraform_data.top`" in told
    assert "- **5. create** output `said`" in told
    assert "terraform_data.base" not in told.split("still pending")[1]
    assert "`/trackside deploy app` makes the next run of it" in told
    assert world.sql("SELECT plan_number, plan_digest FROM confirmations") == [(2, run.plan.digest)]
    page = world.page(f"/runs/{run.id}")
    assert "This is a part of plan 1: one resource chosen." in page
    assert "<strong>3. create</strong> <code>terraform_data.other</code>" in page
    assert f'/acme/infra/pull/{number}">#{number} Four</a>' in page
    for path in ("/", f"/stacks/{run.stack_id}"):
        assert "part of plan 1, 3 changes still pending" in world.page(path)
    (listed,) = json.loads(world.operate("runs", "--json").stdout)
    assert (listed["word"], listed["plan"]["still_pending"]) == ("applied a part", {"least": 3, "most": 3})
    assert world.operate("runs").stdout.splitlines()[0].split() == ["RUN", "CHECK", "COMMIT", "STATE", "CHANGES", "WHY"]

    _, after = world.land(repo, {"app/main.tf": THREE + "# again\n"}, "Again")
    rest = world.expect_check(repo, after, "deploy/app", "action_required")
    assert rest.title == "+2 · outputs +1 · waiting for confirmation", "the next push plans what is pending"


def test_a_part_is_planned_again_by_its_own_numbers_and_whole_again_without_any(world: World) -> None:
    """A choice is about the plan that is shown; what is pending is told by the newest whole plan all the same."""
    repo = world.repository()
    number, sha = world.land(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": THREE}, "Four")
    world.expect_check(repo, sha, "deploy/app", "action_required")
    world.comment(repo, number, "/trackside replan app except terraform_data.top, 3")
    part = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert part.title == "+2 · part of plan 1 · waiting for confirmation"
    assert "pulled in" not in (part.summary or "")

    run = world.the_run()
    told = world.operate("replan", run.id, "--only", "1", "--except", "2")
    assert told.returncode == 0, told.stderr
    assert "of a part of plan 1: one resource chosen" in told.stdout
    smaller = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert smaller.title == "+1 · part of plan 1 · waiting for confirmation"

    world.press(smaller, "Replan")
    again = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert again.title == "+4 · outputs +1 · waiting for confirmation"
    assert world.the_run().targeting is None
    assert world.sql("SELECT cause FROM run_steps WHERE step = 'replan' ORDER BY id") == [
        ("2 resources chosen of plan 1",),
        ("one resource chosen of plan 1",),
        ("",),
    ]


def test_pending_moves_come_with_every_part(world: World) -> None:
    """The engine refuses a part that leaves a move out: so each move is in it, and is shown as an addition."""
    repo = world.repository()
    first = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": THREE}, "Four")
    world.press(world.expect_check(repo, first, "deploy/app", "action_required"), "Confirm")
    world.expect_state(RunState.FINISHED)
    moved = THREE.replace('"other"', '"renamed"').replace("data.other", "data.renamed").replace('"one"', '"two"')
    moved += "moved {\n  from = terraform_data.other\n  to = terraform_data.renamed\n}\n"
    moved += 'resource "terraform_data" "new" {}\n'
    number, sha = world.land(repo, {"app/main.tf": moved}, "Move")
    check = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert "from `terraform_data.other`" in (check.text or "")

    world.comment(repo, number, "/trackside replan app except terraform_data.renamed")
    world.settle()
    assert "`terraform_data.renamed` moves, and the engine plans no part" in world.replies(repo, number)[-1]

    world.comment(repo, number, "/trackside replan app only terraform_data.new")
    part = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert part.title == "+1 move 1 · part of plan 1 · waiting for confirmation"
    assert "Pending moves are part of every plan." in (part.summary or "")
    world.press(part, "Confirm")
    world.expect_check(repo, sha, "deploy/app", "success")


def test_odd_keys_are_chosen_by_their_addresses_and_by_their_numbers(world: World) -> None:
    """Quotes, `${`, line breaks, unicode: the engine gets each address as it wrote it, one argument each."""
    code = (
        'resource "terraform_data" "odd" {\n  for_each = toset(jsondecode(file("keys.json")))\n  input = each.key\n}\n'
    )
    repo = world.repository()
    files = {".trackside/stacks.yml": STACKS, "app/main.tf": code, "app/keys.json": json.dumps(ODD_KEYS)}
    number, sha = world.land(repo, files, "Odd keys")
    world.expect_check(repo, sha, "deploy/app", "action_required")
    addresses = [address(key) for key in ODD_KEYS]
    assert {change.address for change in world.summary().changes} == set(addresses)

    picks = " ".join(f"``{one}``" if "`" in one else f"`{one}`" for one in addresses[1:])
    world.comment(repo, number, f"/trackside replan app only {picks}")
    part = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert part.title == "+21 · part of plan 1 · waiting for confirmation"
    assert {change.address for change in world.summary().changes} == set(addresses[1:])

    world.comment(repo, number, "/trackside replan app except 1-10")
    rest = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert rest.title == "+11 · part of plan 1 · waiting for confirmation"
    world.press(rest, "Confirm")
    assert "11 changes are still pending" in (world.expect_check(repo, sha, "deploy/app", "success").summary or "")


def test_a_choice_that_chooses_nothing_is_answered_and_changes_nothing(world: World) -> None:
    """Unknown numbers and addresses with the nearest, outputs, nothing left: the plan keeps waiting."""
    repo = world.repository()
    number, sha = world.land(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": THREE}, "Four")
    check = world.expect_check(repo, sha, "deploy/app", "action_required")
    answers = {
        "replan app only 9": "plan 1 has no change `9`; its changes are numbered 1 to 5",
        "replan app only 3-9": "plan 1 has no change `3-9`; its changes are numbered 1 to 5",
        "replan app only terraform_data.midle": "Did you mean `terraform_data.middle`?",
        "replan app only": "no change is named",
        "replan app only said": "`said` is an output, and outputs cannot be chosen",
        "replan app except 1-4": "nothing is left of plan 1",
        "replan app only foo": "An address names one too, written as the plan has it",
        'replan app only terraform_data.x["open': "a double quote is opened and not closed",
        "replan app 1,2": "behind the stack or run come only or except",
    }
    for command, answer in answers.items():
        world.comment(repo, number, f"/trackside {command}")
        world.settle()
        assert answer in world.replies(repo, number)[-1], command
    assert world.expect_check(repo, sha, "deploy/app", "action_required").id == check.id
    assert world.the_run().plan_number == 1


def test_a_part_of_an_autodeploy_stack_still_asks_a_person(world: World) -> None:
    """What was chosen is shown before it is applied, whatever the stack's setting says of whole plans."""
    stacks = STACKS + "    autodeploy: true\n"
    repo = world.repository()
    world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": THREE}, "Four")
    world.expect_state(RunState.UNCONFIRMED)
    sha = world.runs()[-1].head_sha
    world.push(repo, {".trackside/stacks.yml": stacks}, "Deploy by yourself")
    world.settle()
    assert world.operate("replan", world.the_run().id, "--only", "1").returncode == 0
    part = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert part.title is not None
    assert part.title.startswith("+1 · part of plan 1")
    assert world.sql("SELECT count(*) FROM confirmations") == [(0,)]


def test_a_worker_that_does_not_know_parts_never_passes_a_whole_plan_off_as_one(world: World) -> None:
    """An older worker plans everything: the run fails and says why, instead of asking for a confirmation."""
    repo = world.repository()
    sha = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": THREE}, "Four")
    world.expect_check(repo, sha, "deploy/app", "action_required")
    world.close()  # the worker ends; an older one takes its place
    run = world.the_run()
    assert world.operate("replan", run.id, "--only", "1").returncode == 0

    def call(path: str, token: str, body: dict[str, object]) -> dict[str, object]:
        headers = {"authorization": f"Bearer {token}"}
        answer = httpx.post(f"{world.url}/worker/v1/{path}", json=body, headers=headers, timeout=60, trust_env=False)
        return dict(answer.raise_for_status().json() if answer.content else {})

    # The ended worker's last question may still be open in this process, and take the run with it for a lease.
    taken = call("claim", POOL_TOKEN, {"worker": "older", "protocol": 1, "wait_s": 30})
    assert taken["targets"] == ["terraform_data.base"]
    mine, token, held = f"assignments/{taken['id']}", str(taken["token"]), {"fencing": taken["fencing"]}
    call(f"{mine}/stage", token, {**held, "stage": "planning"})
    whole = {"digest": "a" * 64, "engine": "terraform 1.11.4", "has_changes": True, "summary": {}}
    assert call(f"{mine}/plan", token, held | whole)["next"] == "done"
    check = world.expect_check(repo, sha, "deploy/app", "failure")
    assert "the worker planned the whole commit instead of what was chosen" in (check.summary or "")


def test_a_part_that_needs_nothing_any_more_says_what_is_pending(unboxed: World) -> None:
    """No changes in what was chosen is not "no changes": the rest of the first plan is still told."""
    world, repo = unboxed, unboxed.repository()
    backend = 'terraform {\n  backend "local" { path = "/STATE" }\n}\n'.replace("/STATE", str(world.root / "state"))
    number, sha = world.land(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": backend + THREE}, "Four")
    world.expect_check(repo, sha, "deploy/app", "action_required")
    world.apply_by_hand(backend + THREE, "-target=terraform_data.base")
    world.comment(repo, number, "/trackside replan app only terraform_data.base")
    done = world.expect_check(repo, sha, "deploy/app", "success")
    assert done.title == "nothing to do for what was chosen"
    assert "**Of plan 1, 4 changes are still pending.**" in (done.summary or "")
