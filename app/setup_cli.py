"""`trackside setup`: a new code for the set-up in the browser, and `--reset`, which forgets the App that it stored."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from app.core import words_setup as words
from app.core.errors import UserError
from app.on_server import actor, ready_database_url, running_database

if TYPE_CHECKING:
    from app.settings import Ground


def setup(
    reset: Annotated[
        bool, typer.Option("--reset", help="Forget the App that set-up stored, so that another can be set up.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before it is forgotten.")] = False,
) -> None:
    """Print a new code for setting the App up in the browser; with --reset, forget the one that was stored."""
    from app.settings import load_ground
    from app.store.reach import check_ready

    ground = load_ground(os.environ)
    if not reset:
        _invite(ground, ready_database_url())
        return
    with running_database() as url:  # `serve` does not start with an App that it cannot open
        check_ready(url)
        _forget(ground, url, is_sure=yes)


def _invite(ground: "Ground", url: str) -> None:
    from app.settings import names_app
    from app.wiring_app import find_app, open_setup

    if names_app(os.environ):
        raise UserError("setting up the App: the environment names one; take GITHUB_APP_ID and the rest out first")
    app = find_app(ground, url)
    if app is not None:
        raise UserError(f"setting up the App: {words.already(app)}")
    with open_setup(ground, url, typer.echo) as setting_up:
        if setting_up.problem:
            raise UserError(f"setting up the App: {setting_up.problem}")
        setting_up.begin()


def _forget(ground: "Ground", url: str, *, is_sure: bool) -> None:
    from app.flows.setup import forget
    from app.wiring_app import open_setup_store

    with open_setup_store(ground, url) as store:
        with store.begin() as tx:
            slug = tx.find_app_slug()
        if slug is None:
            typer.echo(words.NOTHING_STORED)
            return
        if not is_sure:
            typer.confirm(words.question(slug), abort=True)
        forget(store, actor())
    typer.echo(words.forgotten(slug))
