"""`trackside backup`, `restore` and `rotate-key`: what an operator does so that nothing is lost.

They take the settings of this process's environment, and stand on the store alone: no control plane is opened.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.core.errors import UserError
from app.on_server import running_database

if TYPE_CHECKING:
    from app.settings import Ground


def backup(
    target: Annotated[Path, typer.Argument(metavar="DIR|FILE", help="A folder, or the new file's own name.")],
    without_keys: Annotated[bool, typer.Option("--without-keys", help="Leave the key file out.")] = False,
) -> None:
    """Write database, artifacts and the key file into one new file, also while everything runs."""
    from app.settings import load_ground
    from app.store.backup import write_backup
    from app.wiring_adapters import make_artifacts

    settings = load_ground(os.environ)
    path = target
    if target.is_dir():
        path = target / f"trackside-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.backup"
    key_file = None if without_keys else _key_file(settings)
    with running_database() as url:
        kept = write_backup(path, url=url, artifacts=make_artifacts(settings), key_file=key_file)
    typer.echo(f"{path}: {kept.tables} tables, {kept.artifacts} artifacts, {kept.size_bytes} bytes")
    typer.echo(_about_keys(settings, has_key=kept.has_key), err=True)


def restore(file: Annotated[Path, typer.Argument(metavar="FILE", help="What `trackside backup` wrote.")]) -> None:
    """Bring a backup back, into an empty database, before anything else is started."""
    from app.settings import load_ground
    from app.store.backup import read_backup
    from app.wiring_adapters import make_artifacts

    settings = load_ground(os.environ)
    with running_database() as url:
        kept = read_backup(file, url=url, artifacts=make_artifacts(settings), key_file=_key_file(settings))
    typer.echo(f"restored what was there at {kept.made_at:%Y-%m-%d %H:%M:%S} UTC: {kept.tables} tables,", nl=False)
    typer.echo(f" {kept.artifacts} artifacts{', the key file' if kept.has_key and _key_file(settings) else ''}")
    if not kept.has_key:
        typer.echo("the backup has no keys: give the ones of before, or nothing of it can be opened", err=True)


def rotate_key() -> None:
    """Put a new key in front of the key file: it seals from now on, and the ones before still open."""
    from app.settings import load_ground
    from app.vault.keys import rotate_key_file

    settings = load_ground(os.environ)
    path = _key_file(settings)
    if path is None or settings.kms_key_id:
        which = "KMS_KEY_ID" if settings.kms_key_id else "ENCRYPTION_KEY"
        raise UserError(f"rotating the key: it is in {which}: put a new one behind, restart all, then put it in front")
    keyring = rotate_key_file(path)
    typer.echo(
        f"{path}: key {keyring.key_ids[0]} seals once web and jobs were restarted; {len(keyring.key_ids)} keys open"
    )


def _key_file(settings: "Ground") -> Path | None:
    """The key file in use, or None when keys come from elsewhere."""
    from app.wiring_adapters import KEY_FILE

    file = settings.data_dir / KEY_FILE
    is_elsewhere = bool(settings.encryption_key) or (bool(settings.kms_key_id) and not file.exists())
    return None if is_elsewhere else file


def _about_keys(settings: "Ground", *, has_key: bool) -> str:
    if has_key:
        return "it holds the key that opens it all: keep it as you would keep the key"
    which = "KMS_KEY_ID" if settings.kms_key_id else "ENCRYPTION_KEY" if settings.encryption_key else "the key file"
    return f"it holds no keys: without {which} nothing of it can be opened, so keep that elsewhere"
