"""GitHub misbehaves, and the reports are true in the end, each thing once."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import pytest

from app.core.errors import RetryableError
from app.core.missed import Path
from app.core.names import Sha
from app.core.reply import CheckReport, CheckStatus
from app.sandbox import SandboxGitHub
from app.sandbox.trouble import CUT
from tests.database import made_database
from tests.flows.outbox import Outbox, open_outbox


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory, server_url: str, database_template: str) -> Iterator[Outbox]:
    """A repository whose runs are moved by hand: each test has a stack of its own there."""
    with (
        made_database(server_url, template=database_template) as url,
        open_outbox(tmp_path_factory.mktemp("outbox"), url) as made,
    ):
        yield made


def _expire_tokens(github: SandboxGitHub) -> None:
    github.tokens.clear()


DAY: Final = 86_400
TROUBLE: dict[str, Callable[[SandboxGitHub], None]] = {
    "500 three times": lambda github: github.trouble.fail_next("*", "/repos/", 500, times=3),
    "502 before the check was made": lambda github: github.trouble.fail_next("POST", "check-runs", 502),
    "502 after the check was made": lambda github: github.trouble.fail_next("POST", "check-runs", 502, after_work=True),
    "no answer after the check was made": lambda github: github.trouble.fail_next(
        "POST", "check-runs", CUT, after_work=True
    ),
    "no answer after the check was changed": lambda github: github.trouble.fail_next(
        "PATCH", "check-runs", CUT, after_work=True
    ),
    "502 after the deployment was made": lambda github: github.trouble.fail_next(
        "POST", "deployments$", 502, after_work=True
    ),
    "no answer after the status was added": lambda github: github.trouble.fail_next(
        "POST", "statuses", CUT, after_work=True
    ),
    "502 before the status was added": lambda github: github.trouble.fail_next("POST", "statuses", 502),
    "401 in the middle": _expire_tokens,
    "a secondary limit": lambda github: github.trouble.hit_secondary_limit(2, retry_after_s=45),
    "the limit at zero": lambda github: github.rates.set_remaining(0),
    "an hour away": lambda github: github.trouble.go_down(3600),
}


def test_an_hour_without_github_ends_with_the_newest_level_alone_and_every_push_decided_once(outbox: Outbox) -> None:
    """A run goes all its way meanwhile, and three pushes reach nobody: what was true in between is never said, what was
    not delivered is asked for again and decided in its order, and a second round finds nothing to do."""
    outbox.deliver()
    outbox.publish()
    github, look = outbox.world.github, outbox.world.plane.tasks.looks[Path.DELIVERY_LOG]
    run = outbox.run(outbox.stack("levels"))
    github.trouble.go_down(3600)
    for level in (outbox.plan, outbox.confirm):
        outbox.publish_once()
        level(run)
    hold = outbox.apply(run)
    outbox.publish_once()
    outbox.finish(run, hold)
    stacks = "version: 1\nstacks:\n  - {name: missed, project_root: missed}\n"
    shas = [
        outbox.world.push(outbox.repo, {".trackside/stacks.yml": stacks, "missed/a.tf": f"# {name}\n"}, name)
        for name in ("first", "second", "third")
    ]
    github.wait_deliveries()
    lost = [one.guid for one in github.deliveries if one.event == "push"][-3:]
    with pytest.raises(RetryableError, match="listing the App's deliveries"):
        look()
    began, wrote = len(github.deliveries), len(outbox.writes())
    assert outbox.repo.check_runs(run.head_sha, name="deploy/levels") == []

    outbox.pass_time(3600)
    look()
    github.wait_deliveries()
    asked_for = [one for one in github.deliveries[began:] if one.redelivery and one.guid in lost]
    assert [one.guid for one in asked_for] == lost
    for one in asked_for:  # the door takes them in
        outbox.take_in(one)
    outbox.publish()
    assert outbox.statuses("levels") == [["success"]]
    told = [one for one in outbox.repo.check_runs(run.head_sha, latest=False) if one.name == "deploy/levels"]
    assert [(one.external_id, one.conclusion) for one in told] == [(f"{run.id}/1/apply", "success")]
    of_levels = [one for one in outbox.writes()[wrote:] if "deliveries" not in one.path]
    runs = outbox.world.runs("missed")
    assert [one.head_sha for one in runs] == shas

    look()
    for one in asked_for:
        outbox.take_in(one)
    outbox.publish()
    assert [one.id for one in outbox.world.runs("missed")] == [one.id for one in runs]
    assert [one for one in outbox.writes()[wrote:] if "deliveries" not in one.path] == of_levels
    outbox.plan(runs[0])  # so that no other test finds it waiting for a worker


@pytest.mark.parametrize("what", TROUBLE)
def test_the_reports_are_true_in_the_end_and_each_thing_is_there_once(outbox: Outbox, what: str) -> None:
    github, name = outbox.world.github, what.replace(" ", "-")
    run = outbox.run(outbox.stack(name))
    TROUBLE[what](github)
    outbox.publish_once()
    outbox.plan(run)
    TROUBLE[what](github)
    outbox.publish_once()
    outbox.publish()
    assert outbox.checks(f"deploy/{name}") == [("1", "completed", "action_required")]
    assert outbox.statuses(name) == [["queued"]]
    outbox.confirm(run)
    TROUBLE[what](github)
    outbox.publish_once()
    outbox.finish(run, outbox.apply(run))
    outbox.publish()
    assert outbox.checks(f"deploy/{name}") == [("1", "completed", "neutral"), ("1/apply", "completed", "success")]
    assert [one for one in outbox.statuses(name)[0] if one != "in_progress"] == ["queued", "success"]
    assert github.secondary.refused == 0


def test_an_hour_without_github_is_caught_up_with_answers_first(outbox: Outbox) -> None:
    number, names = outbox.pull("outage"), ("eu", "us", "asia")
    outbox.world.github.trouble.go_down(3600)
    for name in names:
        outbox.plan(outbox.run(outbox.stack(name)))
    for word in ("first", "second", "third"):
        outbox.say(word, number)
    for _ in range(3):
        assert len(outbox.publish_once()) == 9  # three checks, three deployments, three answers
    began = len(outbox.world.github.requests)
    outbox.pass_time(3600)
    assert outbox.publish_once() == []
    assert outbox.world.replies(outbox.repo, number) == ["first", "second", "third"]
    for name in names:
        assert outbox.checks(f"deploy/{name}") == [("1", "completed", "action_required")]
        assert outbox.statuses(name) == [["queued"]]
    made = [one.path.rpartition("/")[2] for one in outbox.world.github.requests[began:] if one.method == "POST"]
    assert [one for one in made if one != "access_tokens"][:3] == ["comments"] * 3


def test_a_check_run_that_was_deleted_is_made_anew(outbox: Outbox) -> None:
    run = outbox.run(outbox.stack("gone"))
    outbox.publish()
    check = outbox.repo.check_run(None, "deploy/gone")
    assert check is not None
    outbox.repo.forget_check_run(check)
    outbox.plan(run)
    outbox.publish()
    assert outbox.checks("deploy/gone") == [("1", "completed", "action_required")]


def test_a_deployment_that_was_deleted_is_made_anew(outbox: Outbox) -> None:
    run = outbox.run(outbox.stack("undeployed"))
    outbox.plan(run)
    outbox.publish()
    outbox.repo.record.deployments.clear()
    outbox.confirm(run)
    outbox.finish(run, outbox.apply(run))
    outbox.publish()
    assert outbox.statuses("undeployed") == [["success"]]


def test_an_answer_that_a_person_deleted_is_not_said_again(outbox: Outbox) -> None:
    number = outbox.pull("deleted")
    outbox.say("hello", number)
    outbox.publish()
    (said,) = outbox.repo.comments(number)
    outbox.repo.delete_comment(said, by="alice")
    outbox.say("hello", number)
    outbox.publish()
    assert outbox.world.replies(outbox.repo, number) == []


def test_a_check_that_works_for_twelve_days_makes_way_for_another(outbox: Outbox) -> None:
    run = outbox.run(outbox.stack("slow"))
    outbox.publish()
    outbox.pass_time(11.9 * DAY)
    outbox.world.plane.tasks.sweep()
    outbox.publish()
    assert outbox.checks("deploy/slow") == [("1", "queued", None)]
    outbox.pass_time(0.2 * DAY)
    outbox.world.plane.tasks.sweep()
    outbox.publish()
    outbox.world.plane.tasks.sweep()
    outbox.publish()
    outbox.pass_time(3 * DAY)
    assert outbox.checks("deploy/slow") == [("1", "completed", "neutral"), ("1/again1", "queued", None)]
    outbox.plan(run)
    outbox.publish()
    assert outbox.checks("deploy/slow")[1:] == [("1/again1", "completed", "action_required")]
    old, new = [one for one in outbox.all_checks() if one.name == "deploy/slow"]
    assert old.title == "replaced by a newer check run: this one had worked for too long"
    outbox.repo.press(new, "Confirm", by="alice")
    outbox.deliver_newest("check_run")
    assert outbox.world.runs("slow")[0].confirmed_digest is not None


def test_a_required_check_is_never_neutral_before_the_next_one_is_there(outbox: Outbox) -> None:
    first = CheckReport(
        name="trackside",
        head_sha=Sha(outbox.repo.sha()),
        external_id="summary/1",
        status=CheckStatus.IN_PROGRESS,
        conclusion=None,
        title="1 of 1 stack affected",
        summary="-",
        text="",
        details_url="https://trackside.example",
    )
    outbox.want_check(first)
    outbox.publish()
    outbox.want_check(replace(first, external_id="summary/2"))
    outbox.world.github.trouble.fail_next("POST", "check-runs", 502)
    outbox.publish_once()
    assert outbox.checks("trackside") == [("1", "in_progress", None)]
    outbox.publish()
    assert outbox.checks("trackside") == [("1", "completed", "neutral"), ("2", "in_progress", None)]


def test_pushes_that_come_out_of_order_twice_and_an_hour_late_are_told_once_each(outbox: Outbox) -> None:
    outbox.deliver()
    files = {".trackside/stacks.yml": "version: 1\nstacks:\n  - name: odd\n    project_root: odd\n", "odd/a.tf": "#\n"}
    shas = [outbox.world.push(outbox.repo, files | {"odd/a.tf": f"# {name}\n"}, name) for name in ("one", "two")]
    outbox.pass_time(3600)
    outbox.deliver(newest_first=True)
    outbox.deliver(newest_first=True, again=True)
    outbox.publish()
    older, newer = shas
    assert [run.head_sha for run in outbox.world.runs("odd")] == [newer]  # the late one takes nothing back
    told = {sha: [one.name for one in outbox.repo.check_runs(sha, latest=False)] for sha in shas}
    assert told[newer].count("deploy/odd") == 1
    assert "deploy/odd" not in told[older]
