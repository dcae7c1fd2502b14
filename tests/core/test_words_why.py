"""Why stacks did or did not run, as it is said in a reply, on a terminal and to programs."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from markdown_it import MarkdownIt

from app.core.decision import Answer, Decision, EventKind, PolicyOutcome, Verdict
from app.core.explanation import Explained
from app.core.markdown import size_bytes
from app.core.names import ZERO_SHA, Sha, StackId
from app.core.words_why import MAX_STACKS, why, why_document, why_lines
from tests.core.made import WAITING

PREFIX = "/trackside"
SHA = Sha("3fa9c1d2" * 5)
TRACKED = Decision(
    stack_id=StackId("01JDV3F4K5M6N7P8Q9R0S1T2S1"),
    stack_name="network",
    ref="refs/heads/main",
    head_sha=SHA,
    before=ZERO_SHA,
    config_version_id=None,
    policy="default",
    input={"push": {"branch": "main"}},
    answer=Answer(verdict=Verdict.TRACK, reason="infra/network/main.tf changed", rules={"track": True}),
)
BY_POLICY = replace(
    TRACKED,
    stack_name="dns",
    ref="refs/tags/v1",
    event=EventKind.TAG,
    policy="only-tags",
    answer=Answer(verdict=Verdict.IGNORE, reason="policy only-tags said ignore (line 12)", rules={}),
    policies=(
        PolicyOutcome(
            name="only-tags",
            rules={"ignore": True},
            fired=(("ignore", 12), ("flag", 0)),
            prints=("9: the tag is v1",),
            elapsed_s=0.0012,
        ),
        PolicyOutcome(name="slow", failure="no answer within 10 s"),
        PolicyOutcome(name="quiet"),
    ),
)
OF_PULL = replace(
    TRACKED,
    stack_name="app",
    event=EventKind.PULL_REQUEST,
    action="ready_for_review",
    pull_number=7,
    note="planned the head",
)


def told(*decisions: Decision) -> tuple[Explained, ...]:
    return tuple(Explained(decision=decision, run=None) for decision in decisions)


def reply(*found: Explained, stack: str = "") -> str:
    return why(found, SHA, stack=stack, prefix=PREFIX)


def test_a_reply_reads_like_this() -> None:
    found = (Explained(decision=TRACKED, run=WAITING), *told(OF_PULL, BY_POLICY))
    assert reply(*found) == snapshot("""\
What was decided about `3fa9c1d`:

- `network`: **tracked**, infra/network/main.tf changed. Run `01JDV3F4K5M6N7P8Q9R0S1T2V3`: waiting for confirmation.
- `app` (pull request 7, ready for review): **tracked**, infra/network/main.tf changed; planned the head.
- `dns` (tag v1): **ignored**, policy only-tags said ignore (line 12).
  - policy `only-tags`: `ignore` (line 12), `flag`
    - printed `9: the tag is v1`
  - policy `slow`: gave no answer: `no answer within 10 s`
  - policy `quiet`: no rule came out true\
""")


def test_when_nothing_was_decided_the_reply_says_what_that_can_mean() -> None:
    assert {"any": reply(), "one": reply(stack="netwrk")} == snapshot(
        {
            "any": "Nothing was decided about `3fa9c1d`: no push, tag or pull request of it has reached me, or the repository had no stacks then.",  # noqa: E501 - a sentence as it is said
            "one": "Nothing was decided for `netwrk` about `3fa9c1d`: no stack of that name was in the stacks file in force then, or no event of this commit has reached me.",  # noqa: E501 - a sentence as it is said
        }
    )


def test_a_terminal_shows_the_same_in_lines() -> None:
    found = (Explained(decision=TRACKED, run=WAITING), *told(BY_POLICY))
    assert "\n".join(why_lines(found)) == snapshot("""\
network                   track     infra/network/main.tf changed  [push]
    run 01JDV3F4K5M6N7P8Q9R0S1T2V3: tracked, waiting for confirmation
dns                       ignore    policy only-tags said ignore (line 12)  [tag v1]
    policy only-tags: ignore (line 12), flag  (1.2 ms)
        printed: 9: the tag is v1
    policy slow: gave no answer: no answer within 10 s
    policy quiet: no rule came out true  (0.0 ms)\
""")


def test_a_program_gets_everything() -> None:
    (document,) = why_document(told(BY_POLICY))
    assert document["policies"] == [
        {
            "name": "only-tags",
            "rules": {"ignore": True},
            "fired": [{"rule": "ignore", "line": 12}, {"rule": "flag", "line": 0}],
            "prints": ["9: the tag is v1"],
            "failure": "",
            "elapsed_s": 0.0012,
        },
        {"name": "slow", "rules": {}, "fired": [], "prints": [], "failure": "no answer within 10 s", "elapsed_s": 0.0},
        {"name": "quiet", "rules": {}, "fired": [], "prints": [], "failure": "", "elapsed_s": 0.0},
    ]
    assert document["input"] == {"push": {"branch": "main"}}
    assert (document["verdict"], document["event"], document["run"]) == ("ignore", "tag", None)


def test_many_stacks_are_counted() -> None:
    said = reply(*told(*(replace(TRACKED, stack_name=f"s{number}") for number in range(10_000))))
    assert said.count("**tracked**") == MAX_STACKS
    assert said.endswith("- and 9,980 more: `/trackside why STACK` tells of one")


@given(st.text(max_size=2_000), st.lists(st.text(max_size=400), max_size=8), st.integers(1, 40))
def test_a_comment_holds_it_whatever_policies_say(text: str, prints: list[str], count: int) -> None:
    outcome = PolicyOutcome(name=text, failure=text, fired=((text, 3),), prints=tuple(prints))
    quiet = replace(outcome, failure="")
    decision = replace(
        TRACKED, policies=(outcome, quiet), note=text, answer=replace(TRACKED.answer, reason=text or "x")
    )
    said = reply(*told(*[decision] * count))
    assert size_bytes(said) < 65_536
    tokens = MarkdownIt("commonmark").parse(said)
    assert not any(
        child.type in ("image", "html_inline", "link_open") for one in tokens for child in one.children or []
    )
    assert sum(one.type == "list_item_open" and one.level == 1 for one in tokens) <= count + 1
