"""Ships an assignment's log: gathers text, sends it about every 0.7 s or 64 KB, by offset, within the protocol's bound.

Knows nothing of what the text says; it was redacted before it came here. A thread of its own sends, so that a slow
control plane never holds up an engine.
"""

from collections.abc import Iterable
from threading import Condition, Lock, Thread
from time import monotonic
from typing import Final

from app.core.errors import RetryableError, TracksideError
from app.core.protocol import MAX_LOG_BYTES, MAX_LOG_CHUNK_BYTES
from app.engine.stream import RedactedStream, Redactor
from app.worker.client import Hold

EVERY_S: Final = 0.7
EAGER_BYTES: Final = 64 * 1024
CLOSE_WITHIN_S: Final = 30.0


_FULL: Final = f"… the log has {MAX_LOG_BYTES // 1024 // 1024} MiB: what follows is left out …\n".encode()


class LogShipper:
    """One assignment's log on its way up."""

    def __init__(self, hold: Hold, *, every_s: float = EVERY_S) -> None:
        self.bytes_left_out = 0
        """What did not fit into the bound."""
        self._hold, self._every_s = hold, every_s
        self._waiting = bytearray()
        self._sent = 0
        self._is_urgent = self._is_over = False
        lock = Lock()
        self._wake, self._idle = Condition(lock), Condition(lock)
        self._close_by = 0.0
        self._thread = Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Add to the log; what goes beyond MAX_LOG_BYTES is counted and left out."""
        data = text.encode("utf-8", "replace")
        with self._wake:
            room = MAX_LOG_BYTES - len(_FULL) - self._sent - len(self._waiting)
            kept = data if len(data) <= room and not self.bytes_left_out else b""
            if not kept and not self.bytes_left_out and data:
                self._waiting += _FULL
            self.bytes_left_out += len(data) - len(kept)
            self._waiting += kept
            if len(self._waiting) >= EAGER_BYTES:
                self._wake.notify()

    def drain(self, *, within_s: float = CLOSE_WITHIN_S) -> None:
        """Wait until everything written so far was taken, for a while: afterwards the assignment may be over."""
        with self._wake:
            self._is_urgent = True
            self._wake.notify()
            self._idle.wait_for(lambda: not self._waiting or self._is_over, within_s)
            self._is_urgent = False

    def close(self) -> None:
        """Send what is left, for a while, and end."""
        with self._wake:
            self._close_by = monotonic() + CLOSE_WITHIN_S
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._send_next():
                pass
        finally:
            with self._wake:
                self._is_over = True
                self._idle.notify_all()

    def _send_next(self) -> bool:
        """Send one chunk, if there is one; False when there is nothing more to do."""
        with self._wake:
            if not (self._close_by or self._is_urgent) and len(self._waiting) < EAGER_BYTES:
                self._wake.wait(self._every_s)
            is_closing = bool(self._close_by)
            chunk = _whole(bytes(self._waiting[:MAX_LOG_CHUNK_BYTES]))
            if not chunk:
                if self._is_urgent and not is_closing:
                    self._wake.wait(self._every_s)
                return not is_closing
        try:
            self._hold.log(chunk, offset=self._sent)
        except RetryableError:
            with self._wake:
                self._wake.wait(self._every_s)
                return not is_closing or monotonic() < self._close_by
        except TracksideError:
            return False
        with self._wake:
            del self._waiting[: len(chunk)]
            self._sent += len(chunk)
            self._idle.notify_all()
        return True


def _whole(chunk: bytes) -> bytes:
    """The chunk up to its last whole character."""
    for cut in range(min(3, len(chunk))):
        lead = chunk[-1 - cut]
        if lead >= 0xC0:
            wanted = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            return chunk if cut + 1 >= wanted else chunk[: -1 - cut]
        if lead < 0x80:
            return chunk
    return chunk


class JobLog:
    """What one assignment says: sections and lines, every known secret replaced before anything leaves. Its threads
    (steps, output, lease) may speak at once."""

    def __init__(self, shipper: LogShipper, secrets: Iterable[str]) -> None:
        self._shipper = shipper
        self._secrets = list(secrets)
        self._redactor = Redactor(self._secrets)
        self._stream = RedactedStream(self._redactor, shipper.write)
        self._lock = Lock()

    @property
    def known(self) -> tuple[str, ...]:
        """Every value that must not leave."""
        with self._lock:
            return tuple(self._secrets)

    def know(self, secret: str) -> None:
        """One more value to be replaced from here on."""
        with self._lock:
            self._stream.flush()
            self._secrets.append(secret)
            self._redactor = Redactor(self._secrets)
            self._stream = RedactedStream(self._redactor, self._shipper.write)

    def section(self, title: str) -> None:
        """A header between the steps."""
        self.line(f"── {title} ──")

    def line(self, text: str) -> None:
        """One line, or several. Once the log is full it is counted, and not looked at any more."""
        if self._shipper.bytes_left_out:
            self._shipper.write(text + "\n")
            return
        with self._lock:
            self._stream.write(text + "\n")

    def redact(self, text: str) -> str:
        """A text that leaves by another way than the log."""
        return self._redactor.text(text)

    def redact_cut(self, text: str) -> str:
        """A text that was cut short, perhaps in the middle of a secret."""
        return self._redactor.cut(text)

    def drain(self) -> None:
        """Everything said so far is with the control plane, or it takes no more."""
        with self._lock:
            self._stream.flush()
        self._shipper.drain()

    def close(self) -> int:
        """Send everything; how many bytes were left out."""
        with self._lock:
            self._stream.flush()
        self._shipper.close()
        return self._shipper.bytes_left_out
