"""What flows ask about people who look at the pages: of the store, and of GitHub. Read `ports` for their rules."""

from typing import Protocol

from app.core.names import Secret
from app.core.visitor import Account, LoginRefused


class VisitorRows(Protocol):
    """Logins under way and sessions, under the SHA-256 of what a browser holds; what is in them is sealed."""

    def add_login(self, key: str, *, browser: str, sealed: bytes) -> None: ...

    def take_login(self, key: str) -> tuple[str, bytes] | None:
        """The browser's hash and what was kept of a login that is not over; it is gone by that. Else None."""
        ...

    def trim_logins(self, *, keep: int) -> int: ...

    def add_session(self, key: str, sealed: bytes) -> None: ...

    def find_session(self, key: str, *, for_change: bool = False) -> bytes | None:
        """What was kept of a session that is not over, or None; that it is used is noted."""
        ...

    def save_session(self, key: str, sealed: bytes) -> None: ...

    def delete_session(self, key: str) -> None: ...

    def sweep_sessions(self, *, limit: int) -> int: ...

    def sweep_logins(self, *, limit: int) -> int: ...


class LoginGitHub(Protocol):
    """GitHub, where it says who somebody is."""

    def login_url(self, *, state: str, challenge: str, redirect_uri: str) -> str: ...

    def identify(self, *, code: str, verifier: Secret, redirect_uri: str) -> Account | LoginRefused:
        """Who came back with that code. Raises: RetryableError, after which the code may be spent."""
        ...
