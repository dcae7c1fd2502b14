"""Where the App comes from: the environment's own, which wins, or the one that set-up in the browser stored.

Every process of the control plane and every command asks here, before it wires anything. Without an App a web process
lets it be set up, and a jobs process waits for that.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import structlog

from app.core import words_setup as words
from app.core.appmanifest import Addresses
from app.core.errors import BrokenError, RetryableError, UserError
from app.core.setup import AppCredentials
from app.flows.setup import AppMaker, SetUp, SetupStore
from app.settings import Ground, Settings, load_ground, load_settings, names_app
from app.store.migrations import pending_migrations
from app.store.postgres import PostgresStore
from app.vault.vault import Vault
from app.wiring_adapters import make_github_setup, make_keyring

LOOK_EVERY_S: Final = 1.0
"""How often a process without an App looks for one."""
POOL_SIZE: Final = 2

log = structlog.get_logger("setup")


def load_first(environ: Mapping[str, str]) -> Ground:
    """The settings as far as the environment has them: with its App, or without any, before a database is asked.

    Raises: UserError that lists every problem; also when it has a part of an App alone.
    """
    return load_settings(environ) if names_app(environ) else load_ground(environ)


def find_settings(environ: Mapping[str, str], url: str) -> Settings | None:
    """The control plane's settings, with the environment's App or else the stored one; None: there is neither.

    Raises: UserError as load_first does, and when what is stored cannot be opened or is of another GitHub;
    RetryableError when the database does not answer.
    """
    first = load_first(environ)
    if isinstance(first, Settings):
        return first
    app = find_app(first, url)
    return with_app(environ, app) if app is not None else None


def with_app(environ: Mapping[str, str], app: AppCredentials) -> Settings:
    """The settings with the App that set-up stored. Raises: UserError that lists every problem."""
    return load_settings({**environ, **_variables(app)})


def get_settings(environ: Mapping[str, str], url: str) -> Settings:
    """The same. Raises: UserError with the ways to an App when there is none."""
    found = find_settings(environ, url)
    if found is None:
        raise UserError(f"reading settings: {words.NO_APP}")
    return found


def await_settings(environ: Mapping[str, str], url: str, stop: threading.Event) -> Settings | None:
    """The same, once the database is there, is at this version, and there is an App; None when `stop` came first."""
    told, is_database_ready = "", names_app(environ)
    while not stop.is_set():
        is_database_ready = is_database_ready or is_ready(url)
        wait = "the GitHub App to be set up in the browser" if is_database_ready else "the database, and its migrations"
        try:
            found = find_settings(environ, url) if is_database_ready else None
        except RetryableError:
            found, wait = None, "the database"
        if found is not None:
            return found
        if wait != told:
            log.info("waiting", waits_for=wait)
            told = wait
        stop.wait(LOOK_EVERY_S)
    return None


def is_ready(url: str) -> bool:
    """True when the database answers and is at this version. Raises: UserError when a newer release made it."""
    try:
        return not pending_migrations(url)
    except RetryableError:
        return False


def find_app(ground: Ground, url: str) -> AppCredentials | None:
    """The App that set-up stored, or None. The database is at this version.

    Raises: UserError when it cannot be opened, or is of another GitHub.
    """
    with open_setup_store(ground, url) as store, store.begin() as tx:
        try:
            app = tx.find_app()
        except BrokenError as error:
            raise UserError(words.unreadable(str(error))) from error
    if app is not None and app.server_url != ground.github_server_url:
        raise UserError(words.elsewhere(app, ground.github_server_url))
    return app


@contextmanager
def open_setup_store(ground: Ground, url: str) -> Iterator[PostgresStore]:
    """The database, as far as set-up needs it."""
    store = PostgresStore(url, sealer=Vault(make_keyring(ground)), pool_size=POOL_SIZE)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def open_setup(ground: Ground, url: str, announce: Callable[[str], None]) -> Iterator[SetUp]:
    """The set-up, wired; what invites to it is announced."""
    github = make_github_setup(ground)
    maker: AppMaker = github
    addresses = Addresses(
        public_url=ground.public_url, server_url=ground.github_server_url, api_url=ground.github_api_url
    )
    try:
        with open_setup_store(ground, url) as opened:
            store: SetupStore = opened
            yield SetUp(
                store=store,
                tokens=Vault(make_keyring(ground)),
                github=maker,
                addresses=addresses,
                announce=announce,
            )
    finally:
        github.close()


def _variables(app: AppCredentials) -> dict[str, str]:
    """What the environment would say of it."""
    return {
        "GITHUB_APP_ID": str(app.app_id),
        "GITHUB_PRIVATE_KEY": app.private_key.reveal(),
        "GITHUB_WEBHOOK_SECRET": app.webhook_secret.reveal(),
        "GITHUB_CLIENT_ID": app.client_id,
        "GITHUB_CLIENT_SECRET": app.client_secret.reveal(),
    }
