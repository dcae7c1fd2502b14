"""`trackside confirm|discard|replan RUN` on the server: the same path as a button, with exit codes for scripts."""

from app.core.run import RunState
from tests.driver import World

STACKS = "version: 1\nstacks:\n  - name: app\n    project_root: app\n"
CODE = 'resource "terraform_data" "web" {{ input = "{value}" }}\n'


def test_an_operator_decides_on_the_server_by_the_same_rules(world: World) -> None:
    """What is done there is said, exits 0 and is audited; what is refused says why, exits 1 and changes nothing."""
    repo = world.repository()
    _, sha = world.land(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": CODE.format(value=1)}, "One")
    world.expect_check(repo, sha, "deploy/app", "action_required")
    run = world.the_run()

    replanned = world.operate("replan", run.id)
    assert (replanned.returncode, replanned.stderr) == (0, "")
    assert replanned.stdout.startswith("Another plan of `app` is being made")
    assert (planned := world.expect_state(RunState.UNCONFIRMED)).plan_number == 2
    confirmed = world.operate("confirm", run.id)
    assert (confirmed.returncode, confirmed.stdout) == (
        0,
        "Confirmed: plan 2 of `app` is applied as soon as a worker is free.\n",
    )
    finished = world.expect_state(RunState.FINISHED)
    assert planned.plan is not None
    assert finished.confirmed_digest == planned.plan.digest
    assert finished.decided_by.endswith("(on the server)")
    check = world.expect_check(repo, sha, "deploy/app", "success")
    assert "(on the server)" in (check.summary or "")

    refused = world.operate("discard", run.id)
    assert refused.returncode == 1
    assert "was applied already" in refused.stdout
    unknown = world.operate("confirm", "01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert (
        unknown.stderr
        == "trackside: looking up run 01ARZ3NDEKTSV4RRFFQ69G5FAV: there is none; `trackside runs` lists them\n"
    )
    assert world.sql("SELECT source, split_part(command, ' ', 1), is_allowed FROM audit ORDER BY id") == [
        ("cli", "replan", True),
        ("cli", "confirm", True),
        ("cli", "discard", False),
    ]


def test_an_operator_cannot_confirm_a_superseded_plan_by_accident(world: World) -> None:
    """Without `--even-if-superseded` it is refused with the way on; a discard takes its reason along to the check."""
    repo = world.repository()
    _, first = world.land(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": CODE.format(value=1)}, "One")
    world.expect_check(repo, first, "deploy/app", "action_required")
    older = world.the_run()
    _, second = world.land(repo, {"app/main.tf": CODE.format(value=2)}, "Two")
    world.expect_check(repo, second, "deploy/app", None)

    refused = world.operate("confirm", older.id)
    assert refused.returncode == 1
    assert "--even-if-superseded" in refused.stdout
    assert world.operate("discard", older.id, "the newer one has it all").returncode == 0
    world.expect_check(repo, second, "deploy/app", "action_required")
    turned_down = world.expect_check(repo, first, "deploy/app", "neutral")
    assert "the newer one has it all" in (turned_down.summary or "")
    why = world.operate("why", "acme/infra", second)
    assert why.returncode == 0
    assert "track" in why.stdout


def test_a_server_without_settings_says_what_is_missing_in_one_message(world: World) -> None:
    """An operator's mistake is one message with every variable, exit code 1 and no stack trace."""
    for name in ("GITHUB_APP_ID", "GITHUB_WEBHOOK_SECRET"):
        del world.environ[name]

    failed = world.operate("runs")

    assert failed.returncode == 1
    assert failed.stderr.startswith("trackside: reading settings:")
    assert "GITHUB_APP_ID: is not set" in failed.stderr
    assert "GITHUB_WEBHOOK_SECRET: is not set" in failed.stderr
    assert "Traceback" not in failed.stderr
