"""What of a value changes: equal values have no row, different ones have, secrets none that shows them."""

import json
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.plan import MASK, Attribute
from app.core.plandiff import MAX_ATTRIBUTES, Rows, Spot
from app.core.planmask import Masker, load
from app.core.sequencediff import MAX_LINES

LEAVES = st.booleans() | st.integers() | st.text('ab{[\n"', max_size=6)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab.", max_size=3), inner, max_size=4)
)


def rows_of(old: object, new: object, *secrets: str, forcing: tuple[tuple[str | int, ...], ...] = ()) -> Rows:
    rows = Rows(masker=Masker(secrets), forcing=forcing)
    rows.compare(Spot("input", ("input",)), load(json.dumps(old)), load(json.dumps(new)))
    return rows


def shown(rows: Rows) -> list[tuple[str, str | None, str | None]]:
    return [(row.name, row.before, row.after) for row in rows.found]


@settings(max_examples=150)
@given(TREES, TREES)
def test_equal_values_have_no_row_and_others_have_one(old: object, new: object) -> None:
    assert rows_of(old, old).found == []
    is_same = json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)
    assert bool(rows_of(old, new).found) is not is_same


@settings(max_examples=100)
@given(TREES, TREES, st.sampled_from(["plain", "json", "line", "key", "part"]))
def test_a_known_secret_is_in_no_row(old: object, new: object, dress: str) -> None:
    secret = 'hunter2"hunter2'
    dressed = {
        "plain": secret,
        "json": json.dumps({"deep": [secret, 1]}),
        "line": f"a\n{secret}\nb",
        "key": {secret: 1},
        "part": f"postgres://{secret}@db",
    }[dress]
    rows = rows_of([old, dressed], [new, {"x": dressed}], secret)
    said = json.dumps([[row.name, row.before, row.after, row.lines] for row in rows.found])
    assert "hunter2" not in said
    assert rows.hidden or dress == "key"


def test_lists_keep_what_stays_and_name_what_came_and_went() -> None:
    assert shown(rows_of(["a", "b", "c"], ["b", "c", "d"])) == [("input[0]", '"a"', None), ("input[2]", None, '"d"')]
    old, new = [{"p": 1, "q": 1}, {"p": 2, "q": 1}], [{"p": 0, "q": 1}, {"p": 1, "q": 1}, {"p": 2, "q": 9}]
    assert shown(rows_of(old, new)) == [("input[0]", None, '{"p": 0, "q": 1}'), ("input[2].q", "1", "9")]
    assert shown(rows_of([None], ["x"])) == [("input[0]", "null", '"x"')]


def test_what_forces_a_replacement_is_marked_where_it_is_and_below() -> None:
    rows = rows_of({"a": {"x": 1, "y": 1}, "b": 1}, {"a": {"x": 2, "y": 2}, "b": 2}, forcing=(("input", "a", "x"),))
    assert {row.name: row.forces_replacement for row in rows.found} == {
        "input.a.x": True,
        "input.a.y": False,
        "input.b": False,
    }
    whole = rows_of({"a": {"x": 1}}, {"a": {"x": 2}}, forcing=(("input",),))
    assert [row.forces_replacement for row in whole.found] == [True]


def test_every_bound_counts_what_is_beyond_it() -> None:
    wide = rows_of({}, {f"k{at}": "x" * 50 for at in range(100)})
    assert (len(wide.found), wide.left_out) == (MAX_ATTRIBUTES, 60)
    text = rows_of("\n".join(map(str, range(0, 1_000, 2))), "\n".join(map(str, range(1, 1_000, 2)))).found[0]
    assert len(text.lines) == MAX_LINES
    assert [line for line in text.lines if line.startswith("…")] == ["…460"]
    assert sum(line[0] in "-+" for line in text.lines) + 460 + text.lines_left_out == 1_000
    deep: object = "x"
    for _ in range(60):
        deep = {"a": deep}
    (row,) = rows_of(deep, {"a": 1}).found[:1]
    assert row.name == "input.a"


@pytest.mark.parametrize("size", [1_000, 20_000])
def test_long_lists_and_texts_take_no_time_by_the_square(size: int) -> None:
    began = process_time()
    rows_of(["a", "b"] * size, ["b", "a", "c"] * size)
    rows_of("a\nb\n" * size, "b\na\nc\n" * size)
    assert process_time() - began < 5


def test_a_long_value_is_kept_where_it_begins_to_differ() -> None:
    (row,) = rows_of("x" * 5_000 + "a", "x" * 5_000 + "b").found
    assert isinstance(row, Attribute)
    assert (row.before or "").startswith("(4901 characters before) …xxx")
    assert ((row.before or "")[-2:], (row.after or "")[-2:]) == ('a"', 'b"')


def test_two_secrets_are_said_to_differ_without_a_word_of_them() -> None:
    assert shown(rows_of("first-secret", "second-secret", "first-secret", "second-secret")) == [("input", MASK, MASK)]
