"""Keeps one hold alive by heartbeats; ends its work at once when it is lost, or has run out by the worker's own clock.

Knows nothing of steps. A worker that cannot reach the control plane must assume that another assignment exists, so the
lease is counted from the moment at which the heartbeat was sent, and a tenth early.
"""

from threading import Event, Thread
from time import monotonic
from typing import Final, Protocol

import structlog

from app.core.errors import LeaseLost, TracksideError
from app.worker.client import Hold
from app.worker.identity import TokenFile

MARGIN: Final = 0.9
"""The part of a lease that is used."""
_LOOK_S: Final = 0.5
"""How soon a loss that another call of the hold has learned of is felt."""
_log = structlog.get_logger(__name__)


class Holder(Protocol):
    """Whose work hangs on the hold."""

    def stop(self) -> None:
        """A person asked the run to stop."""

    def lose(self) -> None:
        """The hold is lost."""


class Lease:
    """A context in which the hold is kept alive."""

    def __init__(self, hold: Hold, holder: Holder, token: TokenFile | None = None) -> None:
        self._hold, self._holder, self._token = hold, holder, token
        self._over, self._news = Event(), Event()
        self._until = monotonic() + hold.lease_s * MARGIN
        self._lease_s = hold.lease_s
        self._heartbeat_s = hold.heartbeat_s
        self._watching = Thread(target=self._watch, name="lease", daemon=True)
        self._beating = Thread(target=self._beat_on, name="heartbeat", daemon=True)

    def __enter__(self) -> None:
        self._watching.start()
        self._beating.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._news.set()
        self._beating.join(self._lease_s)
        self._watching.join()

    def _watch(self) -> None:
        """End the work when the lease does, whatever a heartbeat still waits for: a name's address, an answer's end."""
        while not self._over.is_set():
            if self._hold.lost.is_set() or monotonic() >= self._until:
                self._lose("the lease ran out")
                return
            self._news.wait(max(0.0, min(_LOOK_S, self._until - monotonic())))
            self._news.clear()

    def _beat_on(self) -> None:
        pause_s = self._pause_s
        while not self._over.wait(pause_s) and not self._hold.lost.is_set():
            pause_s = self._pause_s if self._beat() else min(1.0, self._lease_s / 10)

    @property
    def _pause_s(self) -> float:
        """Until the next heartbeat: what the control plane said, and never so long that one lost loses the lease."""
        return min(self._heartbeat_s or self._lease_s / 3, self._lease_s / 2)

    def _beat(self) -> bool:
        sent = monotonic()
        try:
            is_old = self._token is not None and self._token.is_old
            answer = self._hold.heartbeat(timeout_s=self._lease_s / 8, wants_token=is_old)
        except LeaseLost as error:
            self._until = 0.0
            self._news.set()
            _log.warning("lease lost", reason=str(error))
            return False
        except TracksideError as error:
            _log.warning("heartbeat not answered", reason=str(error))
            return False
        self._lease_s = answer.lease_s
        self._until = sent + answer.lease_s * MARGIN
        if answer.stop:
            self._holder.stop()
        if answer.oidc_token and self._token is not None:
            self._renew(self._token, answer.oidc_token)
        return True

    def _renew(self, file: TokenFile, token: str) -> None:
        """A disk that takes no token must not cost the lease: the old one is good for a while, and the next beat asks
        again."""
        try:
            file.take(token)
        except OSError as error:
            _log.warning("identity token not renewed", reason=error.strerror)

    def _lose(self, reason: str) -> None:
        self._hold.lost.set()
        self._holder.lose()
        _log.warning("ending the work of a lost assignment", reason=reason)
