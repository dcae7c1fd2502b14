"""What an edit of the App's comment did, read as the difference of two bodies."""

from hypothesis import given
from hypothesis import strategies as st

from app.core.names import Digest
from app.core.ticks import MAX_TICKED, applied, box, compare, heading, normalised, read_boxes, replan_box

ONE, OTHER = "1a2b3c4d5e6f7a8b", "9" * 16
KEY, ELSE = f"{ONE} network", f"{OTHER} network"


def body(*ticked: int, digest: str = ONE, stack: str = "network", replan: bool = False) -> str:
    """A comment with the boxes of one plan, as the App writes it."""
    lines = [heading(stack, 1, Digest(digest * 4)), "", "<details><summary>Plan a part of it</summary>", ""]
    lines += [box(number, f"create** `x.{number}`", is_ticked=number in ticked) for number in range(1, 4)]
    lines.append(replan_box().replace("[ ]", "[x]") if replan else replan_box())
    return "\n".join((*lines, "", "</details>"))


def test_ticks_are_what_was_not_ticked_before() -> None:
    edit = compare(body(1, 3), body(1, 2))
    assert (edit.ticked, edit.cleared) == ({KEY: frozenset({2})}, {KEY: frozenset({3})})
    assert (edit.replans, edit.is_other) == ((), False)


def test_the_last_box_asks_once() -> None:
    assert compare(body(1), body(1, replan=True)).replans == (KEY,)
    assert compare(body(1, replan=True), body(1, 2, replan=True)).replans == ()


def test_line_ends_and_capitals_of_a_form_are_no_change() -> None:
    sent = body(2).replace("[x]", "[X]").replace("\n", "\r\n") + "\r\n"
    edit = compare(body(), sent)
    assert edit.ticked == {KEY: frozenset({2})}
    assert not edit.is_other
    assert normalised(sent) == body(2).replace("[x]", "[X]")


def test_a_body_from_before_our_own_edit_loses_and_doubles_nothing() -> None:
    """A person's page still showed the body without the tick of 1; it sends that whole body, with a tick at 2."""
    edit = compare(body(1) + "\n\nnews", body(2))
    assert edit.is_other, "the news are to be written again"
    assert applied({KEY: (1,)}, edit, frozenset({KEY})) == {KEY: (1, 2)}
    first, second = compare(body(), body(1)), compare(body(), body(2))
    present = frozenset({KEY})
    assert applied(applied({}, first, present), second, present) == {KEY: (1, 2)}
    assert applied(applied({}, second, present), first, present) == {KEY: (1, 2)}


def test_a_box_of_another_plan_is_of_that_plan() -> None:
    edit = compare(body(digest=OTHER), body(2, replan=True))
    assert (edit.ticked, edit.replans) == ({KEY: frozenset({2})}, (KEY,))
    assert applied({ELSE: (3,)}, edit, frozenset({ELSE})) == {ELSE: (3,)}


def test_equal_plans_of_two_stacks_have_boxes_of_their_own() -> None:
    """Two workers plan the same configuration in the same second: their plan files are the same."""
    edit = compare(f"{body()}\n{body(stack='app')}", f"{body(1)}\n{body(2, stack='app', replan=True)}")
    assert edit.ticked == {KEY: frozenset({1}), f"{ONE} app": frozenset({2})}
    assert edit.replans == (f"{ONE} app",)


def test_what_stands_in_code_is_no_box() -> None:
    head = f"#### `x` · plan 1 · `{OTHER}`"
    code = f"````diff\n{head}\n- [x] **1. create** `x`\n```\n- [x] **Replan with the selection**\n````\n"
    found = read_boxes(f"{code}{body()}")
    assert list(found.numbers) == [KEY]
    assert found.replans == {KEY: False}
    assert read_boxes(f"{body()}\n{code}").numbers == {KEY: {1: False, 2: False, 3: False}}


def test_a_number_that_stands_twice_is_its_first() -> None:
    twice = body(2) + "\n" + heading("network", 1, Digest(ONE * 4)) + "\n" + box(2, "x", is_ticked=False)
    assert read_boxes(twice).numbers[KEY][2]


def test_other_text_is_noticed_and_no_tick() -> None:
    assert compare(body(), body().replace("create", "destroy")).is_other
    gone = compare(body(1), "nothing")
    assert gone.is_other
    assert (gone.ticked, gone.cleared, gone.replans) == ({}, {}, ())


def test_what_is_kept_is_bounded() -> None:
    many = {KEY: tuple(range(MAX_TICKED + 50))}
    assert len(applied(many, compare("", ""), frozenset({KEY}))[KEY]) == MAX_TICKED


@given(st.text(alphabet=st.sampled_from("- [x] **1. `\n~#·9aRReplan"), max_size=200), st.booleans())
def test_no_text_breaks_the_reading(text: str, is_before: bool) -> None:
    whole = f"{text}\n{body(1)}" if is_before else f"{body(1)}\n{text}"
    found = read_boxes(whole)
    assert read_boxes(whole) == found
    assert len(found.rest.split("\n")) == len(normalised(whole).split("\n"))
