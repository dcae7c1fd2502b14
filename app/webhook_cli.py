"""`trackside webhook …`: where messages about runs may go, which only the server's operator says."""

import getpass
import sys
from typing import Annotated, Final

import typer

from app.core.errors import UserError
from app.core.names import Secret
from app.core.notice import MAX_URL, Endpoint
from app.on_server import AsJson, actor, control, say_json, say_lines

webhook_app = typer.Typer(
    name="webhook",
    help="Where notification policies may send messages: set up, list, remove, switch on again.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

MAX_SECRET: Final = 1_000
_NAME = Annotated[str, typer.Argument(metavar="NAME", help="What policies name as `endpoint_id`.")]


@webhook_app.command("add")
def add(
    name: _NAME,
    label: Annotated[list[str] | None, typer.Option("--label", help="A word that policies may choose it by.")] = None,
    account: Annotated[
        list[str] | None, typer.Option("--account", help="Whose policies may name it; needed where several are served.")
    ] = None,
) -> None:
    """Set an endpoint up, or replace it. Its address and the secret that signs are read from stdin, a line each, or
    asked for; never from the command line, since either may hold a token."""
    url, signing = _given()
    endpoint = Endpoint(name=name, labels=tuple(label or ()), accounts=tuple(account or ()), url=url, signing=signing)
    with control() as plane:
        typer.echo(plane.endpoints.add(endpoint, actor()))


@webhook_app.command("list")
def list_endpoints(as_json: AsJson = False) -> None:
    """List endpoints: whether each is on, its failures in a row, the number of its newest message, where it is."""
    from app.core.words_notice import NO_ENDPOINTS, endpoint_document, endpoint_lines

    with control() as plane:
        found = plane.endpoints.listed()
    if as_json:
        say_json([endpoint_document(one) for one in found])
    else:
        say_lines(endpoint_lines(found), NO_ENDPOINTS)


@webhook_app.command()
def remove(name: _NAME) -> None:
    """Forget an endpoint, secret and all; what waits for it is dropped."""
    with control() as plane:
        typer.echo(plane.endpoints.remove(name, actor()))


@webhook_app.command()
def enable(name: _NAME) -> None:
    """Switch an endpoint on again after ten failures in a row switched it off; what it missed is not sent."""
    with control() as plane:
        typer.echo(plane.endpoints.enable(name, actor()))


def _given() -> tuple[Secret, Secret]:
    """The address and the secret."""
    if sys.stdin.isatty():
        url = typer.prompt("address (https://…)")
        return Secret(url.strip()), Secret(getpass.getpass("secret that signs: "))
    lines = sys.stdin.read(MAX_URL + MAX_SECRET + 3).splitlines()
    if len(lines) != 2:
        raise UserError("setting up the endpoint: stdin has its address on the first line, its secret on the second")
    return Secret(lines[0].strip()), Secret(lines[1])
