"""Flags: set by policies, kept for each of them, gone when all that set them have taken them back."""

import pytest

from app.core.flags import MAX_FLAG, MAX_FLAGS, FlagOwners, turn_flags

Said = dict[str, list[str]]


@pytest.mark.parametrize(
    ("held", "sets", "resets", "after"),
    [
        pytest.param({}, {"a": ["x", "y"]}, {}, {"x": ("a",), "y": ("a",)}, id="set"),
        pytest.param({"x": ("a",)}, {"b": ["x"]}, {}, {"x": ("a", "b")}, id="set by another as well"),
        pytest.param({"x": ("a",)}, {"a": ["x"]}, {}, {"x": ("a",)}, id="set twice"),
        pytest.param({"x": ("a",)}, {}, {"a": ["x"]}, {}, id="reset by its owner"),
        pytest.param({"x": ("a",)}, {}, {"b": ["x"]}, {"x": ("a",)}, id="reset by another"),
        pytest.param({"x": ("a", "b")}, {}, {"a": ["x"]}, {"x": ("b",)}, id="reset by one of two"),
        pytest.param({"x": ("a", "b")}, {}, {"a": ["x"], "b": ["x"]}, {}, id="reset by both"),
        pytest.param({"x": ("a",)}, {"a": ["x"]}, {"a": ["x"]}, {"x": ("a",)}, id="reset and set: resets come first"),
        pytest.param({"x": ("a",)}, {"b": ["x"]}, {"a": ["x"]}, {"x": ("b",)}, id="handed from one to another"),
        pytest.param({}, {"a": ["x"]}, {"a": ["x"]}, {"x": ("a",)}, id="reset of what was not there, and set"),
        pytest.param({"x": ()}, {}, {"a": ["x"]}, {}, id="reset of one without an owner"),
        pytest.param({"x": ()}, {}, {}, {"x": ()}, id="one without an owner stays"),
        pytest.param({}, {"a": [""]}, {"a": ["", "z"]}, {}, id="no flag at all"),
        pytest.param({}, {"a": ["z" * 300]}, {}, {"z" * MAX_FLAG: ("a",)}, id="a long one is cut"),
        pytest.param({"z" * MAX_FLAG: ("a",)}, {}, {"a": ["z" * 300]}, {}, id="and reset by its long name"),
    ],
)
def test_one_evaluation_turns_the_flags(held: FlagOwners, sets: Said, resets: Said, after: FlagOwners) -> None:
    assert turn_flags(held, sets=sets, resets=resets) == after


def test_there_is_an_end_to_the_number_of_flags() -> None:
    many = {"a": [f"f{number:04}" for number in range(MAX_FLAGS + 50)]}
    full = turn_flags({}, sets=many, resets={})
    assert len(full) == MAX_FLAGS
    assert "new" not in turn_flags(full, sets={"b": ["new"]}, resets={})
    assert turn_flags(full, sets={"b": ["new", "f0001"]}, resets={"a": ["f0000"]})["new"] == ("b",)
    assert turn_flags(full, sets={"b": ["f0001"]}, resets={})["f0001"] == ("a", "b")
