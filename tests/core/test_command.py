"""What a comment says: the grammar by table, and everything that must not fire."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from app.core.choice import Choice
from app.core.command import (
    GRAMMAR,
    MAX_AUDITED,
    MAX_BODY,
    MAX_COMMANDS,
    MAX_LINE,
    MAX_NOTE,
    MAX_TARGETS,
    Command,
    Unreadable,
    Verb,
    button_identifier,
    help_text,
    parse_comment,
    parse_identifier,
)
from app.core.names import Digest
from tests.core.made import DIGEST

PREFIX = "/trackside"
SHA = "3fa9c1d2" * 5


def unreadable(line: str, nearest: str, why: str = "", *, meant: str = "") -> Unreadable:
    """The answer to a line that is no command."""
    written = f"{PREFIX} {meant}" if meant else ""
    return Unreadable(text=f"{PREFIX} {line}", nearest=f"{PREFIX} {nearest}", meant=written, why=why)


def no_name(word: str) -> str:
    """Why a word cannot be meant as a stack or a run."""
    return f"`{word}` can be neither the name of a stack nor a run"


def no_option(verb: str, name: str) -> str:
    """Why a word that looks like an option is none, and no note either."""
    return f"{verb} takes no `{name}`; it has no options, and a note that begins with dashes comes behind `--`"


ONLY_SUPERSEDED = "what it takes is `--even-if-superseded`"


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("confirm", Command(verb=Verb.CONFIRM)),
        ("confirm network", Command(verb=Verb.CONFIRM, target="network")),
        ("confirm prod/net_work-1.x", Command(verb=Verb.CONFIRM, target="prod/net_work-1.x")),
        ("confirm `network`", Command(verb=Verb.CONFIRM, target="network")),
        ("confirm **network**", unreadable("confirm **network**", "confirm", no_name("**network**"))),
        ("confirm  \t network  ", Command(verb=Verb.CONFIRM, target="network")),
        ("confirm net --even-if-superseded", Command(verb=Verb.CONFIRM, target="net", even_if_superseded=True)),
        ("confirm --even-if-superseded net", Command(verb=Verb.CONFIRM, target="net", even_if_superseded=True)),
        ("confirm <!-- a remark --> network", Command(verb=Verb.CONFIRM, target="network")),
        ("discard", Command(verb=Verb.DISCARD)),
        ("discard network", Command(verb=Verb.DISCARD, target="network")),
        ("discard network not *now*, -- ok?", Command(verb=Verb.DISCARD, target="network", note="not *now*, -- ok?")),
        ("replan network", Command(verb=Verb.REPLAN, target="network")),
        ("help", Command(verb=Verb.HELP)),
        ("", Unreadable(text="/trackside", nearest="/trackside help")),
        ("confrim network", unreadable("confrim network", "confirm", meant="confirm network")),
        ("confrim a b", unreadable("confrim a b", "confirm")),
        ("Confirm Network", Command(verb=Verb.CONFIRM, target="network")),
        ("Plan Network APP", Command(verb=Verb.PLAN, targets=("network", "app"))),
        ("Lock Network Us", Command(verb=Verb.LOCK, target="network", note="Us")),
        ("replan Network", Command(verb=Verb.REPLAN, target="network")),
        ("stop 01jdv3f4K5M6N7P8Q9R0S1T2V3", Command(verb=Verb.STOP, target="01JDV3F4K5M6N7P8Q9R0S1T2V3")),
        ("\u0441onfirm", unreadable("\u0441onfirm", "confirm", meant="confirm")),
        ("loc\u212a a", unreadable("loc\u212a a", "lock", meant="lock a")),
        ("apply", unreadable("apply", "confirm", meant="confirm")),
        ("apply network", unreadable("apply network", "confirm", meant="confirm network")),
        (
            "destroy app",
            unreadable(
                "destroy app",
                "help",
                "nothing is destroyed by a comment; on the server, `trackside destroy` plans that",
            ),
        ),
        ("plan", Command(verb=Verb.PLAN)),
        ("plan a b/c a", Command(verb=Verb.PLAN, targets=("a", "b/c"))),
        (f"plan a --sha {SHA}", Command(verb=Verb.PLAN, targets=("a",), sha=SHA)),
        (f"plan --sha {SHA.upper()} a b", Command(verb=Verb.PLAN, targets=("a", "b"), sha=SHA)),
        (f"plan a --sha={SHA}", Command(verb=Verb.PLAN, targets=("a",), sha=SHA)),
        ("plan --sha=", unreadable("plan --sha=", "plan", "`--sha` takes all 40 digits of a commit")),
        ("plan a --sha 3fa9c1d", unreadable("plan a --sha 3fa9c1d", "plan", "`--sha` takes all 40 digits of a commit")),
        ("plan a --sha", unreadable("plan a --sha", "plan", "`--sha` takes all 40 digits of a commit")),
        (
            f"plan --sha {SHA} --sha {SHA}",
            unreadable(f"plan --sha {SHA} --sha {SHA}", "plan", "plan takes `--sha` once"),
        ),
        ("plan --force", unreadable("plan --force", "plan", why="plan takes no `--force`; what it takes is `--sha`")),
        ("plan ../x", unreadable("plan ../x", "plan", no_name("../x"))),
        ("deploy", Command(verb=Verb.DEPLOY)),
        ("deploy a b", Command(verb=Verb.DEPLOY, targets=("a", "b"))),
        (
            f"deploy a --sha {SHA}",
            unreadable(f"deploy a --sha {SHA}", "deploy", "deploy takes no `--sha`; that is an option of plan"),
        ),
        ("stop", Command(verb=Verb.STOP)),
        ("stop network", Command(verb=Verb.STOP, target="network")),
        ("stop a b", unreadable("stop a b", "stop", "stop takes one stack or run behind it, and `b` is too much")),
        ("cancel network", Command(verb=Verb.CANCEL, target="network")),
        ("cancel --all", unreadable("cancel --all", "cancel", "cancel takes no `--all`; it has no options")),
        ("retry 01JDV3F4K5M6N7P8Q9R0S1T2V3", Command(verb=Verb.RETRY, target="01JDV3F4K5M6N7P8Q9R0S1T2V3")),
        ("retri", unreadable("retri", "retry", meant="retry")),
        ("lock network", Command(verb=Verb.LOCK, target="network")),
        ("lock network until *noon*", Command(verb=Verb.LOCK, target="network", note="until *noon*")),
        ("lock", unreadable("lock", "lock", "lock needs the name of a stack")),
        ("lock -- why", unreadable("lock -- why", "lock", "lock needs the name of a stack")),
        ("lock net --x", unreadable("lock net --x", "lock", no_option("lock", "--x"))),
        ("lock net \u2014x=1 why", unreadable("lock net \u2014x=1 why", "lock", no_option("lock", "--x"))),
        ("lock --x net", unreadable("lock --x net", "lock", no_option("lock", "--x"))),
        ("unlock net -f", unreadable("unlock net -f", "unlock", no_option("unlock", "-f"))),
        ("lock net -- --x is mine", Command(verb=Verb.LOCK, target="net", note="--x is mine")),
        ('lock net "--x" is mine', Command(verb=Verb.LOCK, target="net", note='"--x" is mine')),
        ("lock net - until noon", Command(verb=Verb.LOCK, target="net", note="- until noon")),
        ("discard -- too dear", Command(verb=Verb.DISCARD, note="too dear")),
        ("reject net -1 from me", Command(verb=Verb.REJECT, target="net", note="-1 from me")),
        ("unlock network", Command(verb=Verb.UNLOCK, target="network")),
        ("unlock", unreadable("unlock", "unlock", "unlock needs the name of a stack")),
        ("unlok network", unreadable("unlok network", "unlock", meant="unlock network")),
        ("unlok", unreadable("unlok", "unlock")),
        (
            "confirm a looks good",
            unreadable(
                "confirm a looks good", "confirm", "confirm takes one stack or run behind it, and `looks` is too much"
            ),
        ),
        (
            "replan --even-if-superseded",
            unreadable(
                "replan --even-if-superseded",
                "replan",
                "replan takes no `--even-if-superseded`; what it takes is `only` or `except`",
            ),
        ),
        (
            "replan net --only 1",
            unreadable("replan net --only 1", "replan", "replan takes no `--only`; what it takes is `only`"),
        ),
        (
            "replan net only 1 --force",
            unreadable(
                "replan net only 1 --force",
                "replan",
                "replan takes no `--force`; what it takes is `only` or `except`",
            ),
        ),
        ("why -v", unreadable("why -v", "why", "why takes no `-v`; it has no options")),
        (
            "replan net 1,2",
            unreadable(
                "replan net 1 2", "replan", "behind the stack or run come only or except, and then changes, but not `1`"
            ),
        ),
        (
            'replan only a["b',
            unreadable('replan only a["b', "replan", "a double quote is opened and not closed"),
        ),
        ("confirm --force", unreadable("confirm --force", "confirm", f"confirm takes no `--force`; {ONLY_SUPERSEDED}")),
        (
            "confirm --superseded a",
            unreadable("confirm --superseded a", "confirm", f"confirm takes no `--superseded`; {ONLY_SUPERSEDED}"),
        ),
        ("confirm <b>network</b>", unreadable("confirm <b>network</b>", "confirm", no_name("<b>network</b>"))),
        ("confirm ../x", unreadable("confirm ../x", "confirm", no_name("../x"))),
        (
            "discard --even-if-superseded",
            unreadable(
                "discard --even-if-superseded",
                "discard",
                "discard takes no `--even-if-superseded`; that is an option of confirm",
            ),
        ),
        ("help me", unreadable("help me", "help", "help takes nothing behind it, and `me` is too much")),
        ("approve", Command(verb=Verb.APPROVE)),
        ("approve network I read it -- all", Command(verb=Verb.APPROVE, target="network", note="I read it -- all")),
        ("reject network the *database* goes", Command(verb=Verb.REJECT, target="network", note="the *database* goes")),
        ("aprove network", unreadable("aprove network", "approve", meant="approve network")),
        ("CONFIRM net --EVEN-if-superseded", Command(verb=Verb.CONFIRM, target="net", even_if_superseded=True)),
        ("confirm net \u2014even-if-superseded", Command(verb=Verb.CONFIRM, target="net", even_if_superseded=True)),
        (
            "confirm net \u2013\u2013even-if-superseded",
            Command(verb=Verb.CONFIRM, target="net", even_if_superseded=True),
        ),
        ("confirm my\u2011net", Command(verb=Verb.CONFIRM, target="my-net")),
        (f"plan a \u2014sha\u00a0{SHA}", Command(verb=Verb.PLAN, targets=("a",), sha=SHA)),
        ("confirm\u00a0network\u202f", Command(verb=Verb.CONFIRM, target="network")),
        ("discard net\u00a0no \u2014 not now", Command(verb=Verb.DISCARD, target="net", note="no \u2014 not now")),
        (
            "Replan net Only 1,4\u20137 EXCEPT 5",
            Command(
                verb=Verb.REPLAN,
                target="net",
                choice=Choice(is_only=True, only=("1", "4-7"), is_except=True, excepted=("5",)),
            ),
        ),
        (
            'replan only x.y[\u201ca b\u201d] x.y["a\u2013b"]',
            Command(verb=Verb.REPLAN, choice=Choice(is_only=True, only=('x.y["a b"]', 'x.y["a\u2013b"]'))),
        ),
    ],
)
def test_a_line_means(line: str, command: Command | Unreadable) -> None:
    assert parse_comment(f"{PREFIX} {line}", PREFIX) == (command,)


@pytest.mark.parametrize(
    "body",
    [
        "> /trackside confirm",
        "> said somebody\n/trackside confirm",
        "`/trackside confirm`",
        "```\n/trackside confirm\n```",
        "~~~\n/trackside confirm",
        "text\n\n    /trackside confirm",
        "`a\n/trackside confirm\n`",
        "\\`a`\n/trackside confirm x`",
        "<!--\n/trackside confirm\n-->",
        "a <!--\n/trackside confirm\n-->",
        "<pre>\n/trackside confirm\n</pre>",
        "- /trackside confirm",
        "1. /trackside confirm",
        "# /trackside confirm",
        "/trackside confirm\n---",
        "| a |\n| - |\n| /trackside confirm |",
        "~~/trackside confirm~~",
        "**/trackside confirm**",
        "[/trackside confirm](x)",
        "\\/trackside confirm",
        "&#47;trackside confirm",
        "please /trackside confirm",
        "/tracksides confirm",
        "/trackside-confirm",
        "/tr\u0430ckside confirm",
        "\u2215trackside confirm",
        "\u200b/trackside confirm",
        "/trackside/confirm",
        "",
    ],
)
def test_what_is_not_written_plainly_at_the_start_of_a_line_does_not_fire(body: str) -> None:
    assert parse_comment(body, PREFIX) == ()


def test_one_command_a_line_in_the_order_of_the_comment_whatever_the_newlines() -> None:
    body = "Looks good.\r\n/trackside confirm a\r/trackside discard b no\n\n  /trackside replan c\n> /trackside help"
    verbs = [found.verb for found in parse_comment(body, PREFIX) if isinstance(found, Command)]
    assert verbs == [Verb.CONFIRM, Verb.DISCARD, Verb.REPLAN]


def test_another_prefix_is_another_prefix() -> None:
    assert parse_comment("/tf confirm", "/tf") == (Command(verb=Verb.CONFIRM),)
    assert parse_comment("/trackside confirm", "/tf") == ()


def test_capitals_and_blanks_that_do_not_break_are_a_telephones() -> None:
    assert parse_comment("/Trackside\u00a0Confirm", PREFIX) == (Command(verb=Verb.CONFIRM),)
    assert parse_comment("/tf confirm", "/TF") == (Command(verb=Verb.CONFIRM),)


def test_a_command_that_is_said_twice_in_one_comment_is_meant_once() -> None:
    said = parse_comment("/trackside why\n/trackside help\n/trackside why\n/trackside nonsense\n" * 9, PREFIX)
    assert len(said) == 3


def test_a_comment_is_bounded_in_commands_lines_notes_and_length() -> None:
    several = parse_comment("".join(f"/trackside why stack-{number}\n" for number in range(500)), PREFIX)
    assert [isinstance(one, Command) for one in several] == [True] * MAX_COMMANDS + [False]
    why = "a comment takes 20 commands: this one and those after it were not read"
    assert several[-1] == unreadable("why stack-20", "why", why)
    assert parse_comment("/trackside help\n" + "x" * MAX_BODY, PREFIX) == ()
    [long] = parse_comment("/trackside " + "x" * 5000, PREFIX)
    assert isinstance(long, Unreadable)
    assert len(long.text) == MAX_LINE
    [discard] = parse_comment("/trackside discard a " + "y" * 5000, PREFIX)
    assert isinstance(discard, Command)
    assert len(discard.note) == MAX_NOTE
    [many] = parse_comment("/trackside plan " + " ".join(f"s{number}" for number in range(MAX_TARGETS + 1)), PREFIX)
    assert isinstance(many, Unreadable)
    assert many.why == "plan takes at most 50 stacks at a time"


@pytest.mark.parametrize(
    "hostile", ["[" * 30_000, "> " * 30_000, "`" * 60_000, "*a_" * 20_000, "<a" * 30_000, "~~a" * 20_000]
)
def test_a_hostile_comment_is_read_in_no_time(hostile: str) -> None:
    began = time.process_time()
    parse_comment(f"{hostile}\n\n/trackside help"[:MAX_BODY], PREFIX)
    assert time.process_time() - began < 5


@given(st.text(alphabet=st.sampled_from("/trackside confirm\n\r\t `>*_~<!->[]()#|&;\\-"), max_size=80))
def test_no_comment_breaks_the_reading(body: str) -> None:
    for found in parse_comment(body + "\n/trackside", PREFIX):
        assert isinstance(found, Command | Unreadable)


def test_help_is_the_grammar() -> None:
    assert help_text(PREFIX) == snapshot(
        """\
I read these commands, one a line, at the start of a line of a new comment:

- `/trackside plan [STACK…] [--sha SHA]` plans the commit as a preview; nothing of it is ever applied
- `/trackside deploy [STACK…]` plans a commit of its branch to apply it; an unmerged one where the stack allows that
- `/trackside confirm [STACK|RUN] [--even-if-superseded]` applies the waiting plan, exactly as it was planned
- `/trackside discard [STACK|RUN] [why]` turns the waiting plan down; nothing is applied
- `/trackside replan [STACK|RUN] [only CHANGES] [except CHANGES]` makes another plan of the same commit, or of some of the plan's changes: `1,4-7`, or addresses
- `/trackside stop [STACK|RUN]` interrupts a run that is being planned
- `/trackside cancel [STACK|RUN]` withdraws a run that has not started
- `/trackside retry [STACK|RUN]` makes a run of the same commit again that failed, was stopped, canceled or discarded
- `/trackside lock STACK [note]` keeps a stack for yourself: only your runs go ahead, and nothing is deployed by itself
- `/trackside unlock STACK [note]` gives it back, or takes its hold away; another person's lock needs admin
- `/trackside approve [STACK|RUN] [note]` vouches for the run's plan, where an approval policy asks for that; applies nothing by itself
- `/trackside reject [STACK|RUN] [note]` speaks against the run's plan, where an approval policy asks for that
- `/trackside why [STACK]` says why each stack did or did not run for this commit
- `/trackside help` lists these commands

Without a name a command means the one run that takes it here; `plan` then means every stack that the commit concerns, and `why` tells of every stack.\
"""  # noqa: E501 - a sentence as it is said
    )
    assert {form.verb for form in GRAMMAR} == set(Verb)


BUTTONS = (Verb.CONFIRM, Verb.DISCARD, Verb.REPLAN, Verb.PLAN, Verb.DEPLOY, Verb.RETRY)


@pytest.mark.parametrize("verb", BUTTONS)
def test_a_button_sends_back_its_verb_and_the_plan_that_it_was_shown_with(verb: Verb) -> None:
    identifier = button_identifier(verb, DIGEST)
    assert len(identifier) == 17
    assert parse_identifier(identifier) == (verb, DIGEST[:16])


@pytest.mark.parametrize("verb", sorted(set(Verb) - set(BUTTONS)))
def test_a_command_without_a_button_makes_none(verb: Verb) -> None:
    with pytest.raises(ValueError, match="making a button"):
        button_identifier(verb, DIGEST)


def test_help_has_no_button_and_neither_has_a_plan_without_a_digest() -> None:
    with pytest.raises(ValueError, match="making a button"):
        button_identifier(Verb.HELP, DIGEST)
    with pytest.raises(ValueError, match="making a button"):
        button_identifier(Verb.CONFIRM, Digest("short"))


@pytest.mark.parametrize(
    "text",
    ["", "c", "c" + "a" * 15, "c" + "a" * 17, "x" + "a" * 16, "C" + "a" * 16, "c" + "A" * 16, "c" + "a" * 16 + "\n"],
)
def test_an_identifier_that_is_not_ours_is_none(text: str) -> None:
    assert parse_identifier(text) is None


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("confirm app", "confirm RUN"),
        ("confirm --even-if-superseded", "confirm RUN --even-if-superseded"),
        ("replan app", "replan RUN"),
        ('replan app only 1,4-7 a.b["x y"] except 5', 'replan RUN only 1 4-7 a.b["x y"] except 5'),
        ("replan except module.a", "replan RUN except module.a"),
        ("discard app it was not meant", "discard RUN"),
    ],
)
def test_the_audit_log_has_what_was_asked_besides_the_run(written: str, line: str) -> None:
    """A superseded plan that was confirmed all the same, and the choice of a replan."""
    (command,) = parse_comment(f"/trackside {written}", "/trackside")
    assert isinstance(command, Command)
    assert command.line("RUN") == line


def test_a_command_is_cut_for_the_audit_log() -> None:
    command = Command(verb=Verb.REPLAN, choice=Choice(is_only=True, only=("a" * 5000,)))
    assert len(command.line("RUN")) == MAX_AUDITED
