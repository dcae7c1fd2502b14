"""Counts to look at: squares as text and as a picture, and the tables."""

import xml.etree.ElementTree as ElementTree

import pytest

from app.core.deltastrip import MAX_MODULES, MAX_SQUARES, counts_table, module_table, strip_line, strip_svg
from app.core.plan import Counts, Delta, ModuleCounts, PlanSummary

ALL = Delta(
    resources=Counts(create=1, update=1, replace=1, delete=1, read=1, import_=1, forget=1, move=1),
    outputs=Counts(update=2),
)


def test_what_destroys_comes_first_and_outputs_stand_apart() -> None:
    assert strip_line(ALL) == "🟥🟪🟨🟩🟦🟦⬜⬜ 8 resources · 🟨🟨 2 outputs"
    assert strip_line(Delta(outputs=Counts(create=1))) == "🟩 1 output"
    assert strip_line(Delta()) == ""


@pytest.mark.parametrize("counts", [Counts(create=10_000, delete=1), Counts(create=21), Counts(update=50, delete=50)])
def test_many_changes_are_shares_and_no_kind_vanishes(counts: Counts) -> None:
    squares = strip_line(Delta(resources=counts)).split(" ")[0]
    assert len(squares) <= MAX_SQUARES + 1
    assert ("🟥" in squares) is bool(counts.delete)


def test_the_picture_has_a_shape_for_each_square_and_nothing_active() -> None:
    svg = strip_svg(ALL)
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own
    assert len(root) == 10
    assert {child.tag.rpartition("}")[2] for child in root} == {"rect"}
    assert {name for child in root for name in child.attrib} == {"x", "y", "width", "height", "rx", "fill"}
    assert int(root.attrib["width"]) > 100
    assert "<rect" not in strip_svg(Delta())


def test_the_table_of_modules_counts_what_it_leaves_out() -> None:
    modules = tuple(ModuleCounts(module=f"module.a|{at}", counts=Counts(create=1_000)) for at in range(MAX_MODULES + 4))
    table = module_table(PlanSummary(modules=(ModuleCounts(counts=Counts(delete=1)), *modules), modules_left_out=7))
    rows = table.splitlines()
    assert rows[:4] == [
        "| module | create + | destroy - |",
        "| --- | ---: | ---: |",
        "| (root) |  | 1 |",
        "| `module.a\\|0` | 1,000 |  |",
    ]
    assert rows[-1] == "12 more modules are not listed here."
    assert module_table(PlanSummary()) == counts_table(Delta()) == ""
