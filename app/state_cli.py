"""`trackside state …`: managed states in people's hands, on the server. Each command says one clear thing.

Whoever can start it there has the keys already; everything that is read or written is audited with their name.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from app.core.errors import UserError
from app.core.words_state import version_document, version_lines
from app.on_server import AsJson, actor, control, say_json, say_lines, stack_meant

if TYPE_CHECKING:
    from app.flows.state_by_hand import Writing

state_app = typer.Typer(
    name="state", help="Managed states: list, read, write, adopt, drop.", no_args_is_help=True, rich_markup_mode=None
)

MAX_FILE_BYTES: Final = 256 * 1024 * 1024
StackArgument = Annotated[str, typer.Argument(metavar="STACK", help="The stack's id, its name, or OWNER/REPO/NAME.")]
VersionArgument = Annotated[str, typer.Argument(metavar="VERSION", help="As `trackside state list` shows it.")]
Force = Annotated[bool, typer.Option("--force", help="Whatever its lineage and serial are.")]


@state_app.command(name="list")
def list_versions(stack: StackArgument, as_json: AsJson = False) -> None:
    """List the versions of a stack's state, newest first, also those that were kept apart."""
    with control() as plane:
        versions, current = plane.states_by_hand.list_versions(stack_meant(plane, stack))
    if as_json:
        say_json([version_document(version, current) for version in versions])
    else:
        say_lines(version_lines(versions, current), "no state yet")


@state_app.command()
def pull(
    stack: StackArgument,
    version: Annotated[str, typer.Option("--version", help="An older one, or one that was kept apart.")] = "",
) -> None:
    """Print a state as JSON. It may hold secrets in clear."""
    with control() as plane:
        found = plane.states_by_hand.pull(stack_meant(plane, stack), version, actor())
    sys.stdout.buffer.write(found.data)
    sys.stdout.buffer.flush()


@state_app.command()
def push(
    stack: StackArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A state; `-` reads standard input.")],
    force: Force = False,
) -> None:
    """Make a state the stack's current one; to a stack without a state it brings one in."""
    data = _read(file)
    with control() as plane:
        typer.echo(
            plane.states_by_hand.push(stack_meant(plane, stack), data, _writing(f"push {file.name}", is_forced=force))
        )


@state_app.command(name="mv")
def move(
    stack: StackArgument,
    source: Annotated[str, typer.Argument(metavar="FROM", help="A resource's address.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="Its address from now on.")],
) -> None:
    """Move a resource inside the state, with the stack's own engine."""
    _change(stack, "mv", (source, target))


@state_app.command(name="rm")
def remove(
    stack: StackArgument,
    address: Annotated[list[str], typer.Argument(metavar="ADDRESS…", help="Resources to forget.")],
) -> None:
    """Forget resources: they stay as they are, and are no longer the stack's."""
    _change(stack, "rm", tuple(address))


@state_app.command()
def adopt(stack: StackArgument, version: VersionArgument, force: Force = False) -> None:
    """Make a version that was kept apart the current one."""
    with control() as plane:
        writing = _writing(f"adopt {version}", is_forced=force)
        typer.echo(plane.states_by_hand.adopt(stack_meant(plane, stack), version, writing))


@state_app.command()
def drop(stack: StackArgument, version: VersionArgument) -> None:
    """Let go of a version that was kept apart, for good."""
    with control() as plane:
        typer.echo(plane.states_by_hand.drop(stack_meant(plane, stack), version, actor()))


def _change(stack: str, verb: str, addresses: tuple[str, ...]) -> None:
    from app.engine.statefile import change_state
    from app.engine.tools import find_engine

    with control() as plane:
        states, meant = plane.states_by_hand, stack_meant(plane, stack)
        found = states.pull(meant, "", actor())
        engine = find_engine(
            found.stack.settings.tool.value,
            terraform_bin=os.environ.get("TERRAFORM_BIN", ""),
            tofu_bin=os.environ.get("TOFU_BIN", ""),
            search_path=os.environ.get("PATH", os.defpath),
        )
        changed = change_state(engine, found.data, verb, addresses)
        typer.echo(changed.said)
        writing = _writing(f"{verb} {' '.join(addresses)}", based_on=found.version.id)
        typer.echo(states.push(meant, changed.data, writing))


def _read(file: Path) -> bytes:
    """The bytes of a state file, bounded before they are read."""
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as source:
            data = source.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UserError(f"reading {file}: {error.strerror or error}") from None
    if len(data) > MAX_FILE_BYTES:
        raise UserError(f"reading {file}: larger than the {MAX_FILE_BYTES} bytes that a state may have")
    return data


def _writing(command: str, **more: Any) -> "Writing":
    from app.flows.state_by_hand import Writing

    return Writing(actor=actor(), command=command, **more)
