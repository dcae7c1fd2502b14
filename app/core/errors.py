"""The kinds of exception that cross a room's wall. Expected ends are values; these mean a broken world.

Adapters translate library exceptions into these at the wall, with `from`; flows and doors know nothing else.
"""


class TracksideError(Exception):
    """Base of the three kinds: the text names the action under way and its object, in lower case."""


class UserError(TracksideError):
    """Its text may be shown on GitHub, on a page or in a terminal: it names the thing, the place and the way out."""


class NoRoomError(UserError):
    """A disk of the control plane's is full: waiting makes no room, so nobody tries again by itself."""


class RetryableError(TracksideError):
    """The outside world did not answer as it should; the same call may succeed later, after `retry_after_s` if told."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BrokenError(TracksideError):
    """Something that must not happen happened: a person has to look. Never shown outside the logs."""


class LeaseLost(TracksideError):
    """The assignment is over: ended, expired, or a newer one holds the run. The worker stops and writes no more."""


class NotAuthorised(TracksideError):
    """No such assignment, or not its token: the same answer for both."""
