"""The web process before there is an App: it serves the page that sets one up, and ends when one is there."""

import sys
import threading
from collections.abc import Mapping

import structlog

from app.core.errors import TracksideError
from app.settings import Ground, Settings
from app.web.run import run_app
from app.web.setup_app import make_setup_app
from app.wiring_app import LOOK_EVERY_S, await_settings, find_settings, is_ready, open_setup

log = structlog.get_logger("setup")


def set_up(first: Ground, environ: Mapping[str, str], url: str) -> Settings | None:
    """The settings, at once where there is an App; else once somebody has set one up. None: told to end before."""
    if isinstance(first, Settings):
        return first
    known = find_settings(environ, url) if is_ready(url) else None
    return known if known is not None else _serve(first, environ, url)


def _serve(ground: Ground, environ: Mapping[str, str], url: str) -> Settings | None:
    found: list[Settings] = []
    is_open = threading.Event()
    with open_setup(ground, url, _announce) as setting_up:

        def until(ended: threading.Event) -> None:
            try:
                if not is_ready(url):
                    log.info("waiting", waits_for="the database, and its migrations")
                while not is_ready(url):
                    if ended.wait(LOOK_EVERY_S):
                        return
                is_open.set()
                if (known := find_settings(environ, url)) is None:
                    setting_up.begin()
                    known = await_settings(environ, url, ended)
            except TracksideError as error:  # the process ends with it, and is started again
                log.error("waiting for the App broke", error=str(error))
                return
            if known is not None:
                found.append(known)

        run_app(make_setup_app(setting_up, is_open.is_set), ground.host, ground.port, until=until)
    return found[0] if found else None


def _announce(line: str) -> None:
    """On stderr, beside the log."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
