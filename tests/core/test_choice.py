"""A choice of changes: words become addresses, verbatim; what chooses nothing says why."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from app.core.choice import (
    MAX_PICKS,
    MAX_TARGETS_BYTES,
    Choice,
    Problem,
    Shown,
    Targeting,
    Trouble,
    additions,
    can_exclude,
    choice_of,
    read_choice,
    resolve,
    split_words,
)
from app.core.command import Command, Verb, parse_comment
from app.core.errors import UserError
from app.core.plan import Action, Change, Kind, PlanSummary
from app.core.rest import pending
from app.core.words_choice import choice_refused, part_requested
from tests.core.made import WAITING

ODD_KEYS = (
    "plain",
    "with blank",
    "two  blanks",
    "comma,comma",
    'quote"inside',
    "back\\slash",
    "ends with \\",
    "$${not}",
    "${literally}",
    "%%{for}",
    "line\nbreak",
    "tab\tstop",
    "ümläut",
    "日本語",
    "🚀",
    "a.b",
    "a[0]",
    'a["b"]',
    "*bold* _em_",
    "`code`",
    "<b>&amp;</b>",
    "only",
)


def address(key: str) -> str:
    """The instance of a key as the engine writes it."""
    escaped = key.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    escaped = escaped.replace("${", "$${").replace("%{", "%%{")
    return f'terraform_data.odd["{escaped}"]'


def plan_of(*addresses: str, left_out: int = 0, moves_left_out: int = 0) -> PlanSummary:
    """A plan that creates resources, and an output at its end."""
    made = [
        Change(number=number, kind=Kind.RESOURCE, action=Action.CREATE, address=one)
        for number, one in enumerate(addresses, start=1)
    ]
    made.append(Change(number=len(made) + 1, kind=Kind.OUTPUT, action=Action.CREATE, address="said"))
    return PlanSummary(changes=tuple(made), changes_left_out=left_out, moves_left_out=moves_left_out)


LETTERS = plan_of("x.a", "x.b", "module.m.x.c", "module.m.x.d[0]", "module.m2.x.e")


def chosen(*words: str, summary: PlanSummary = LETTERS, **changes: object) -> Targeting | Problem:
    """What the words choose of a plan."""
    choice = read_choice(words)
    assert choice is not None
    return resolve(choice, replace(Shown(number=1, summary=summary), **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "addresses"),
    [
        (("only", "1"), ("x.a",)),
        (("only", "2", "1"), ("x.a", "x.b")),
        (("only", "1-3"), ("x.a", "x.b", "module.m.x.c")),
        (("only", "5-6"), ("module.m2.x.e",)),
        (("only", "x.b", "3"), ("x.b", "module.m.x.c")),
        (("only", "module.m"), ("module.m.x.c", "module.m.x.d[0]")),
        (("only", "module.m.x.d"), ("module.m.x.d[0]",)),
        (("only", "1-4", "except", "2"), ("x.a", "module.m.x.c", "module.m.x.d[0]")),
        (("except", "module.m", "1"), ("x.b", "module.m2.x.e")),
        (("except", "x.a", "only", "1-2"), ("x.b",)),
    ],
)
def test_numbers_ranges_and_addresses_choose_resources(words: tuple[str, ...], addresses: tuple[str, ...]) -> None:
    assert chosen(*words) == Targeting(of_plan=1, chosen=addresses)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("only",), Problem(trouble=Trouble.EMPTY)),
        (("only", "1", "except"), Problem(trouble=Trouble.EMPTY)),
        (("only", "0"), Problem(trouble=Trouble.UNKNOWN, pick="0")),
        (("only", "7"), Problem(trouble=Trouble.UNKNOWN, pick="7")),
        (("only", "3-2"), Problem(trouble=Trouble.UNKNOWN, pick="3-2")),
        (("only", "x.aa"), Problem(trouble=Trouble.UNKNOWN, pick="x.aa", nearest="x.a")),
        (("except", "nothing_like_it"), Problem(trouble=Trouble.UNKNOWN, pick="nothing_like_it")),
        (("only", "6"), Problem(trouble=Trouble.OUTPUT, pick="6")),
        (("except", "said"), Problem(trouble=Trouble.OUTPUT, pick="said")),
        (("except", "1-5"), Problem(trouble=Trouble.NOTHING_LEFT)),
        (("only", *("1",) * (MAX_PICKS + 1)), Problem(trouble=Trouble.TOO_MANY)),
    ],
)
def test_a_choice_of_nothing_says_why(words: tuple[str, ...], problem: Problem) -> None:
    assert chosen(*words) == problem


def test_every_pending_move_is_a_target_and_none_can_be_left_out() -> None:
    moved = Change(number=1, kind=Kind.RESOURCE, action=Action.MOVE, address="x.new", previous_address="x.old")
    summary = PlanSummary(changes=(moved, replace_number(LETTERS.changes[0], 2)))
    part = chosen("only", "2", summary=summary)
    assert part == Targeting(of_plan=1, chosen=("x.a",), moves=("x.new", "x.old"))
    assert isinstance(part, Targeting)
    assert part.targets == ("x.a", "x.new", "x.old")
    assert chosen("except", "x.new", summary=summary) == Problem(trouble=Trouble.MOVE, pick="x.new")
    assert [change.address for change in additions(part, summary)] == ["x.new"]


def test_where_everybody_reads_the_answer_it_names_no_address_that_the_person_did_not() -> None:
    typed = Problem(trouble=Trouble.UNKNOWN, pick="x.pay", nearest="x.payroll")
    assert typed.veiled() == Problem(trouble=Trouble.UNKNOWN, pick="x.pay")
    said = choice_refused(WAITING, Problem(trouble=Trouble.MOVE, pick="x.payroll").veiled(), "/trackside", listed=2)
    assert "payroll" not in said
    assert "a change that you left out moves" in said


def replace_number(change: Change, number: int) -> Change:
    return Change(number=number, kind=change.kind, action=change.action, address=change.address)


def test_what_is_not_listed_cannot_be_chosen_by_what_is_excepted() -> None:
    cut = plan_of("x.a", "x.b", left_out=3)
    assert chosen("except", "1", summary=cut) == Problem(trouble=Trouble.NOT_LISTED)
    assert chosen("only", "1", summary=cut) == Targeting(of_plan=1, chosen=("x.a",))
    part = chosen("except", "1", summary=cut, can_exclude=True)
    assert part == Targeting(of_plan=1, excluded=("x.a",))
    assert isinstance(part, Targeting)
    assert part.targets == ()
    assert additions(part, plan_of("x.b", "x.c")) == ()
    assert [change.address for change in additions(part, plan_of("x.a", "x.b"))] == ["x.a"]
    unseen_move = plan_of("x.a", left_out=1, moves_left_out=1)
    assert chosen("only", "1", summary=unseen_move) == Problem(trouble=Trouble.NOT_LISTED)


def test_targets_fit_into_one_command_line() -> None:
    long = plan_of(*(f'x.a["{number}{"y" * 900}"]' for number in range(MAX_TARGETS_BYTES // 900)))
    assert chosen("only", f"1-{len(long.changes)}", summary=long) == Problem(trouble=Trouble.TOO_MANY)
    one = plan_of(f'x.a["{"y" * 120_000}"]')
    assert chosen("only", "1", summary=one) == Problem(trouble=Trouble.TOO_MANY)


def test_a_part_of_a_part_is_still_a_part_of_the_whole_plan() -> None:
    before = Targeting(of_plan=1, chosen=("x.a", "x.b"))
    part = chosen("except", "1", summary=plan_of("x.a", "x.b"), number=2, targeting=before, can_exclude=True)
    assert part == Targeting(of_plan=1, chosen=("x.b",)), "an engine that only leaves x.a out would plan all the rest"


def test_what_is_pending_has_the_numbers_of_the_whole_plan() -> None:
    done = plan_of("x.b", "module.m.x.c")
    left = [(change.number, change.address) for change in pending(LETTERS, done)]
    assert left == [(1, "x.a"), (4, "module.m.x.d[0]"), (5, "module.m2.x.e")]


@pytest.mark.parametrize(
    ("engine", "can"),
    [
        ("tofu 1.9.0", True),
        ("tofu 1.10.2", True),
        ("tofu 1.8.9", False),
        ("tofu 2.0.0-beta1", True),
        ("terraform 1.15.5", False),
        ("tofu", False),
    ],
)
def test_only_opentofu_can_leave_out(engine: str, *, can: bool) -> None:
    assert can_exclude(engine) is can


def test_there_are_22_odd_keys() -> None:
    assert len(set(ODD_KEYS)) == 22


@pytest.mark.parametrize("key", ODD_KEYS)
def test_an_address_with_an_odd_key_survives_a_comment(key: str) -> None:
    """As code, every letter is kept; so is it as plain text, but where Markdown itself means something by it."""
    odd = address(key)
    ticks = "``" if "`" in odd else "`"
    (command,) = parse_comment(f"/trackside replan app only {ticks}{odd}{ticks} 7", "/trackside")
    assert command == Command(verb=Verb.REPLAN, target="app", choice=Choice(is_only=True, only=(odd, "7")))
    (plain,) = parse_comment(f"/trackside replan app only {odd} 7", "/trackside")
    if "`" not in key:
        assert plain == command
    assert choice_of([f"{odd},7"], None) == Choice(is_only=True, only=(odd, "7"))
    summary = plan_of(*(address(one) for one in ODD_KEYS))
    assert chosen("only", odd, summary=summary) == Targeting(of_plan=1, chosen=(odd,))


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=5))
def test_addresses_come_out_of_a_line_as_they_went_in(keys: list[str]) -> None:
    addresses = [address(key) for key in keys]
    assert split_words(", ".join(addresses)) == addresses
    assert split_words("  ".join(addresses)) == addresses


def test_an_open_quote_is_no_address() -> None:
    assert split_words('x.a["b') is None
    with pytest.raises(UserError, match=r"reading the choice 'x\.a\[\"b': a quote is not closed"):
        choice_of(['x.a["b'], None)
    assert choice_of(None, None) is None
    assert choice_of([], None) == Choice(is_only=True)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("replan", Command(verb=Verb.REPLAN)),
        ("replan app", Command(verb=Verb.REPLAN, target="app")),
        ("replan only 1", Command(verb=Verb.REPLAN, choice=Choice(is_only=True, only=("1",)))),
        (
            "replan app only 1, 4-7 except x.a",
            Command(
                verb=Verb.REPLAN,
                target="app",
                choice=Choice(is_only=True, only=("1", "4-7"), is_except=True, excepted=("x.a",)),
            ),
        ),
        ("replan app except", Command(verb=Verb.REPLAN, target="app", choice=Choice(is_except=True))),
    ],
)
def test_a_choice_stands_behind_the_target(line: str, command: Command) -> None:
    assert parse_comment(f"/trackside {line}", "/trackside") == (command,)


def test_the_sentences_about_choices() -> None:
    said = [
        choice_refused(WAITING, Problem(trouble=trouble, pick="x.aa", nearest="x.a"), "/trackside", listed=5)
        for trouble in Trouble
    ]
    said.append(choice_refused(WAITING, Problem(trouble=Trouble.UNKNOWN, pick="9"), "/trackside", listed=1_200))
    said.append(choice_refused(WAITING, Problem(trouble=Trouble.UNKNOWN, pick="foo"), "/trackside", listed=5))
    said.append(choice_refused(WAITING, Problem(trouble=Trouble.OUTPUT), "/trackside", listed=5))
    said.append(part_requested(WAITING, Targeting(of_plan=1, chosen=("x.a",))))
    said.append(part_requested(WAITING, Targeting(of_plan=1, excluded=("x.a", "x.b"))))
    assert said == snapshot(
        [
            "Not done for `network`: no change is named. Name numbers or addresses of plan 1, as in `/trackside replan network only 1`.",  # noqa: E501 - a sentence as it is said
            "Not done for `network`: plan 1 has no change `x.aa`. Did you mean `x.a`? Its number can be given instead.",
            "Not done for `network`: `x.aa` is an output, and outputs cannot be chosen: they follow from the resources that are planned.",  # noqa: E501 - a sentence as it is said
            "Not done for `network`: nothing is left of plan 1 without what is excepted. `/trackside discard network` turns the plan down.",  # noqa: E501 - a sentence as it is said
            "Not done for `network`: `x.aa` moves, and the engine plans no part of a configuration that leaves a pending move out.",  # noqa: E501 - a sentence as it is said
            "Not done for `network`: plan 1 has more changes than are listed, and this choice would have to name those too. A choice as in `/trackside replan network only 1` need not, unless a move is among them.",  # noqa: E501 - a sentence as it is said
            "Not done for `network`: the changes of plan 1 are not kept any more. `/trackside replan network` plans the whole commit again.",  # noqa: E501 - a sentence as it is said
            "Not done for `network`: the choice is longer than the engine's command line takes. Choose fewer changes.",
            "Not done for `network`: plan 1 has no change `9`; its changes are numbered 1 to 1,200.",
            'Not done for `network`: plan 1 has no change `foo`; its changes are numbered 1 to 5. An address names one too, written as the plan has it, a key in double quotes and all of it in backticks: `aws_instance.web["a b"]`.',  # noqa: E501 - a sentence as it is said
            "Not done for `network`: only outputs are chosen, and outputs cannot be chosen: they follow from the resources that are planned.",  # noqa: E501 - a sentence as it is said
            "Another plan of `network` is being made, of a part of plan 1: one resource chosen. What that depends on may come with it.",  # noqa: E501 - a sentence as it is said
            "Another plan of `network` is being made, of a part of plan 1: everything but 2 resources. What that depends on may come with it.",  # noqa: E501 - a sentence as it is said
        ]
    )
