"""What looking the App over asks of GitHub. Adapters fit by shape; nothing here changes anything."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class KnownApp(Protocol):
    """The App as GitHub has it."""

    @property
    def owner(self) -> str: ...
    @property
    def slug(self) -> str: ...
    @property
    def permissions(self) -> Mapping[str, str]: ...
    @property
    def events(self) -> Sequence[str]: ...
    @property
    def client_id(self) -> str:
        """By which people log in; empty: GitHub did not say."""
        ...


class KnownInstallation(Protocol):
    """The App on one account, and what was granted there."""

    @property
    def account(self) -> str: ...
    @property
    def permissions(self) -> Mapping[str, str]: ...
    @property
    def events(self) -> Sequence[str]: ...
    @property
    def is_suspended(self) -> bool: ...


class KnownAttempt(Protocol):
    """One attempt to deliver an event; those of one event share the GUID."""

    @property
    def guid(self) -> str: ...
    @property
    def status_code(self) -> int: ...
    @property
    def is_ok(self) -> bool: ...


class KnownWebhook(Protocol):
    """Where the App's deliveries go."""

    @property
    def url(self) -> str: ...
    @property
    def content_type(self) -> str: ...
    @property
    def is_verified(self) -> bool: ...


class AppQuestions(Protocol):
    """Each may raise RetryableError or UserError."""

    @property
    def clock_skew_s(self) -> float | None:
        """How far GitHub's clock was ahead of ours at its last answer, also a refusal; None before any."""
        ...

    def find_app_owner(self) -> KnownApp: ...
    def takes_client_secret(self) -> bool:
        """Whether GitHub takes the client id and secret by which people log in."""
        ...

    def list_installations(self) -> Sequence[KnownInstallation]: ...
    def find_webhook(self) -> KnownWebhook: ...
    def list_latest_deliveries(self) -> Sequence[KnownAttempt]:
        """At most a hundred attempts, newest first."""
        ...
