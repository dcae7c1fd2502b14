"""Every sentence said to plan, deploy, stop, cancel, retry, lock and unlock, as it is said."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from markdown_it import MarkdownIt

from app.core import words_start
from app.core.command import Verb
from app.core.names import ConfigVersionId, RepositoryId, RunId, StackId
from app.core.run import RunState, RunType
from app.core.stack import Stack, StackSettings
from tests.core.made import WAITING, run_in

PREFIX = "/trackside"
STACK = Stack(
    id=StackId("01JDV3F4K5M6N7P8Q9R0S1T2S1"),
    repository_id=RepositoryId(7),
    settings=StackSettings(name="network", branch="main"),
    policies=(),
    config_version_id=ConfigVersionId("01JDV3F4K5M6N7P8Q9R0S1T2C1"),
    is_detached=False,
    state_mode=None,
    head_sha=WAITING.head_sha,
    head_seq=1,
)
LOCKED = replace(STACK, lock_owner="bob", lock_note="until noon")
HEAD = "b" * 40
NEW = replace(
    run_in(RunState.QUEUED), id=RunId("01JDV3F4K5M6N7P8Q9R0S1T2V5"), retry_of=WAITING.id, triggered_by="alice"
)


def test_why_nothing_was_started() -> None:
    assert {
        "which_stack": words_start.which_stack(Verb.DEPLOY, ["network", "dns"], PREFIX),
        "which_stack none": words_start.which_stack(Verb.PLAN, [], PREFIX),
        "no_stack": words_start.no_stack(Verb.PLAN, "netwrk"),
        "no_commit": words_start.no_commit(Verb.DEPLOY),
        "not_the_head": words_start.not_the_head(WAITING.head_sha, HEAD, PREFIX, ["network"]),
        "from_fork": words_start.from_fork(Verb.PLAN, HEAD, PREFIX, ["network"]),
        "from_fork, deploy": words_start.from_fork(Verb.DEPLOY, HEAD, PREFIX, []),
        "not_here": words_start.not_here(Verb.PLAN, HEAD),
        "closed": words_start.closed(Verb.PLAN),
        "not_tracked": words_start.not_tracked("network", "main", HEAD, PREFIX),
        "no_promotion": words_start.no_promotion("network", PREFIX),
        "behind": words_start.behind("network", HEAD, WAITING.head_sha),
        "head_moved": words_start.head_moved("network"),
        "never_deployed": words_start.never_deployed("network", "destroy"),
        "no_stack_here": words_start.no_stack_here("network"),
        "button_is_old": words_start.button_is_old(Verb.PLAN, WAITING),
        "under_way": words_start.under_way(replace(run_in(RunState.PLANNING), type=RunType.DRIFT)),
    } == snapshot(
        {
            "which_stack": """\
Which stack should I deploy? I did nothing yet.

- `/trackside deploy network`
- `/trackside deploy dns`\
""",
            "which_stack none": "Nothing to plan: this repository has no stacks. The stacks file on its default branch names them.",  # noqa: E501 - a sentence as it is said
            "no_stack": "Nothing to plan: `netwrk` is no stack of this repository. The stacks file names them.",
            "no_commit": "Nothing to deploy: there is no commit here that I can see.",
            "not_the_head": "Not done: `3fa9c1d` is not the head any more, `bbbbbbb` is. Look at it, then write `/trackside plan network --sha bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb`",  # noqa: E501 - a sentence as it is said
            "from_fork": "Not done: the pull request comes from a fork. Read the commit; then `/trackside plan network --sha bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb` has it validated, without secrets, state or tokens, until the next push.",  # noqa: E501 - a sentence as it is said
            "from_fork, deploy": "Not done: the pull request comes from a fork, so there is nothing to deploy before it is merged.",  # noqa: E501 - a sentence as it is said
            "not_here": "Not done: `bbbbbbb` is on no branch of this repository that I know of, so I do not plan it. Push it to a branch, or open a pull request.",  # noqa: E501 - a sentence as it is said
            "closed": "Not done: the pull request is closed without a merge, so there is nothing of it to plan. Reopen it.",  # noqa: E501 - a sentence as it is said
            "not_tracked": "Not done: `bbbbbbb` is not on `main`, the branch that `network` deploys. Merge it first; `/trackside plan network` shows what it would change.",  # noqa: E501 - a sentence as it is said
            "no_promotion": "Not done: the pull request is not merged, and `network` deploys merged commits only. Merge it, or set `allow_promotion: true` for the stack; `/trackside plan network` shows what it would change.",  # noqa: E501 - a sentence as it is said
            "behind": "Not done: `network` is at `3fa9c1d`, which `bbbbbbb` does not hold, so deploying it would take the stack back. Bring the branch up to date; to go back, revert the commit.",  # noqa: E501 - a sentence as it is said
            "head_moved": "Not done: a newer commit of `network` arrived at the same moment. Look at it, then repeat the command.",  # noqa: E501 - a sentence as it is said
            "never_deployed": "Not done: `network` was never deployed, so there is nothing to destroy.",
            "no_stack_here": "Not done: `network` is not in the stacks file any more, so nothing of it runs. Put it back there first.",  # noqa: E501 - a sentence as it is said
            "button_is_old": "Not done: that button is of another plan of `network`, so there is nothing to plan.",
            "under_way": "Not done: drift run `01JDV3F4K5M6N7P8Q9R0S1T2V3` of `network` is planning already.",
        }
    )


def test_a_live_run_of_the_same_commit_is_in_the_way() -> None:
    states = (RunState.UNCONFIRMED, RunState.QUEUED, RunState.READY, RunState.APPLYING)
    assert {state.value: words_start.live_already(Verb.DEPLOY, run_in(state), PREFIX) for state in states} == snapshot(
        {
            "unconfirmed": "Not done: run `01JDV3F4K5M6N7P8Q9R0S1T2V3` of `network` and this commit is waiting for confirmation already, so there is nothing to deploy. `/trackside confirm 01JDV3F4K5M6N7P8Q9R0S1T2V3` applies it.",  # noqa: E501 - a sentence as it is said
            "queued": "Not done: run `01JDV3F4K5M6N7P8Q9R0S1T2V3` of `network` and this commit is queued already, so there is nothing to deploy. `/trackside cancel 01JDV3F4K5M6N7P8Q9R0S1T2V3` withdraws it.",  # noqa: E501 - a sentence as it is said
            "ready": "Not done: run `01JDV3F4K5M6N7P8Q9R0S1T2V3` of `network` and this commit is queued already, so there is nothing to deploy. `/trackside cancel 01JDV3F4K5M6N7P8Q9R0S1T2V3` withdraws it.",  # noqa: E501 - a sentence as it is said
            "applying": "Not done: run `01JDV3F4K5M6N7P8Q9R0S1T2V3` of `network` and this commit is applying already, so there is nothing to deploy. Its check says how it goes on.",  # noqa: E501 - a sentence as it is said
        }
    )


def test_what_was_started() -> None:
    destroy = replace(NEW, type=RunType.DESTROY)
    assert {
        "planning": words_start.planning(replace(NEW, type=RunType.PROPOSED)),
        "validating": words_start.planning(replace(NEW, type=RunType.PROPOSED, is_from_fork=True)),
        "deploying": words_start.deploying(NEW, STACK),
        "deploying, on hold": words_start.deploying(NEW, replace(STACK, hold_reason="the outcome of X is unknown")),
        "deploying, locked": words_start.deploying(NEW, LOCKED),
        "deploying, own lock": words_start.deploying(replace(NEW, triggered_by="Bob"), LOCKED),
        "retried": words_start.retried(NEW, STACK),
        "destroy": words_start.started_here(destroy, STACK),
        "drift": words_start.started_here(replace(NEW, type=RunType.DRIFT), LOCKED),
    } == snapshot(
        {
            "planning": "Planning `network` at `3fa9c1d` in run `01JDV3F4K5M6N7P8Q9R0S1T2V5`: a preview.",
            "validating": "Validating `network` at `3fa9c1d` in run `01JDV3F4K5M6N7P8Q9R0S1T2V5`: it is a fork's commit, so it gets no secret, no state and no token, and is not planned.",  # noqa: E501 - a sentence as it is said
            "deploying": "Planning `network` at `3fa9c1d` in run `01JDV3F4K5M6N7P8Q9R0S1T2V5`, to deploy it.",
            "deploying, on hold": "Planning `network` at `3fa9c1d` in run `01JDV3F4K5M6N7P8Q9R0S1T2V5`, to deploy it. It waits: the stack is on hold (`the outcome of X is unknown`).",  # noqa: E501 - a sentence as it is said
            "deploying, locked": "Planning `network` at `3fa9c1d` in run `01JDV3F4K5M6N7P8Q9R0S1T2V5`, to deploy it. It waits: `bob` has locked the stack.",  # noqa: E501 - a sentence as it is said
            "deploying, own lock": "Planning `network` at `3fa9c1d` in run `01JDV3F4K5M6N7P8Q9R0S1T2V5`, to deploy it.",
            "retried": "Run `01JDV3F4K5M6N7P8Q9R0S1T2V5` makes `01JDV3F4K5M6N7P8Q9R0S1T2V3` of `network` once more, of the same commit `3fa9c1d`.",  # noqa: E501 - a sentence as it is said
            "destroy": "Planning to destroy everything of `network` at `3fa9c1d` in run `01JDV3F4K5M6N7P8Q9R0S1T2V5`; a person has to confirm that plan.",  # noqa: E501 - a sentence as it is said
            "drift": "Comparing what exists with `network` at `3fa9c1d` in run `01JDV3F4K5M6N7P8Q9R0S1T2V5`; nothing is applied.",  # noqa: E501 - a sentence as it is said
        }
    )


def test_ends_and_retries() -> None:
    assert {
        "stopping": words_start.stopping(run_in(RunState.PLANNING)),
        "canceled": words_start.canceled(run_in(RunState.CANCELED)),
        "retried_already": words_start.retried_already(run_in(RunState.FAILED), NEW),
        "retry_superseded": words_start.retry_superseded(run_in(RunState.FAILED)),
        "which_run none": words_start.which_run(Verb.STOP, []),
        "which_run": words_start.which_run(Verb.CANCEL, [run_in(RunState.QUEUED), NEW]),
    } == snapshot(
        {
            "stopping": "Run `01JDV3F4K5M6N7P8Q9R0S1T2V3` of `network` is being stopped: its worker ends what it does.",
            "canceled": "Canceled: run `01JDV3F4K5M6N7P8Q9R0S1T2V3` of `network` does not start.",
            "retried_already": "Not done: run `01JDV3F4K5M6N7P8Q9R0S1T2V5` makes `01JDV3F4K5M6N7P8Q9R0S1T2V3` of `network` once more already, and is queued.",  # noqa: E501 - a sentence as it is said
            "retry_superseded": "Not done: a newer commit of `network` has arrived since `3fa9c1d`, and holds its place. Retry the run of that commit, or deploy it.",  # noqa: E501 - a sentence as it is said
            "which_run none": "nothing to stop: no run of this stack takes it",
            "which_run": """\
several runs of this stack can be meant; name one to cancel:
  01JDV3F4K5M6N7P8Q9R0S1T2V3  tracked  queued  3fa9c1d
  01JDV3F4K5M6N7P8Q9R0S1T2V5  tracked  queued  3fa9c1d\
""",
        }
    )


def test_locks() -> None:
    assert {
        "locked": words_start.locked(LOCKED),
        "locked_by_other": words_start.locked_by_other(LOCKED, PREFIX),
        "unlocked": words_start.unlocked(LOCKED, ["the lock of bob"], []),
        "unlocked in part": words_start.unlocked(LOCKED, ["the hold (x)"], ["the lock of bob"]),
        "not_locked": words_start.not_locked(STACK),
        "needs_admin": words_start.needs_admin(LOCKED, ["the lock of bob: until noon"]),
    } == snapshot(
        {
            "locked": "`network` is yours, `bob`: only your runs go ahead, and nothing is deployed by itself until you unlock it.",  # noqa: E501 - a sentence as it is said
            "locked_by_other": "Not done: `bob` has locked `network` (`until noon`), and only their runs go ahead. They, or an admin, can give it back: `/trackside unlock network`",  # noqa: E501 - a sentence as it is said
            "unlocked": "`network` is free again: the lock of bob was taken away.",
            "unlocked in part": "Taken away from `network`: the hold (x). What stays needs an admin: the lock of bob.",
            "not_locked": "`network` is neither on hold nor locked.",
            "needs_admin": "Not done: `network` is kept by the lock of bob: until noon. Whoever took it can unlock it, or an admin.",  # noqa: E501 - a sentence as it is said
        }
    )


def test_long_lists_are_cut_and_counted() -> None:
    said = words_start.which_stack(Verb.PLAN, [f"s{number}" for number in range(25)], PREFIX)
    assert said.count("\n- `") == 20
    assert said.endswith("- and 5 more")
    assert words_start.which_run(Verb.STOP, [NEW] * 30).count("\n") == 20


@pytest.mark.parametrize("state", RunState)
def test_a_hold_and_a_lock_are_told_of_every_run(state: RunState) -> None:
    told = words_start.deploying(run_in(state), replace(STACK, hold_reason="lost"))
    assert ("on hold" in told) is not state.is_terminal


@given(st.one_of(st.text(max_size=60), st.text(alphabet="`@#<>![]()*_\n /ab1", max_size=60)))
def test_nobody_is_mentioned_whatever_a_person_wrote(word: str) -> None:
    stack = replace(STACK, lock_owner=word, lock_note=word, hold_reason=word)
    run = replace(WAITING, triggered_by="x", stack_name=word, message=word)
    for said in (
        words_start.which_stack(Verb.PLAN, [word], PREFIX),
        words_start.no_stack(Verb.PLAN, word),
        words_start.not_the_head(word, HEAD, PREFIX, [word]),
        words_start.not_tracked(word, word, HEAD, PREFIX),
        words_start.live_already(Verb.PLAN, run, PREFIX),
        words_start.deploying(run, stack),
        words_start.locked(stack),
        words_start.locked_by_other(stack, PREFIX),
        words_start.unlocked(stack, [f"the lock of {word}"], [word]),
        words_start.needs_admin(stack, [f"the lock of {word}: {word}"]),
    ):
        tokens = MarkdownIt("commonmark").parse(said)
        inner = [child for token in tokens for child in token.children or ()]
        assert not [token for token in inner if token.type == "text" and "@" in token.content]
        assert not [
            token for token in (*tokens, *inner) if token.type in ("html_block", "html_inline", "image", "link_open")
        ]


def test_a_stack_of_nearly_that_name_is_offered() -> None:
    said = words_start.no_stack(Verb.PLAN, "netwrk", ("dns", "network"), "/trackside")
    assert said == ("Nothing to plan: `netwrk` is no stack of this repository. Did you mean `/trackside plan network`?")
