"""How a worker is told to end: at the first signal it finishes, at the second it interrupts, at the third it is gone.

An apply must not be killed lightly, so no signal but the third ends this process while the engine works.
"""

import os
import signal
from dataclasses import dataclass, field
from threading import Event
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Shutdown:
    """What a worker waits for, to end."""

    begun: Event = field(default_factory=Event)
    """It takes no more runs, gives back those that plan, and waits for those that apply."""
    hurried: Event = field(default_factory=Event)
    """It waits no longer: applies are interrupted, as after its grace."""

    def signal(self) -> bool:
        """One more signal; False when there is nothing left that it could mean but the end of this process."""
        if not self.begun.is_set():
            self.begun.set()
        elif not self.hurried.is_set():
            self.hurried.set()
        else:
            return False
        return True


def shutdown_on_signals() -> Shutdown:
    """A shutdown that SIGTERM and SIGINT drive. For a process's main thread."""
    shutdown = Shutdown()

    def on_signal(number: int, _frame: object) -> None:
        if not shutdown.signal():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    for one in SIGNALS:
        signal.signal(one, on_signal)
    return shutdown
