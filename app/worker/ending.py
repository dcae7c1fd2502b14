"""The one place where threads meet to end an assignment: a person stops it, the worker shuts down, the hold is lost.

Knows no step. Once the engine may change the world, stop and return come too late and the end is awaited: until a
worker that has to end waits no longer, and interrupts it as a terminal's Ctrl-C would. Loss never waits.
"""

from threading import Lock

from app.core.protocol import Outcome
from app.engine.child import Control, Patience
from app.engine.limits import Limits


class Ending:
    """Whether, and how, one assignment has to end. The first wish counts."""

    def __init__(self, patience: Patience, limits: Limits | None = None) -> None:
        self._lock = Lock()
        self._patience, self._limits = patience, limits
        self._control = Control(patience, limits)
        self._wanted: Outcome | None = None
        self._is_applying = False
        self._is_lost = False
        self._is_interrupted = False

    @property
    def control(self) -> Control:
        """What ends the engine's commands now."""
        return self._control

    @property
    def is_applying(self) -> bool:
        """True from the moment at which the control plane committed `applying`."""
        return self._is_applying

    @property
    def is_interrupted(self) -> bool:
        """True once an apply was not waited for any longer."""
        return self._is_interrupted

    @property
    def wanted(self) -> Outcome | None:
        """STOPPED or RETURNED when the assignment has to end so; None while it goes on."""
        return None if self._is_applying else self._wanted

    def stop(self) -> None:
        """A person asked the run to stop."""
        self._want(Outcome.STOPPED)

    def give_back(self) -> None:
        """The worker shuts down: another may have the run."""
        self._want(Outcome.RETURNED)

    def interrupt(self) -> None:
        """The worker waits no longer: an apply too is ended, by the ladder that lets the engine save its state."""
        with self._lock:
            self._is_interrupted = True
            self._control.stop()

    def lose(self) -> None:
        """The hold is over: the engine's process group is killed now, and none starts any more."""
        with self._lock:
            self._is_lost = True
            self._control.kill()

    def begin_applying(self) -> Control:
        """From here on the apply is awaited; the control of its commands."""
        with self._lock:
            self._is_applying, until = True, self._control.run_until
            control = self._renew()
            control.run_until = until  # one assignment, one time
            return control

    def begin_after_run(self) -> Control:
        """How the run ends is known: what its hooks still do is not ended by that. The control of their commands."""
        with self._lock:
            return self._renew()

    def _renew(self) -> Control:
        self._control = Control(self._patience, self._limits)
        if self._is_interrupted:
            self._control.stop()
        if self._is_lost:
            self._control.kill()
        return self._control

    def _want(self, outcome: Outcome) -> None:
        with self._lock:
            if self._wanted is None and not self._is_applying:
                self._wanted = outcome
                self._control.stop()
