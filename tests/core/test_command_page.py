"""The page about commands is what the grammar, the permissions and the sentences give."""

from pathlib import Path

from typer.main import get_command

from app.cli import app
from app.core.command import Verb
from app.core.command_page import commands_page

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_in_the_documentation_is_what_the_grammar_gives() -> None:
    assert (DOCS / "commands.md").read_text(encoding="utf-8") == commands_page()


def test_the_page_has_every_command_of_a_comment_and_every_one_that_the_server_has_too() -> None:
    page = commands_page()
    assert [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")][: len(Verb)] == [
        verb.value for verb in Verb
    ]
    here = set(get_command(app).commands)  # type: ignore[attr-defined]  # a group has commands
    assert {verb.value for verb in Verb if not verb.is_review} - {"help"} <= here
    assert {"destroy", "drift"} <= here
