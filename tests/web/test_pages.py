"""The pages: what they say, and that hostile text stays text. Who sees them: test_pages_door.py."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from app.core.budget import Budget, Lane, Spending, pause
from app.core.choice import Targeting
from app.core.names import InstallationId, RunId
from app.core.notice import Channel, Outcome
from app.core.plan import Action, Attribute, Change, Counts, Delta, Kind, ModuleCounts, PlanSummary
from app.core.report_check import check_prose
from app.core.rest import Rest
from app.core.run import RunState, RunType, Step
from app.core.words_notice import REMOVED, SWITCHED_OFF
from app.core.words_run import word_of
from app.web.doors import StackDetail
from app.web.pages import LOG_TAIL_BYTES, REVIEWS_ON_RUN, log_tail, run_view
from tests.web.made import (
    CHANGES,
    EVIL,
    LOG,
    REPOSITORY,
    RUN,
    detail,
    facts,
    history,
    hostile,
    log,
    message,
    put,
    review,
    run,
    stack,
)
from tests.web.memory import STACK, World

_MARKS = re.compile(r"<[^>]*>|[`*]|^- ", re.MULTILINE)


def words(markup: str) -> str:
    """What a reader reads of HTML or Markdown: no tags, no marks, one blank between words."""
    return " ".join(unescape(_MARKS.sub("", markup)).split())


PAGES = ("/", f"/stacks/{STACK}", f"/runs/{RUN}", f"/runs/{RUN}/changes", f"/runs/{RUN}/strip.svg", f"/runs/{RUN}/log")


def test_a_waiting_run_says_what_confirms_it(world: World) -> None:
    put(world)
    text = world.client().get(f"/runs/{RUN}").text
    assert "<code>/trackside confirm network</code> applies exactly this plan" in text
    assert f"trackside confirm {RUN}" in text
    assert "+1 ~1 ±1 -1 · outputs +1 · waiting for confirmation" in text
    assert f'href="https://github.example.org/acme/infrastructure/commit/{run().head_sha}"' in text


def test_a_page_says_until_when_github_has_the_app_wait(world: World) -> None:
    at = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
    budget = pause(Budget(), Lane.ANSWER, at + timedelta(minutes=5), at)
    spending = Spending(installation_id=InstallationId(5), account=f"acme{EVIL}", budget=budget, at=at)
    for throttled, is_said in ((None, False), (spending, True)):
        put(world, replace(detail(), throttled=throttled))
        for page in ("/", f"/runs/{RUN}"):
            text = world.client().get(page).text
            assert ("follow from 12:05:00 UTC on" in text) is is_said
            assert EVIL not in text


def test_changes_are_numbered_as_in_the_check_with_what_was_and_will_be(world: World) -> None:
    put(world)
    text = world.client().get(f"/runs/{RUN}").text
    assert [f'id="change-{number}"' in text for number in (1, 2, 3, 4, 5, 6)] == [True] * 5 + [False]
    for words in (
        "forces replacement",
        "(sensitive)",
        "(known after apply)",
        "moved from",
        "exec /srv/api --port 8080",
    ):
        assert words in text
    assert "… and 2 more" in text


def test_the_counts_are_a_picture_too_and_the_modules_a_table(world: World) -> None:
    modules = (ModuleCounts(counts=Counts(create=1)), ModuleCounts(module='module.a["<b>"]', counts=Counts(delete=2)))
    lines = ("@3", " kept", "-gone\u202e", "+<b>new", "…7")
    text_change = Change(
        number=1,
        kind=Kind.RESOURCE,
        action=Action.UPDATE,
        address="terraform_data.script",
        attributes=(Attribute(name="input", lines=lines, lines_left_out=2),),
        hidden=1,
    )
    put(world, detail(summary=PlanSummary(changes=(text_change,), modules=modules, modules_left_out=3)))
    client = world.client()
    text = client.get(f"/runs/{RUN}").text
    assert f'src="/runs/{RUN}/strip.svg"' in text
    assert "module.a[&#34;&lt;b&gt;&#34;]" in text
    assert "… and 3 more modules" in text
    assert "1 sensitive value hidden" in text
    for row in (
        '<span class="part">from line 3</span>',
        '<span class="same">  kept</span>',
        '<span class="del">- gone\\u202e</span>',
        '<span class="add">+ &lt;b&gt;new</span>',
        '<span class="part">… lines left out: 7</span>',
        '<span class="part">… lines left out: 2</span>',
    ):
        assert row in text, row
    picture = client.get(f"/runs/{RUN}/strip.svg")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/svg+xml")
    assert picture.text.count("<rect") == 5
    put(world, detail(run(RunState.QUEUED, plan=None), summary=None))
    assert client.get(f"/runs/{RUN}/strip.svg").status_code == 404


def test_a_superseded_run_does_not_offer_to_be_confirmed(world: World) -> None:
    put(world, detail(facts=facts(stack_head_seq=4)))
    text = world.client().get(f"/runs/{RUN}").text
    assert "Superseded: a newer commit of the stack has arrived." in text
    assert "confirm network<" not in text
    assert "--even-if-superseded" in text


def test_changed_settings_offer_another_plan(world: World) -> None:
    put(world, detail(facts=facts(stack_digest="6" * 64)))
    text = world.client().get(f"/runs/{RUN}").text
    assert "can no longer be confirmed" in text
    assert "<code>/trackside replan network</code>" in text


def test_a_failed_run_says_why(world: World) -> None:
    failed = run(RunState.FAILED, plan=None, reason="terraform plan exited 1: main.tf:3: Unsupported argument")
    put(world, detail(failed, summary=None))
    assert "main.tf:3: Unsupported argument" in world.client().get(f"/runs/{RUN}").text


def test_an_unknown_outcome_says_so(world: World) -> None:
    put(world, detail(run(RunState.FAILED, is_outcome_unknown=True), facts=facts(stack_hold="outcome unknown")))
    text = world.client().get(f"/runs/{RUN}").text
    assert "It is not known what was applied" in text
    assert "The stack is on hold" in text


def test_a_queued_run_says_for_what_it_waits(world: World) -> None:
    blocker = run(id="01JD00000000000000000000R0")
    put(world, detail(run(RunState.QUEUED, plan=None), blocked_by=blocker, summary=None, history=()))
    text = world.client().get(f"/runs/{RUN}").text
    assert '<a href="/runs/01JD00000000000000000000R0"><code>01JD00000000000000000000R0</code></a>' in text


@pytest.mark.parametrize("state", list(RunState))
def test_the_page_says_what_the_check_says(world: World, state: RunState) -> None:
    made = detail(
        run(state, retry_of=RunId("01JD00000000000000000000R8"), reason="as it was", decided_by="alice"),
        facts=facts(
            position=2,
            lock_owner="bob",
            lock_note="migrating",
            failed_before=RunId("01JD00000000000000000000R9"),
            failed_before_sha="f" * 40,
            stack_hold="outcome unknown",
            is_stale=True,
        ),
    )
    put(world, made)
    page = words(world.client().get(f"/runs/{RUN}").text)
    said = check_prose(run_view(made, world.doors()))
    for line in said.splitlines():
        assert words(line) in page, line


def test_a_part_of_a_plan_names_what_was_pulled_in_and_what_is_pending(world: World) -> None:
    part = PlanSummary(delta=Delta(resources=Counts(create=1, replace=1)), changes=(CHANGES[1], CHANGES[2]))
    chosen = Targeting(of_plan=1, chosen=(CHANGES[2].address,))
    whole = PlanSummary(changes=CHANGES)
    plan = run().plan
    put(world, detail(run(targeting=chosen), summary=part, whole=whole))
    waiting = world.client().get(f"/runs/{RUN}").text
    assert "This is a part of plan 1" in waiting
    assert "One change was pulled in beyond the choice" in waiting
    assert waiting.count('<span class="note">pulled in beyond the choice</span>') == 1
    assert plan is not None
    applied = run(RunState.FINISHED, targeting=chosen, confirmed_digest=plan.digest, decided_by="alice")
    put(world, detail(applied, summary=part, whole=whole))
    assert "Of plan 1, 3 changes are still pending." in world.client().get(f"/runs/{RUN}").text


def test_lists_tell_a_deployment_from_a_preview_and_name_parts_and_retries(world: World) -> None:
    kinds = (
        run(type=RunType.PROPOSED),
        run(type=RunType.DESTROY),
        run(plan_number=3, targeting=Targeting(of_plan=1)),
        run(retry_of=RunId(RUN)),
    )
    for number, one in enumerate(kinds):
        put(world, detail(replace(one, id=RunId(f"01JD0000000000000000000{number:03d}"))))
    text = world.client().get("/").text
    for shown in ("plan/network", "destroy/network", "deploy/network", "part of plan 1", "retry"):
        assert f">{shown}</" in text


def test_a_part_that_was_applied_is_called_one_with_what_is_pending(world: World) -> None:
    plan = run().plan
    assert plan is not None
    parts = [replace(plan, rest=rest) for rest in (Rest(least=3, most=3), Rest(least=0, most=0))]
    for number, one in enumerate(parts):
        made = run(RunState.FINISHED, targeting=Targeting(of_plan=1), plan=one, confirmed_digest=plan.digest)
        put(world, detail(replace(made, id=RunId(f"01JD0000000000000000000{number:03d}"))))
    rows = world.client().get("/").text.partition("Recent runs")[2].split("<tr>")
    assert [">applied a part</span>" in row for row in rows[2:]] == [True, False]
    assert ["part of plan 1, 3 changes still pending" in row for row in rows[2:]] == [True, False]
    assert ">applied</span>" in rows[3]


@pytest.mark.parametrize("state", [RunState.UNCONFIRMED, RunState.PENDING_REVIEW, RunState.PREPARING_APPLY])
def test_no_page_calls_a_state_by_the_word_of_the_table(world: World, state: RunState) -> None:
    made = detail(run(state), history=history((RunState.QUEUED, Step.RELEASE, state, "trackside", "")))
    put(world, made)
    world.shelf.stacks[STACK] = StackDetail(stack=stack(), repository=REPOSITORY, runs=(made.run,))
    for path in ("/", f"/stacks/{STACK}", f"/runs/{RUN}", f"/runs/{RUN}/changes"):
        text = world.client().get(path).text
        assert f">{word_of(made.run)}</span>" in text, path
        for raw in ("unconfirmed", "pending_review", "pending review", "preparing_", "preparing apply", "_requested"):
            assert raw not in text, (path, raw)


def test_a_run_says_what_people_said_of_its_plans_and_what_counts(world: World) -> None:
    told = (
        review("bob", plan_number=1),
        review("bob", is_approval=False, note="wait", role="maintain"),
        review("carol", is_approval=False, note=EVIL),
        review("Bob", note="now it is right"),
    )
    put(world, detail(run(plan_number=2), reviews=told))
    page = world.client().get(f"/runs/{RUN}").text
    rows = [words(re.sub(r"</td>", " | ", row)) for row in page.partition("Reviews</h2>")[2].split("<tr>")[2:6]]
    assert [row.partition("UTC | ")[2].partition("</table>")[0] for row in rows[:2]] == [
        "bob | approved | plan 1 | does not count: plan 2 is newer | |",
        "bob maintain | rejected | plan 2 | does not count: they said more later | wait |",
    ]
    assert "carol | rejected | plan 2 | counts |" in rows[2]
    assert "Bob | approved | plan 2 | counts | now it is right |" in rows[3]
    assert EVIL not in page
    put(world)
    assert "Reviews" not in world.client().get(f"/runs/{RUN}").text


def test_a_long_discussion_shows_its_end_and_counts_the_rest(world: World) -> None:
    put(world, detail(reviews=tuple(review("bob", note=f"word {number}") for number in range(REVIEWS_ON_RUN + 3))))
    page = world.client().get(f"/runs/{RUN}").text
    assert "3 before these are not shown" in page
    assert ("<td>word 2</td>" in page, "<td>word 3</td>" in page) == (False, True)


@pytest.mark.parametrize(
    ("title", "said"), [("Move the <b>network</b>", "#7 Move the &lt;b&gt;network"), ("", "#7</a>")]
)
def test_a_run_leads_to_its_pull_request(world: World, title: str, said: str) -> None:
    put(world, detail(pull_number=7, pull_title=title))
    page = world.client().get(f"/runs/{RUN}").text
    assert f'href="https://github.example.org/acme/infrastructure/pull/7">{said}' in page
    put(world)
    assert "/pull/" not in world.client().get(f"/runs/{RUN}").text


def test_what_cannot_be_seen_names_the_setting_and_nothing_of_this_installation(world: World) -> None:
    put(world)
    world.settings["public_url"] = "https://trackside.example.org"
    text = world.client(peer="203.0.113.9").get(f"/runs/{RUN}").text
    for named in ("<code>PAGES_ACCESS</code>", "<code>loopback</code>", "<code>open</code>", "<code>PUBLIC_URL</code>"):
        assert named in text
    assert "example.org" not in text
    world.settings |= {"pages_access": "open"}
    assert world.client(peer="203.0.113.9").get("/runs/nothing").text == text, "which of them it is, is not told"


def test_a_stack_says_what_keeps_it_and_what_sets_it_free(world: World) -> None:
    put(world)
    kept = stack(
        hold_reason="outcome unknown", lock_owner="bob", lock_note="migrating", lock_key="PR-12", locked_by="a policy"
    )
    world.shelf.stacks[STACK] = StackDetail(stack=kept, repository=REPOSITORY, runs=())
    page = words(world.client().get(f"/stacks/{STACK}").text)
    for said in (
        "The stack is on hold: outcome unknown.",
        "bob has locked the stack (migrating): only their runs go ahead.",
        "Locked with the key PR-12 by a policy: only runs with that key go ahead.",
        "/trackside unlock network takes the hold away.",
        f"trackside unlock {STACK}",
    ):
        assert said in page
    overview = world.client().get("/").text
    assert ">on hold</span>" in overview
    assert ">locked</span>" in overview


def test_the_sections_of_a_log_stand_out(world: World) -> None:
    put(world)
    text = world.client().get(f"/runs/{RUN}").text
    assert '<b class="section">── fetch ──</b>\ncommit a1b2c3d\n<b class="section">── init ──</b>\n' in text


def test_an_attestation_is_linked_where_there_is_one(world: World) -> None:
    put(world, detail(run(RunState.FINISHED), attestation=b'{"payload": ""}'))
    client = world.client()
    assert f'href="/runs/{RUN}/attestation"' in client.get(f"/runs/{RUN}").text
    assert client.get(f"/runs/{RUN}/attestation").content == b'{"payload": ""}'
    put(world)
    assert "attestation" not in client.get(f"/runs/{RUN}").text


@pytest.mark.parametrize("state", list(RunState))
def test_every_state_has_a_page_that_reloads_only_while_it_moves_by_itself(world: World, state: RunState) -> None:
    put(world, detail(run(state)))
    answer = world.client().get(f"/runs/{RUN}")
    assert answer.status_code == 200
    is_passive = state.is_terminal or state in (RunState.UNCONFIRMED, RunState.PENDING_REVIEW)
    assert ('http-equiv="refresh"' in answer.text) is not is_passive


def test_a_run_says_who_was_told_of_it(world: World) -> None:
    told = (
        message(Channel.WEBHOOK, Outcome.SENT, to="ci", number=3),
        message(Channel.WEBHOOK, Outcome.REFUSED, reason="there is no endpoint `no`"),
        message(Channel.PULL_REQUEST, Outcome.SHOWN, to="#7"),
        message(Channel.SLACK, Outcome.DROPPED, to="slack:C0AB", reason=SWITCHED_OFF),
        message(Channel.WEBHOOK, Outcome.DROPPED, to="old", reason=REMOVED),
        message(Channel.WEBHOOK, Outcome.FAILED, to="ci", reason="it answers 500"),
        message(Channel.INBOX, Outcome.SHOWN, title="look at this", body="ten are deleted", severity="WARNING"),
    )
    put(world, detail(messages=told))
    page = words(re.sub(r"<t[dr]>|</td>", " ", world.client().get(f"/runs/{RUN}").text))
    for said in (
        "sent webhook ci tell",
        "refused webhook",
        "there is no endpoint no",
        "shown pull request #7 tell",
        "switched off slack C0AB tell",
        "removed webhook old tell",
        "not sent webhook ci tell it answers 500",
    ):
        assert said in page
    text = world.client().get(f"/runs/{RUN}").text
    assert '<span class="badge decide">warning</span> look at this' in text
    assert '<span class="badge bad">switched off</span>' in text
    put(world)
    assert "Notifications" not in world.client().get(f"/runs/{RUN}").text


def test_hostile_text_stays_text_everywhere(world: World) -> None:
    made = hostile()
    put(world, made)
    settings = replace(
        stack().settings, name=EVIL, project_root=EVIL, branch=EVIL, labels=(EVIL,), environment={EVIL: ""}
    )
    owner = replace(REPOSITORY, owner=EVIL, name=EVIL)
    shown = StackDetail(stack=stack(settings=settings, hold_reason=EVIL), repository=owner, runs=(made.run,))
    world.shelf.stacks[STACK] = shown
    world.shelf.runs[RUN] = replace(made, repository=owner)
    world.shelf.logs[RUN] = log(EVIL.encode(), b"</pre><script>log</script>\xff\n")
    client = world.client()
    for path in PAGES[:4]:
        text = client.get(path).text
        for bad in ("<script", "<img src=x", "{{ 7*7 }}\u202e", "\u202e", "\x1b", "\x00", 'href="javascript'):
            assert bad not in text, (path, bad)
        assert "49" not in text.partition("<main>")[2].replace("2026", ""), path
        assert "&lt;script&gt;alert(1)" in text, path


def test_the_values_of_variables_are_on_no_page(world: World) -> None:
    put(world)
    client = world.client()
    for path in PAGES:
        assert "hunter2" not in client.get(path).text
    assert "TF_VAR_password" in client.get(f"/stacks/{STACK}").text


def test_the_log_is_plain_text(world: World) -> None:
    put(world)
    world.shelf.logs[RUN] = log(b"<script>\n", b"\xfftwo\n")
    answer = world.client().get(f"/runs/{RUN}/log")
    assert answer.content == b"<script>\n\xfftwo\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_long_log_shows_its_end_from_the_beginning_of_a_line() -> None:
    lines = [b"line %06d\n" % number for number in range(20_000)]
    whole = b"".join(lines)
    tail = log_tail(whole[-LOG_TAIL_BYTES:], len(whole) - LOG_TAIL_BYTES)
    assert tail.text.startswith("line ")
    assert tail.text.endswith("line 019999\n")
    assert LOG_TAIL_BYTES - 20 < len(tail.text) <= LOG_TAIL_BYTES
    assert tail.left_out_bytes == len(whole) - len(tail.text)


def test_a_short_log_is_shown_whole_without_its_colours() -> None:
    tail = log_tail(b"".join(chunk.text for chunk in LOG), 0)
    assert tail.left_out_bytes == 0
    assert "terraform_data.network: Plan to update\nPlan: 2" in tail.text


def test_many_changes_are_shown_in_pages_with_exact_counts(world: World) -> None:
    changes = tuple(
        Change(number=number, kind=Kind.RESOURCE, action=Action.CREATE, address=f"terraform_data.x[{number}]")
        for number in range(1, 601)
    )
    delta = Delta(resources=Counts(create=700))
    put(world, detail(summary=PlanSummary(delta=delta, changes=changes, changes_left_out=100)))
    client = world.client()
    first = client.get(f"/runs/{RUN}").text
    assert "All 600 listed changes" in first
    assert "100 more are not listed" in first
    assert "changes 251 to 500 of 700" in client.get(f"/runs/{RUN}/changes?page=2").text
    assert "100 more changes are counted but not listed" in client.get(f"/runs/{RUN}/changes?page=3").text
    for page in ("0", "4", "-1", "x", "99999", "1e9", "²"):
        assert client.get(f"/runs/{RUN}/changes?page={page}").status_code == 404
