"""The sandbox's time: the machine's clock plus what `advance` added. Every timestamp and every expiry reads it.

Knows nothing of GitHub but the form of its timestamps.
"""

import threading
from datetime import UTC, datetime, timedelta


class Clock:
    """A clock that runs at the usual pace and can be moved forward; safe to use from any thread."""

    def __init__(self) -> None:
        self._offset = timedelta()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The sandbox's present, in UTC."""
        with self._lock:
            return datetime.now(UTC) + self._offset

    def advance(self, seconds: float) -> None:
        """Move the present forward: tokens expire, the delivery log forgets, new timestamps are later."""
        with self._lock:
            self._offset += timedelta(seconds=seconds)


def iso(moment: datetime) -> str:
    """A moment as GitHub writes it: whole seconds, UTC, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_or_none(moment: datetime | None) -> str | None:
    """The same for a moment that may be missing."""
    return None if moment is None else iso(moment)


def parse_iso(text: str) -> datetime:
    """The moment that an ISO 8601 text names. Raises: ValueError when it names none."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
