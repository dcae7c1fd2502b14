"""`trackside secret …`, `oidc …` and `attestation …`: what only the server's operator does, and what an auditor checks.

`attestation verify` needs no server, no database and no settings: a file, and the public key.
"""

import getpass
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from app.core.errors import UserError
from app.core.names import RunId, Secret
from app.core.secret import MAX_SECRET_CHARS, NO_SECRETS, read_scope
from app.core.table import table_lines
from app.on_server import AsJson, actor, control, say_json, say_lines

secret_app = typer.Typer(
    name="secret", help="Set, list and delete the secrets of stacks.", no_args_is_help=True, rich_markup_mode=None
)
oidc_app = typer.Typer(
    name="oidc",
    help="The keys of the identity tokens that runs show to clouds.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
attestation_app = typer.Typer(
    name="attestation", help="What was applied, signed.", no_args_is_help=True, rich_markup_mode=None
)

MAX_KEY_BYTES: Final = 1024 * 1024
_OTHERWISE: Final = "--issuer takes the installation's PUBLIC_URL; --key FILE takes its keys without asking anybody"
_NAME = Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits and `_`, as `{secret: NAME}` says it.")]
_SCOPE = Annotated[str, typer.Option("--scope", metavar="OWNER[/REPO[/STACK]]", help="Whose stacks know it.")]
_RUN = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, as in its page's address.")]


@secret_app.command("set")
def set_secret(name: _NAME, scope: _SCOPE) -> None:
    """Keep a secret. Its value is read from stdin, or asked for without echo; never from the command line."""
    where, value = read_scope(scope), _value(name)
    with control() as plane:
        typer.echo(plane.secrets.set(name, where, value, actor()))


@secret_app.command("list")
def list_secrets(
    scope: Annotated[str, typer.Option("--scope", metavar="OWNER[/REPO[/STACK]]", help="Of one scope alone.")] = "",
    as_json: AsJson = False,
) -> None:
    """List secrets without their values: name, scope, when it was set and by whom."""
    with control() as plane:
        found = plane.secrets.told(read_scope(scope) if scope else None)
    if as_json:
        say_json([asdict(one) | {"updated_at": one.updated_at.isoformat()} for one in found])
        return
    rows = ((one.name, one.scope, f"{one.updated_at:%Y-%m-%d %H:%M} UTC", one.updated_by) for one in found)
    say_lines(table_lines(("NAME", "SCOPE", "SET", "BY"), rows), NO_SECRETS)


@secret_app.command("delete")
def delete_secret(name: _NAME, scope: _SCOPE) -> None:
    """Delete a secret, value and all."""
    where = read_scope(scope)
    with control() as plane:
        typer.echo(plane.secrets.delete(name, where, actor()))


@oidc_app.command("keys")
def oidc_keys() -> None:
    """Print the public keys as they are served: a JSON Web Key Set."""
    from app.core.signing import Purpose

    with control() as plane:
        typer.echo(json.dumps(plane.identity.key_set(Purpose.OIDC), indent=2))


@oidc_app.command("rotate")
def oidc_rotate() -> None:
    """Sign with a new key from now on; the one before stays published until its last token is over."""
    from app.core.signing import Purpose

    with control() as plane:
        made = plane.identity.rotate(Purpose.OIDC, actor())
    typer.echo(
        f"identity tokens are signed with key {made} from now on; the one before is published for 20 more minutes"
    )


@attestation_app.command()
def show(
    run: _RUN,
    statement: Annotated[bool, typer.Option("--statement", help="What was signed, without envelope.")] = False,
) -> None:
    """Print the attestation of a run's apply: a DSSE envelope."""
    import base64

    with control() as plane:
        envelope = plane.identity.attestation(RunId(run))
    if not statement:
        typer.echo(envelope.decode())
        return
    typer.echo(json.dumps(json.loads(base64.b64decode(json.loads(envelope)["payload"])), indent=2))


@attestation_app.command()
def key() -> None:
    """Print the public keys that verify attestations: a JSON Web Key Set, as it is served."""
    from app.core.signing import Purpose

    with control() as plane:
        typer.echo(json.dumps(plane.identity.key_set(Purpose.ATTESTATION), indent=2))


@attestation_app.command()
def rotate() -> None:
    """Sign attestations with a new key from now on; those before stay published: what they signed stays true."""
    from app.core.signing import Purpose

    with control() as plane:
        made = plane.identity.rotate(Purpose.ATTESTATION, actor())
    typer.echo(f"attestations are signed with key {made} from now on")


@attestation_app.command()
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An attestation; `-`: from stdin.")],
    key_file: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="The public key, PEM or as `attestation key` prints it."),
    ] = None,
    issuer: Annotated[str, typer.Option("--issuer", metavar="URL", help="Fetch the keys of that installation.")] = "",
    commit: Annotated[str, typer.Option("--commit", metavar="SHA", help="Of that commit, or refuse.")] = "",
) -> None:
    """Say what an attestation proves; exit code 1 and why when it does not hold."""
    from app.core.attestation import read_statement, statement_line
    from app.vault.signing import open_envelope, read_public_keys

    if (key_file is None) == (not issuer):
        raise UserError("verifying the attestation: name whom you trust, by --key FILE or --issuer URL")
    envelope = sys.stdin.buffer.read(MAX_KEY_BYTES + 1) if str(file) == "-" else _read(file)
    keys = read_public_keys(_read(key_file) if key_file is not None else _fetch_keys(issuer))
    told = read_statement(open_envelope(envelope, keys), issuer=issuer.rstrip("/"), commit=commit.lower())
    typer.echo(statement_line(told))


def _fetch_keys(issuer: str) -> bytes:
    """The keys that an installation publishes. Raises: UserError when they cannot be had over a connection to trust."""
    import httpx

    from app.core.identity import ATTESTATION_KEYS
    from app.settings import is_loopback

    parts = urlsplit(issuer)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise UserError(f"fetching the keys of {issuer[:200]!r}: it must be an https address")
    url = issuer.rstrip("/") + ATTESTATION_KEYS
    try:
        answer = httpx.get(url, timeout=15)
    except httpx.HTTPError as error:
        why = f"it does not answer ({type(error).__name__})"
        raise UserError(f"fetching the keys from {url[:300]}: {why}; {_OTHERWISE}") from error
    if not answer.is_success:
        raise UserError(f"fetching the keys from {url[:300]}: it answers {answer.status_code}; {_OTHERWISE}")
    if len(answer.content) > MAX_KEY_BYTES:
        raise UserError(f"fetching the keys from {url[:300]}: more than {MAX_KEY_BYTES:,} bytes are no keys")
    return answer.content


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise UserError(f"reading {path}: {error.strerror}") from error


def _value(name: str) -> Secret:
    """The value: typed twice where there is a terminal, else all of stdin without its last line break."""
    if not sys.stdin.isatty():
        return Secret(sys.stdin.read(MAX_SECRET_CHARS + 2).removesuffix("\n"))
    value = getpass.getpass(f"value of {name}: ")
    if getpass.getpass("once more: ") != value:
        raise UserError(f"setting secret {name[:100]}: the two were not the same")
    return Secret(value)
