"""Every sentence that the App says in a reply, as it is said."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from markdown_it import MarkdownIt

from app.core import words
from app.core.command import Unreadable, Verb, help_text
from app.core.names import RunId, Sha
from app.core.run import Run, RunState
from tests.core.made import CONFIRMED, WAITING, run_in

PREFIX = "/trackside"
OTHER = replace(WAITING, id=RunId("01JDV3F4K5M6N7P8Q9R0S1T2V4"), stack_name="dns", message="", head_sha=Sha("b" * 40))


def test_refusals() -> None:
    assert {
        "not_permitted": words.not_permitted("alice has read permission on acme/infra, and confirm needs write"),
        "no_run": words.no_run(Verb.CONFIRM, ""),
        "no_run to stop": words.no_run(Verb.STOP, ""),
        "no_run to cancel": words.no_run(Verb.CANCEL, ""),
        "no_run to retry": words.no_run(Verb.RETRY, ""),
        "no_run named": words.no_run(Verb.DISCARD, "netwrk"),
        "no_run near": words.no_run(Verb.DISCARD, "netwrk", nearest="/trackside discard network"),
        "ambiguous": words.ambiguous(Verb.CONFIRM, [WAITING, OTHER], PREFIX),
        "plan_changed": words.plan_changed(Verb.DISCARD, replace(WAITING, plan_number=2), PREFIX),
        "comment_too_old": words.comment_too_old(Verb.CONFIRM, replace(WAITING, plan_number=2), PREFIX),
        "superseded": words.superseded(WAITING, PREFIX),
        "settings_changed": words.settings_changed(WAITING, PREFIX),
        "detached": words.detached(WAITING),
        "too_late": words.too_late(Verb.REPLAN, PREFIX),
    } == snapshot(
        {
            "not_permitted": "Not done: alice has read permission on acme/infra, and confirm needs write. Somebody who has it can give the same command.",  # noqa: E501 - a sentence as it is said
            "no_run": "Nothing to confirm: no run of this commit or pull request waits for a decision.",
            "no_run to stop": "Nothing to stop: no run of this commit or pull request is being planned.",
            "no_run to cancel": "Nothing to cancel: no run of this commit or pull request is still to start.",
            "no_run to retry": "Nothing to retry: no run of this commit or pull request ended so that it could be made again.",  # noqa: E501 - a sentence as it is said
            "no_run named": "Nothing to discard: `netwrk` is neither a stack with a run here nor a run of this repository. The name is the one after `deploy/` in the check's name.",  # noqa: E501 - a sentence as it is said
            "no_run near": "Nothing to discard: `netwrk` is neither a stack with a run here nor a run of this repository. Did you mean `/trackside discard network`?",  # noqa: E501 - a sentence as it is said
            "ambiguous": """\
Several runs could be meant, so I did nothing. Which one should I confirm?

- `/trackside confirm network` (waiting for confirmation, `3fa9c1d` `Move the VPC (#42)`)
- `/trackside confirm dns` (waiting for confirmation, `bbbbbbb`)\
""",
            "plan_changed": "Not done: the plan of `network` has changed since that button was shown. Read plan 2 first, then press its button or write `/trackside discard network`.",  # noqa: E501 - a sentence as it is said
            "comment_too_old": "Not done: plan 2 of `network` was published after your comment, so you cannot have meant it. Read it, then write `/trackside confirm network` again.",  # noqa: E501 - a sentence as it is said
            "superseded": "Not done: a newer commit of `network` has arrived since `3fa9c1d`. `/trackside discard network` makes way for it; `/trackside confirm 01JDV3F4K5M6N7P8Q9R0S1T2V3 --even-if-superseded` applies this older plan all the same.",  # noqa: E501 - a sentence as it is said
            "settings_changed": "Not done: the settings of `network` in the stacks file changed since this plan was made. `/trackside replan network` makes a plan with the settings that are in force.",  # noqa: E501 - a sentence as it is said
            "detached": "Not done: `network` is not in the stacks file any more. Put it back there, or say under its new name that it was `renamed_from` this one.",  # noqa: E501 - a sentence as it is said
            "too_late": "Not done: your command reached me late, and things may have changed. Please repeat it: `/trackside replan`",  # noqa: E501 - a sentence as it is said
        }
    )


def test_a_command_that_the_state_does_not_take() -> None:
    decided = replace(run_in(RunState.DISCARDED), decided_by="bob")
    assert {
        "finished": words.not_waiting(Verb.CONFIRM, run_in(RunState.FINISHED), PREFIX),
        "discarded": words.not_waiting(Verb.CONFIRM, decided, PREFIX),
        "confirmed": words.not_waiting(Verb.DISCARD, CONFIRMED, PREFIX),
        "planning": words.not_waiting(Verb.CONFIRM, run_in(RunState.PLANNING), PREFIX),
        "queued": words.not_waiting(Verb.CONFIRM, run_in(RunState.QUEUED), PREFIX),
        "replan requested": words.not_waiting(Verb.CONFIRM, run_in(RunState.REPLAN_REQUESTED), PREFIX),
    } == snapshot(
        {
            "finished": "Not done: the run of `network` has ended already (planned only), so there is nothing to confirm. The next push to the stack makes the next run.",  # noqa: E501 - a sentence as it is said
            "discarded": "Not done: the run of `network` was discarded already by `bob`, so there is nothing to confirm. What it takes now: `/trackside retry network`.",  # noqa: E501 - a sentence as it is said
            "confirmed": "Not done: the run of `network` was confirmed already by `bob` (confirmed), so there is nothing to discard. A confirmed run cannot be stopped; its check says how it ends.",  # noqa: E501 - a sentence as it is said
            "planning": "Not done: the run of `network` is still being planned (planning), so there is nothing to confirm. What it takes now: `/trackside stop network`.",  # noqa: E501 - a sentence as it is said
            "queued": "Not done: the run of `network` has not been planned yet (queued), so there is nothing to confirm. What it takes now: `/trackside cancel network`.",  # noqa: E501 - a sentence as it is said
            "replan requested": "Not done: the run of `network` is still being planned (replan requested), so there is nothing to confirm. What it takes now: `/trackside discard network`.",  # noqa: E501 - a sentence as it is said
        }
    )


def test_acknowledgements() -> None:
    assert {
        "confirmed": words.confirmed(CONFIRMED),
        "discarded": words.discarded(WAITING),
        "replan_requested": words.replan_requested(WAITING),
    } == snapshot(
        {
            "confirmed": "Confirmed: plan 1 of `network` is applied as soon as a worker is free.",
            "discarded": "Discarded: plan 1 of `network` is not applied.",
            "replan_requested": "Another plan of `network` is being made of the commit `3fa9c1d`.",
        }
    )


def test_an_unreadable_line_gets_the_nearest_command_in_full_or_else_the_grammar() -> None:
    assert words.unreadable(Unreadable(text="/trackside confrim", nearest="/trackside confirm"), PREFIX) == snapshot(
        "I do not understand `/trackside confrim`. Did you mean `/trackside confirm`? It is written "
        "`/trackside confirm [STACK|RUN] [--even-if-superseded]`; `/trackside help` lists every command."
    )
    nearly = Unreadable(text="/trackside lock", nearest="/trackside lock", why="lock needs the name of a stack")
    assert words.unreadable(nearly, PREFIX) == snapshot(
        "I cannot carry out `/trackside lock`: lock needs the name of a stack. It is written "
        "`/trackside lock STACK [note]`; `/trackside help` lists every command."
    )
    lost = words.unreadable(Unreadable(text="/trackside xyz", nearest="/trackside help"), PREFIX)
    assert lost.startswith("I do not understand `/trackside xyz`.\n\nI read these commands")
    assert "- `/trackside help` lists these commands" in lost
    bare = words.unreadable(Unreadable(text="/trackside", nearest="/trackside help"), PREFIX)
    assert bare.startswith("`/trackside` alone says nothing.\n\nI read these commands")


def test_the_answers_of_one_comment_have_the_grammar_once() -> None:
    lost = [words.unreadable(Unreadable(text=f"/trackside {word}", nearest="/trackside help"), PREFIX) for word in "xy"]
    said = words.joined([*lost, help_text(PREFIX), "Last."], PREFIX)
    assert said == f"{lost[0]}\n\nI do not understand `/trackside y`.\n\nLast."


def test_a_long_list_of_candidates_is_cut_and_counted() -> None:
    said = words.ambiguous(Verb.CONFIRM, [WAITING] * 25, PREFIX)
    assert said.count("\n- `") == 20
    assert said.endswith("- and 5 more")


@pytest.mark.parametrize("state", RunState)
@pytest.mark.parametrize("verb", [Verb.CONFIRM, Verb.DISCARD, Verb.REPLAN, Verb.STOP, Verb.CANCEL, Verb.RETRY])
def test_every_state_has_an_answer_for_every_command(verb: Verb, state: RunState) -> None:
    said = words.not_waiting(verb, run_in(state), PREFIX)
    assert said.startswith("Not done: the run of `network` ")
    assert said.endswith(".")


@given(st.one_of(st.text(max_size=60), st.text(alphabet="`@#<>![]()*_\n /ab1", max_size=60)))
def test_nobody_is_mentioned_whatever_a_person_wrote(word: str) -> None:
    run: Run = replace(WAITING, message=word, decided_by=word, state=RunState.DISCARDED)
    for said in (
        words.not_permitted(word),
        words.no_run(Verb.CONFIRM, word),
        words.unreadable(Unreadable(text=word, nearest="/trackside help"), PREFIX),
        words.ambiguous(Verb.CONFIRM, [run], PREFIX),
        words.not_waiting(Verb.CONFIRM, run, PREFIX),
    ):
        tokens = MarkdownIt("commonmark").parse(said)
        inner = [child for token in tokens for child in token.children or ()]
        assert not [token for token in inner if token.type == "text" and "@" in token.content]
        assert not [
            token for token in (*tokens, *inner) if token.type in ("html_block", "html_inline", "image", "link_open")
        ]
