"""What commands given on the server stand on: the settings and the database of this process's environment, and how a
list is printed."""

import getpass
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from app.core.errors import TracksideError, UserError
from app.core.markdown import shortened
from app.core.names import StackId

if TYPE_CHECKING:
    from app.core.event import Repository
    from app.core.stack import Stack
    from app.wiring import ControlPlane


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
MAX_LINE_CHARS: Final = 1_000
MAX_LINES: Final = 200


def error_text(error: TracksideError) -> str:
    """What somebody at a terminal reads of an error: its lines, each cut, and nothing that moves the cursor."""
    lines = str(error).splitlines()
    shown = [shortened(line, MAX_LINE_CHARS) for line in lines[:MAX_LINES]]
    if len(lines) > MAX_LINES:
        shown.append(f"and {len(lines) - MAX_LINES:,} lines more")
    return "trackside: " + "\n".join(shown)


def say_json(document: object) -> None:
    """Print a document for a program."""
    typer.echo(json.dumps(document, indent=2))


def say_lines(lines: Sequence[str], nothing: str) -> None:
    """Print a table; without rows, say on stderr what would bring some."""
    for line in lines:
        typer.echo(line)
    if not lines:
        typer.echo(nothing, err=True)


def actor() -> str:
    """Who gives the command, for the audit log."""
    return f"{getpass.getuser()} (on the server)"


def database_url() -> str:
    """DATABASE_URL, or the embedded database when `serve` runs it here."""
    from app.store.embedded import EmbeddedPostgres

    given = os.environ.get("DATABASE_URL", "").strip()
    return given or EmbeddedPostgres(_data_dir()).url


def reachable_database_url() -> str:
    """The same, once it answers. Raises: UserError that says where it was looked for, and what to do."""
    from app.store.reach import check_reachable

    url = database_url()
    check_reachable(url, embedded_in=_embedded_in())
    return url


def ready_database_url() -> str:
    """The same, once it is at this version, too. Raises: UserError, as reachable_database_url does."""
    from app.store.reach import check_ready

    url = database_url()
    check_ready(url, embedded_in=_embedded_in())
    return url


@contextmanager
def running_database() -> Iterator[str]:
    """The same, running: the embedded one is started when `serve` does not run, and stopped afterwards."""
    from app.store.embedded import EmbeddedPostgres
    from app.store.reach import check_reachable

    given = os.environ.get("DATABASE_URL", "").strip()
    if given:
        check_reachable(given)
        yield given
        return
    server = EmbeddedPostgres(_data_dir())
    try:
        yield server.start()
    finally:
        server.stop()


@contextmanager
def control() -> "Iterator[ControlPlane]":
    """The control plane, for one command. Raises: UserError when the database is away, or not at this version, and when
    there is no App."""
    from app.wiring import open_control
    from app.wiring_app import get_settings, load_first

    load_first(os.environ)  # its problems first
    url = ready_database_url()
    with open_control(get_settings(os.environ, url), url) as plane:
        yield plane


def named_stacks(plane: "ControlPlane") -> "list[tuple[Stack, Repository | None]]":
    """Every stack with its repository, by repository and name; None: that is not known any more."""
    found = plane.store.list_all_stacks()
    with plane.store.begin() as tx:
        known = {one: tx.find_repository(one) for one in {stack.repository_id for stack in found}}
    return [(stack, known[stack.repository_id]) for stack in found]


def stack_meant(plane: "ControlPlane", word: str) -> StackId:
    """The id of the stack that a word means: an id as it is, or the id of the one stack that has that name. What means
    none stays as it is: whoever looks it up says so. Raises: UserError that lists them, when several have the name."""
    from app.core.words_list import several_called, stacks_called
    from app.web.ulid import is_ulid

    called = {} if is_ulid(word) else stacks_called(word, named_stacks(plane))
    if len(called) > 1:
        raise UserError(several_called(word, called))
    return next(iter(called), StackId(word))


def _embedded_in() -> str:
    """The folder of the embedded database; empty when DATABASE_URL names another."""
    return "" if os.environ.get("DATABASE_URL", "").strip() else str(_data_dir().absolute() / "postgres")


def _data_dir() -> Path:
    return Path(os.environ.get("DATA_DIR", "") or "data")
