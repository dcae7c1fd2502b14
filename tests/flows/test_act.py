"""A command on a page is the command of a button: the same rules, the same words, the same log."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.core.choice import Choice
from app.core.command import Command, Verb
from app.core.names import RunId, Sha, StackId
from app.core.report_check import shown_plan
from app.core.retry import run_mark
from app.core.run import Run, RunState, RunType, Step
from app.flows.act import Pressed
from app.flows.answer import Done, Not
from app.flows.control import Press
from tests.database import made_database
from tests.flows.visitors import CONFIRM, Visitors, open_visitors


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, server_url: str, database_template: str) -> Iterator[Visitors]:
    """One world for all: each test has a stack of its own there."""
    with (
        made_database(server_url, template=database_template) as url,
        open_visitors(tmp_path_factory.mktemp("visitors"), url) as made,
    ):
        yield made


@pytest.fixture
def visitors(shared: Visitors) -> Iterator[Visitors]:
    """The same, without what another test left waiting for a worker."""
    yield shared
    for run in shared.outbox.world.runs():
        if run.state in (RunState.READY, RunState.QUEUED):
            shared.outbox.move(run, Step.CANCEL)
        elif run.state is RunState.REPLAN_REQUESTED:
            shared.outbox.move(run, Step.DISCARD)


def waiting(visitors: Visitors, name: str) -> Run:
    """A planned run of a new stack."""
    outbox = visitors.outbox
    return outbox.plan(outbox.run(outbox.stack(name)))


def now(visitors: Visitors, run: Run) -> Run:
    """The run as it is by now."""
    with visitors.outbox.world.plane.store.begin() as tx:
        return tx.get_run(run.id)


def by_button(visitors: Visitors, login: str, run: Run, verb: Verb) -> str:
    """The words that a click on the run's check, as it was shown with `run`, is answered with."""
    control, repository = visitors.act.control, visitors.outbox.repository
    person = control.person(repository, login, "button")
    assert run.plan is not None
    press = Press(
        repository=repository,
        run=run,
        command=Command(verb=verb),
        digest_start=run.plan.digest[:16],
        shown_plan=shown_plan(f"{run.id}/{run.plan.number}"),
    )
    found = control.look_at(press, person)
    with control.store.begin() as tx:
        return control.obey(tx, press, found, person).text


def test_a_plan_is_confirmed_by_its_digest_and_the_confirmation_says_that_it_was_on_a_page(visitors: Visitors) -> None:
    run = waiting(visitors, "confirmed")
    assert isinstance(visitors.press("alice", run, CONFIRM), Done)
    assert now(visitors, run).state is RunState.CONFIRMED
    assert visitors.audit()[-1] == ("alice", "page", f"confirm {run.id}", True)
    assert visitors.outbox.world.sql("SELECT actor, source FROM confirmations") == [("alice", "page")]
    visitors.outbox.finish(run, visitors.outbox.apply(run))


@pytest.mark.parametrize("verb", [Verb.CONFIRM, Verb.DISCARD, Verb.REPLAN])
def test_an_older_page_decides_nothing_and_says_what_an_older_button_says(visitors: Visitors, verb: Verb) -> None:
    run = waiting(visitors, f"older-{verb.value}")
    outbox = visitors.outbox
    newer = outbox.plan(outbox.replan(run))
    assert (newer.plan_number, newer.state) == (2, RunState.UNCONFIRMED)
    said = visitors.press("alice", run, Command(verb=verb))
    assert isinstance(said, Not)
    assert "has changed since that button was shown" in said.text
    assert said.text == by_button(visitors, "alice", run, verb)
    assert now(visitors, run) == newer


@pytest.mark.parametrize("digest", ["", "0" * 16])
def test_a_page_that_showed_no_plan_or_another_one_decides_about_none(visitors: Visitors, digest: str) -> None:
    run = waiting(visitors, f"blind-{len(digest)}")
    for verb in (Verb.CONFIRM, Verb.DISCARD, Verb.REPLAN):
        said = visitors.press("alice", run, Command(verb=verb), digest=digest)
        assert isinstance(said, Not)
        assert "has changed since" in said.text
    assert now(visitors, run).state is RunState.UNCONFIRMED


def test_who_may_not_is_refused_with_the_reason_and_who_may_not_read_is_told_nothing(visitors: Visitors) -> None:
    run = waiting(visitors, "forbidden")
    said = visitors.press("bob", run, CONFIRM)
    assert isinstance(said, Not)
    assert "bob has read permission on acme/infra, and confirm needs write" in said.text
    assert said.text == by_button(visitors, "bob", run, Verb.CONFIRM)
    before = visitors.audit()
    assert visitors.press("mallory", run, CONFIRM) is None
    nobodys = replace(run, id=RunId("01JD0000000000000000000000"))
    assert visitors.press("alice", nobodys, CONFIRM) is None
    assert visitors.audit() == before
    assert now(visitors, run).state is RunState.UNCONFIRMED


def test_the_permission_is_asked_at_the_moment_of_the_command(visitors: Visitors) -> None:
    run, repo = waiting(visitors, "moment"), visitors.outbox.repo
    alice = visitors.visitor("alice")
    assert visitors.visits.permission(alice, visitors.outbox.repository).value == "write"
    repo.set_permission("alice", "read")
    pressed = Pressed(command=CONFIRM, digest_start=run.plan.digest[:16] if run.plan else "", shown_plan=1)
    said = visitors.act.on_run(alice, run.id, pressed, reads_all=False)
    repo.set_permission("alice", "write")
    assert isinstance(said, Not)
    assert "alice has read permission" in said.text


def test_somebody_else_who_has_the_login_by_now_has_nothing_of_the_session(visitors: Visitors) -> None:
    run = waiting(visitors, "renamed")
    alice = visitors.visitor("alice")
    stranger = replace(alice, session=replace(alice.session, account=replace(alice.session.account, id=4_711)))
    pressed = Pressed(command=CONFIRM, digest_start=run.plan.digest[:16] if run.plan else "", shown_plan=1)
    assert visitors.act.on_run(stranger, run.id, pressed, reads_all=False) is None
    said = visitors.act.on_run(stranger, run.id, pressed, reads_all=True)
    assert isinstance(said, Not)
    assert "alice has no permission" in said.text


def test_a_superseded_plan_is_not_confirmed(visitors: Visitors) -> None:
    run = waiting(visitors, "superseded")
    store = visitors.outbox.world.plane.store
    with store.begin() as tx:
        tx.save_stack(replace(tx.get_stack(run.stack_id), head_seq=run.head_seq + 1))
    said = visitors.press("alice", run, CONFIRM)
    assert isinstance(said, Not)
    assert said.text == by_button(visitors, "alice", run, Verb.CONFIRM)
    assert "--even-if-superseded" in said.text


def test_a_part_is_planned_by_the_numbers_of_what_was_ticked(visitors: Visitors) -> None:
    run = waiting(visitors, "part")
    choice = Choice(is_only=True, only=("99",))
    said = visitors.press("alice", run, Command(verb=Verb.REPLAN, choice=choice))
    assert isinstance(said, Not), "the plan by hand lists no changes"
    assert visitors.audit()[-1] == ("alice", "page", f"replan {run.id} only 99", False)


def test_what_was_discarded_is_made_again_once(visitors: Visitors) -> None:
    run = waiting(visitors, "again")
    assert isinstance(visitors.press("alice", run, Command(verb=Verb.DISCARD, note="not today")), Done)
    over = now(visitors, run)
    assert (over.state, over.decided_by) == (RunState.DISCARDED, "alice")
    mark = run_mark(run.id)[:16]
    assert isinstance(visitors.press("alice", over, Command(verb=Verb.RETRY), digest=mark), Done)
    again = visitors.press("alice", over, Command(verb=Verb.RETRY), digest=mark)
    assert isinstance(again, Not)
    assert [one.retry_of for one in visitors.outbox.world.runs("again")] == [None, run.id]


def test_a_run_is_canceled_before_it_starts_and_stopped_while_it_is_planned(visitors: Visitors) -> None:
    outbox = visitors.outbox
    ready = outbox.run(outbox.stack("cancel"))
    assert isinstance(visitors.press("alice", ready, Command(verb=Verb.CANCEL)), Done)
    assert now(visitors, ready).state is RunState.CANCELED
    planning = outbox.run(outbox.stack("stop"))
    outbox.begin(planning)
    assert isinstance(visitors.press("alice", planning, Command(verb=Verb.STOP)), Done)
    assert visitors.audit()[-1] == ("alice", "page", f"stop {planning.id}", True)


def test_a_preview_is_planned_again_from_its_page_as_long_as_it_shows_its_plan(visitors: Visitors) -> None:
    outbox = visitors.outbox
    run = outbox.plan(outbox.run(outbox.stack("preview"), kind=RunType.PROPOSED))
    assert run.state is RunState.FINISHED
    for verb in (Verb.PLAN, Verb.DEPLOY):
        assert isinstance(visitors.press("alice", run, Command(verb=verb), digest=""), Not)
        assert isinstance(visitors.press("bob", run, Command(verb=verb)), Not)
    assert isinstance(visitors.press("alice", run, Command(verb=Verb.PLAN)), Done)
    assert [one.type for one in outbox.world.runs("preview")] == [RunType.PROPOSED] * 2
    assert visitors.audit()[-1] == ("alice", "page", f"plan preview {run.head_sha}", True)


def test_reviews_are_refused_where_no_policy_asks_for_any(visitors: Visitors) -> None:
    run = waiting(visitors, "review")
    said = visitors.press("alice", run, Command(verb=Verb.APPROVE, note="fine"))
    assert isinstance(said, Not)
    assert said.text == by_button(visitors, "alice", run, Verb.APPROVE)


def test_a_stack_is_locked_and_given_back_by_whoever_took_it(visitors: Visitors) -> None:
    stack, store = visitors.outbox.stack("kept"), visitors.outbox.world.plane.store

    def press(login: str, verb: Verb, stack_id: StackId = stack.id) -> Done | Not | None:
        command = Command(verb=verb, note="mine")
        return visitors.act.on_stack(visitors.visitor(login), stack_id, command, reads_all=False)

    assert isinstance(press("bob", Verb.LOCK), Not)
    assert press("mallory", Verb.LOCK) is None
    assert press("alice", Verb.LOCK, StackId("01JD0000000000000000000000")) is None
    assert isinstance(press("alice", Verb.LOCK), Done)
    with store.begin() as tx:
        assert (tx.get_stack(stack.id).lock_owner, tx.get_stack(stack.id).lock_note) == ("alice", "mine")
    assert isinstance(press("root", Verb.UNLOCK), Done)
    assert visitors.audit()[-1] == ("root", "page", "unlock kept", True)


def test_a_stack_is_deployed_from_its_branch_and_not_by_whoever_reads(visitors: Visitors) -> None:
    outbox = visitors.outbox
    stack = outbox.stack("deployed")

    def press(login: str, sha: str = "") -> Done | Not | None:
        command = Command(verb=Verb.DEPLOY, sha=sha)
        return visitors.act.on_stack(visitors.visitor(login), stack.id, command, reads_all=False)

    refused = press("bob")
    assert isinstance(refused, Not)
    assert "deploy needs write" in refused.text
    assert isinstance(press("alice"), Done)
    (run,) = outbox.world.runs("deployed")
    assert (run.head_sha, run.triggered_by) == (Sha(outbox.repo.sha()), "alice")
    assert isinstance(press("alice", sha=outbox.repo.sha()), Not), "it is under way"
