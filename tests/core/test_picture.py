"""The picture in the documentation is the table's."""

from pathlib import Path

from app.core.picture import state_picture, states_page
from app.core.run import TABLE

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_in_the_documentation_is_what_the_table_gives() -> None:
    assert (DOCS / "states.md").read_text(encoding="utf-8") == states_page()


def test_the_picture_has_every_edge() -> None:
    lines = state_picture().splitlines()
    for (before, step), after in TABLE.items():
        [line] = [line for line in lines if line.startswith(f"    {before.value} --> {after.value}:")]
        assert step.value in line
