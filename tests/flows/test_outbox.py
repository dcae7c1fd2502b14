"""What stands on GitHub of runs: within the budget, as far as they are, and once."""

from collections.abc import Iterator

import pytest

from app.core.names import ReportId
from app.core.run import RunState, RunType, Step
from tests.database import made_database
from tests.flows.outbox import Outbox, open_outbox


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, server_url: str, database_template: str) -> Iterator[Outbox]:
    """A repository whose runs are moved by hand: each test has a stack of its own there."""
    with (
        made_database(server_url, template=database_template) as url,
        open_outbox(tmp_path_factory.mktemp("outbox"), url) as made,
    ):
        yield made


@pytest.fixture
def outbox(shared: Outbox) -> Iterator[Outbox]:
    """The same, an hour later: nothing that was written before counts any more, and no run waits for a worker."""
    shared.pass_time(3600)
    yield shared
    for run in shared.world.runs():
        if run.state.is_waiting_for_worker:
            shared.move(run, Step.CANCEL if run.state is RunState.READY else Step.DISCARD)
    shared.publish()


def test_two_stacks_that_share_an_environment_do_not_retire_each_other(outbox: Outbox) -> None:
    net, app = outbox.stack("net", environment="shared"), outbox.stack("app", environment="shared")
    first, other = outbox.run(net), outbox.run(app)
    outbox.plan(first)
    outbox.plan(other)
    for run in (first, other):
        outbox.confirm(run)
        outbox.finish(run, outbox.apply(run))
    outbox.publish()
    assert (
        outbox.statuses("shared") == [["queued", "success"]] * 2
        or [one[-1] for one in outbox.statuses("shared")] == ["success"] * 2
    )
    again = outbox.run(net)
    outbox.deploy(again)
    outbox.publish()
    made = {(one.payload["run"], one.task): one for one in outbox.repo.deployments(environment="shared")}
    assert {key: one.state for key, one in made.items()} == {
        (first.id, "trackside:net"): "inactive",
        (other.id, "trackside:app"): "success",
        (again.id, "trackside:net"): "success",
    }
    retired = made[first.id, "trackside:net"].statuses[-1]
    assert (retired.description, retired.environment) == ("a later run of the stack was deployed since", "shared")
    assert made[again.id, "trackside:net"].ref == outbox.repo.sha()


def test_a_success_that_is_told_late_does_not_pass_for_the_newest(outbox: Outbox) -> None:
    stack = outbox.stack("late")
    older = outbox.run(stack)
    outbox.plan(older)
    outbox.publish()
    outbox.confirm(older)
    outbox.finish(older, outbox.apply(older))
    newer = outbox.run(stack)
    outbox.deploy(newer)
    made = outbox.world.sql("SELECT run_id, id FROM reports WHERE kind = 'deployment'")
    (report,) = [str(report) for run, report in made if run == newer.id]
    outbox.world.plane.tasks.publish(ReportId(report))
    outbox.publish()
    states = {one.payload["run"]: one.state for one in outbox.repo.deployments(environment="late")}
    assert states == {older.id: "inactive", newer.id: "success"}


def test_a_plan_that_was_turned_down_leaves_an_inactive_deployment_and_a_no_op_none(outbox: Outbox) -> None:
    run = outbox.run(outbox.stack("turned-down"))
    outbox.plan(run)
    outbox.publish()
    outbox.move(run, Step.DISCARD)
    nothing = outbox.run(outbox.stack("nothing"))
    outbox.begin(nothing)
    outbox.move(nothing, Step.FINISH)
    outbox.publish()
    assert (outbox.statuses("turned-down"), outbox.statuses("nothing")) == ([["queued", "inactive"]], [])


def test_a_check_says_how_far_an_apply_is_first_after_15_s_then_every_30(outbox: Outbox) -> None:
    run = outbox.run(outbox.stack("far"))
    outbox.plan(run)
    outbox.publish()
    outbox.confirm(run)
    hold = outbox.apply(run)
    outbox.publish_once()
    outbox.pass_time(3)
    outbox.publish_once()
    began = outbox.world.github.count_requests("PATCH", "check-runs")

    def beat(done: int) -> str:
        with outbox.world.plane.store.begin() as tx:
            assert tx.renew_lease(hold, run.fencing + 2, 60, done=done) is False
        outbox.publish_once()
        check = outbox.repo.check_run(None, "deploy/far")
        assert check is not None
        return (check.title or "").rpartition(",")[0] or check.title or ""  # without the seconds

    assert beat(1) == "applying +3 ~1"
    outbox.pass_time(15)
    assert beat(2) == "applying +3 ~1 · 2 of 4 resources done"
    outbox.pass_time(14)
    assert beat(3) == "applying +3 ~1 · 2 of 4 resources done"
    outbox.pass_time(17)
    assert beat(4) == "applying +3 ~1 · 4 of 4 resources done"
    assert outbox.world.github.count_requests("PATCH", "check-runs") - began == 2
    outbox.finish(run, hold)
    outbox.publish()


def test_while_more_than_five_runs_work_none_tells_of_progress(outbox: Outbox) -> None:
    runs = [outbox.run(outbox.stack(f"busy{number}")) for number in range(6)]
    outbox.publish()
    hold = outbox.begin(runs[0])
    outbox.pass_time(60)
    with outbox.world.plane.store.begin() as tx:
        tx.renew_lease(hold, runs[0].fencing + 1, 60, done=1)
    outbox.publish()
    assert [status for _, status, _ in outbox.checks("deploy/busy0")] == ["queued"]
    outbox.move(runs[5], Step.CANCEL)
    outbox.pass_time(60)
    with outbox.world.plane.store.begin() as tx:
        tx.renew_lease(hold, runs[0].fencing + 1, 60, done=1)
    outbox.publish()
    assert [status for _, status, _ in outbox.checks("deploy/busy0")] == ["in_progress"]
    for run in runs[1:5]:
        outbox.move(run, Step.CANCEL)
    outbox.move(runs[0], Step.FAIL)
    outbox.publish()


def test_never_more_than_60_writes_a_minute_and_an_answer_goes_first(outbox: Outbox) -> None:
    github, number = outbox.world.github, outbox.pull("crowd")
    outbox.pass_time(3600)
    for count in range(45):
        outbox.want_note(f"note{count}")
    outbox.publish_once()
    assert len(outbox.behind()) == 5
    page = outbox.world.plane.doors.reading.overview()
    assert [one.account for one in page.throttled] == ["acme"]
    outbox.say("an answer", number)
    outbox.publish_once()
    assert outbox.world.replies(outbox.repo, number) == ["an answer"]
    assert len(outbox.behind()) == 5
    assert outbox.jobs_for_later() == 5  # one look for each, however often it was looked at
    outbox.publish_once()
    assert outbox.jobs_for_later() == 5
    outbox.pass_time(61)
    outbox.publish_once()
    assert outbox.behind() == []
    assert outbox.world.plane.doors.reading.overview().throttled == ()
    assert github.secondary.refused == 0
    assert github.secondary.most_writes(f"installation-{outbox.repository.installation_id}") <= 60


def test_what_strangers_ask_leaves_room_for_checks_and_for_those_who_may_write(outbox: Outbox) -> None:
    number = outbox.pull("strangers")
    outbox.repo.set_permission("mallory", "read")
    for _ in range(12):  # each answer is a comment and a reaction
        outbox.world.comment(outbox.repo, number, "/trackside help", by="mallory")
        outbox.deliver_newest("issue_comment")
    outbox.publish_once()
    assert len(outbox.world.replies(outbox.repo, number)) == 10
    outbox.want_note("the stranger's neighbour")
    outbox.world.comment(outbox.repo, number, "/trackside help", by="alice")
    outbox.deliver_newest("issue_comment")
    assert [one.is_courtesy for one in outbox.replies_behind()].count(False) == 1
    outbox.publish_once()
    assert outbox.checks("the stranger's neighbour") == [("", "completed", "success")]
    assert len(outbox.world.replies(outbox.repo, number)) == 11
    assert [one.is_courtesy for one in outbox.replies_behind()] == [True] * 2
    outbox.publish()
    assert len(outbox.world.replies(outbox.repo, number)) == 13, "late, but answered"


@pytest.mark.parametrize(("login", "times"), [("alice", 2), ("mallory", 1)])
def test_only_who_may_write_is_told_at_once_that_a_command_was_heard(outbox: Outbox, login: str, times: int) -> None:
    number = outbox.pull(f"heard-{login}")
    outbox.repo.set_permission("mallory", "read")
    outbox.world.comment(outbox.repo, number, "/trackside plan", by=login)
    outbox.deliver_newest("issue_comment")
    newest = "SELECT wanted FROM reports WHERE kind = 'reply' ORDER BY created_at DESC, id DESC LIMIT 1"
    assert outbox.world.sql(newest) == [(times,)]


def test_who_edits_the_apps_comment_and_may_not_is_answered_last(outbox: Outbox) -> None:
    number = outbox.pull("edited")
    outbox.plan(
        outbox.run(outbox.stack("edited"), kind=RunType.PROPOSED, sha=outbox.repo.sha("edited"), pull_number=number)
    )
    outbox.publish()
    (comment,) = outbox.world.own_comments(outbox.repo, number)
    outbox.repo.edit_comment(comment, "mine", by="alice")
    outbox.repo.set_permission("alice", "read")
    outbox.deliver_newest("issue_comment")
    outbox.repo.set_permission("alice", "write")
    assert [one.is_courtesy for one in outbox.replies_behind()] == [True]


def test_notification_policies_leave_room_for_checks_however_much_they_say(outbox: Outbox) -> None:
    number = outbox.pull("noisy")
    for count in range(25):
        outbox.notify(f"key{count}", f"news {count}", number)
    outbox.publish_once()
    assert len(outbox.behind()) == 5
    outbox.want_note("beside the noise")
    outbox.publish_once()
    assert outbox.checks("beside the noise") == [("", "completed", "success")]
    assert len(outbox.behind()) == 5


def test_a_notice_whose_comment_was_deleted_is_said_anew_and_both_writes_are_counted(outbox: Outbox) -> None:
    number = outbox.pull("unsaid")
    outbox.notify("one", "before", number)
    outbox.publish()
    (said,) = outbox.repo.comments(number)
    outbox.repo.delete_comment(said, by="alice")
    counted, sent = outbox.counted(), len(outbox.writes())
    outbox.notify("one", "after", number)
    outbox.publish()
    assert outbox.world.replies(outbox.repo, number) == ["after"]
    open_ones = "SELECT 1 FROM remotes JOIN reports ON id = report_id WHERE kind = 'notice' AND NOT is_completed"
    assert outbox.world.sql(open_ones) == [], "what is said is done: no sweep looks at it again"
    assert outbox.counted() - counted == len(outbox.writes()) - sent == 2


def test_a_command_means_a_newer_plan_from_when_the_comment_shows_it_too(outbox: Outbox) -> None:
    """Until then whoever reads the comment reads of the plan before: what they wrote meanwhile may mean that one."""
    number = outbox.pull("newer")
    run = outbox.run(outbox.stack("newer"), sha=outbox.repo.sha("newer"), pull_number=number)
    outbox.plan(run)
    outbox.publish()
    outbox.replan(run)
    outbox.plan(run)
    outbox.publish()
    (comment,) = outbox.repo.comments(number)
    assert "plan 2" in comment.body
    moments = (
        "SELECT plans.published_at = remotes.published_at FROM plans JOIN reports ON reports.subject = '{number}'"
        " JOIN remotes ON remotes.report_id = reports.id WHERE plans.run_id = '{run}' AND reports.kind = 'comment'"
        " ORDER BY plans.number"
    )
    assert outbox.world.sql(moments.format(number=number, run=run.id)) == [(False,), (True,)]


def test_a_plan_that_the_comment_shows_before_its_check_does_can_be_confirmed(outbox: Outbox) -> None:
    number = outbox.pull("early")
    run = outbox.run(outbox.stack("early"), sha=outbox.repo.sha("early"), pull_number=number)
    outbox.plan(run)
    outbox.publish()
    outbox.replan(run)
    outbox.publish()
    outbox.plan(run)
    with outbox.world.plane.store.begin() as tx:
        comment = tx.find_comment(outbox.repository.id, number)
    assert comment is not None
    outbox.world.plane.tasks.publish(comment.id)
    assert "plan 2" in outbox.repo.comments(number)[0].body
    outbox.publish()
    outbox.world.comment(outbox.repo, number, "/trackside confirm early")
    outbox.deliver_newest("issue_comment")
    assert [one.state for one in outbox.world.runs("early")] == [RunState.CONFIRMED]
    outbox.finish(run, outbox.apply(run))


def test_what_github_says_of_its_limit_holds_for_all_and_is_on_the_page(outbox: Outbox) -> None:
    run = outbox.run(outbox.stack("refused"))
    outbox.world.github.trouble.hit_secondary_limit(retry_after_s=90)
    outbox.publish_once()
    sent = len(outbox.world.github.requests)
    outbox.want_note("meanwhile")
    outbox.publish_once()
    assert len(outbox.world.github.requests) == sent  # nothing is even tried
    detail = outbox.world.plane.doors.reading.find_run(run.id)
    assert detail is not None
    assert detail.throttled is not None
    assert detail.throttled.throttled is not None
    assert not detail.throttled.throttled.is_ours
    numbers = {gauge.name: dict(gauge.values) for gauge in outbox.world.plane.doors.gauges()}
    assert 80 < numbers["github_throttled_seconds"]["acme"] < 91  # type: ignore[index]
    outbox.pass_time(91)
    outbox.publish()
    assert outbox.checks("deploy/refused") == [("1", "queued", None)]


def test_the_last_of_githubs_limit_is_kept_for_answers(outbox: Outbox) -> None:
    number = outbox.pull("low")
    outbox.want_note("opens GitHub's hour")
    outbox.publish()
    outbox.world.github.rates.set_remaining(90)
    outbox.want_note("the one that shows it")
    outbox.publish_once()
    outbox.want_note("one more")
    outbox.say("still there", number)
    outbox.publish_once()
    assert outbox.world.replies(outbox.repo, number) == ["still there"]
    assert len(outbox.behind()) == 1
    outbox.publish()


def test_a_waiting_plan_asked_for_again_is_planned_again_by_whoever_may(outbox: Outbox) -> None:
    run = outbox.run(outbox.stack("again"))
    outbox.plan(run)
    outbox.publish()
    check = outbox.repo.check_run(None, "deploy/again")
    assert check is not None
    outbox.repo.rerequest(check, by="alice")
    outbox.repo.set_permission("alice", "read")
    outbox.deliver_newest("check_run")
    assert [one.is_courtesy for one in outbox.replies_behind()] == [True]
    outbox.publish()
    assert outbox.world.runs("again")[0].state is RunState.UNCONFIRMED
    assert "alice has read permission on acme/infra" in outbox.world.remarks(outbox.repo, outbox.repo.sha())[-1]
    outbox.repo.set_permission("alice", "write")
    outbox.repo.rerequest(check, by="alice")
    outbox.deliver_newest("check_run")
    (waiting,) = outbox.world.runs("again")
    assert (waiting.state, waiting.plan_number, waiting.decided_by) == (RunState.REPLAN_REQUESTED, 2, "alice")


def test_the_check_of_an_older_plan_asked_for_again_leaves_the_newer_one_waiting(outbox: Outbox) -> None:
    run = outbox.run(outbox.stack("twice"))
    outbox.plan(run)
    outbox.publish()
    older = outbox.repo.check_run(None, "deploy/twice")
    assert older is not None
    outbox.repo.rerequest(older, by="alice")
    outbox.deliver_newest("check_run")
    outbox.plan(run)
    outbox.publish()
    outbox.repo.rerequest(older, by="alice")
    outbox.deliver_newest("check_run")
    outbox.publish()
    (waiting,) = outbox.world.runs("twice")
    assert (waiting.state, waiting.plan_number) == (RunState.UNCONFIRMED, 2)
    assert "this check is of an older plan" in outbox.world.remarks(outbox.repo, outbox.repo.sha())[-1]
    newer = outbox.repo.check_run(None, "deploy/twice")
    assert newer is not None
    assert newer.id != older.id
    outbox.repo.rerequest(newer, by="alice")
    outbox.deliver_newest("check_run")
    (planned,) = outbox.world.runs("twice")
    assert (planned.state, planned.plan_number) == (RunState.REPLAN_REQUESTED, 3)


def test_all_checks_asked_for_again_plan_what_can_be_planned_and_apply_nothing(outbox: Outbox) -> None:
    number = outbox.pull("suite")
    sha = outbox.repo.sha("suite")
    preview = outbox.run(outbox.stack("preview"), kind=RunType.PROPOSED, sha=sha, pull_number=number)
    outbox.plan(preview)
    failed = outbox.run(outbox.stack("failed"), sha=sha)
    by_itself = outbox.run(outbox.stack("by-itself", autodeploy=True), sha=sha)
    for run in (failed, by_itself):
        outbox.move(run, Step.CANCEL)
    outbox.publish()
    outbox.repo.rerequest_suite("suite", by="alice")
    outbox.deliver_newest("check_suite")
    outbox.publish()
    states = {name: {run.state for run in outbox.world.runs(name)} for name in ("failed", "by-itself")}
    assert states == {"failed": {RunState.CANCELED, RunState.READY}, "by-itself": {RunState.CANCELED}}
    (said,) = outbox.world.remarks(outbox.repo, sha)
    assert "`autodeploy: true`" in said
    assert len(outbox.world.runs("preview")) == 2


def test_a_push_of_many_stacks_takes_few_writes_until_somebody_acts(outbox: Outbox) -> None:
    names = [f"many{number}" for number in range(40)]
    stacks = "".join(f"  - name: {name}\n    project_root: {name}\n" for name in names)
    files = {".trackside/stacks.yml": f"version: 1\nstacks:\n{stacks}"} | {f"{name}/main.tf": "#\n" for name in names}
    sha = outbox.world.push(outbox.repo, files, "Everything")
    outbox.deliver_newest("push")
    began = len(outbox.writes())
    outbox.publish_once()
    outbox.plan_all(at_once=8)
    assert len(outbox.writes()) - began <= 20
    summary = outbox.repo.check_run(sha, "trackside/deploy")
    assert summary is not None
    assert "40 waiting for confirmation" in (summary.title or "")


def test_a_late_command_is_answered_of_the_deployment_not_of_a_preview_made_since(outbox: Outbox) -> None:
    sha = outbox.repo.push(files={"late.md": "late\n"}, message="late", author="alice")
    stack = outbox.stack("since")
    run = outbox.run(stack, sha=sha)
    outbox.plan(run)
    outbox.move(run, Step.DISCARD)
    outbox.plan(outbox.run(stack, kind=RunType.PROPOSED, sha=sha))
    outbox.world.comment_on_commit(outbox.repo, sha, "/trackside discard since")
    outbox.deliver_newest("commit_comment")
    (reply,) = outbox.replies_behind()
    assert reply.body.startswith("Not done: the run of `since` was discarded already")
