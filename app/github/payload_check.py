"""The check_run and check_suite events: a click on one of our own buttons is for us, and our checks asked for again."""

from typing import Annotated

import msgspec

from app.core.event import Click, Ignored, Rerequest
from app.core.names import Sha
from app.github.payload_repository import InstallationShape, RepositoryShape, to_repository
from app.github.shapes import Login, Number, ShaText, Word

Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
"""GitHub's longest. Source: https://docs.github.com/rest/checks/runs"""

MAX_EXTERNAL_ID = 100
"""Characters; ours are shorter: `RUN/PLAN/apply`."""


class _App(msgspec.Struct, frozen=True):
    id: Number | None = None


class _AnyCheckRun(msgspec.Struct, frozen=True):
    app: _App | None = None


class _Envelope(msgspec.Struct, frozen=True):
    action: Word
    check_run: _AnyCheckRun


class _CheckRun(msgspec.Struct, frozen=True):
    id: Number
    head_sha: ShaText
    external_id: str | None = None


class _RequestedAction(msgspec.Struct, frozen=True):
    identifier: Identifier


class _Sender(msgspec.Struct, frozen=True):
    login: Login
    type: str | None = None

    @property
    def is_bot(self) -> bool:
        """True for a bot account, whichever way it is marked."""
        return self.type == "Bot" or self.login.endswith("[bot]")


class _ClickEvent(msgspec.Struct, frozen=True):
    check_run: _CheckRun
    requested_action: _RequestedAction
    repository: RepositoryShape
    installation: InstallationShape
    sender: _Sender


class _AgainRun(msgspec.Struct, frozen=True):
    name: Word
    head_sha: ShaText
    external_id: str | None = None


class _AgainEvent(msgspec.Struct, frozen=True):
    check_run: _AgainRun
    repository: RepositoryShape
    installation: InstallationShape
    sender: _Sender


class _AnySuite(msgspec.Struct, frozen=True):
    app: _App | None = None


class _SuiteEnvelope(msgspec.Struct, frozen=True):
    action: Word
    check_suite: _AnySuite


class _Suite(msgspec.Struct, frozen=True):
    head_sha: ShaText


class _SuiteEvent(msgspec.Struct, frozen=True):
    check_suite: _Suite
    repository: RepositoryShape
    installation: InstallationShape
    sender: _Sender


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_CLICK = msgspec.json.Decoder(_ClickEvent)
_AGAIN = msgspec.json.Decoder(_AgainEvent)
_SUITE_ENVELOPE = msgspec.json.Decoder(_SuiteEnvelope)
_SUITE = msgspec.json.Decoder(_SuiteEvent)


def read_check_suite(body: bytes, *, app_id: int) -> Rerequest | Ignored:
    """All of a commit's checks asked for again, or why it is not for us."""
    envelope = _SUITE_ENVELOPE.decode(body)
    app = envelope.check_suite.app
    if app is None or app.id != app_id:
        return Ignored("check suite of another App")
    if envelope.action != "rerequested":
        return Ignored(f"check suite {envelope.action}: nothing is asked for")
    event = _SUITE.decode(body)
    return Rerequest(
        repository=to_repository(event.repository, event.installation),
        head_sha=Sha(event.check_suite.head_sha),
        sender=event.sender.login,
        is_bot=event.sender.is_bot,
    )


def read_check_run(body: bytes, *, app_id: int) -> Click | Rerequest | Ignored:
    """A click, or a check run asked for again, or why it is not for us. `checks: write` also brings what other Apps do:
    `app.id` is read first."""
    envelope = _ENVELOPE.decode(body)
    app = envelope.check_run.app
    if app is None or app.id != app_id:
        return Ignored("check run of another App")
    if envelope.action == "rerequested":
        return _read_again(body)
    if envelope.action != "requested_action":
        return Ignored(f"check run {envelope.action}: not a click")
    event = _CLICK.decode(body)
    return Click(
        repository=to_repository(event.repository, event.installation),
        check_run_id=event.check_run.id,
        identifier=event.requested_action.identifier,
        head_sha=Sha(event.check_run.head_sha),
        sender=event.sender.login,
        external_id=(event.check_run.external_id or "")[:MAX_EXTERNAL_ID],
    )


def _read_again(body: bytes) -> Rerequest:
    event = _AGAIN.decode(body)
    return Rerequest(
        repository=to_repository(event.repository, event.installation),
        head_sha=Sha(event.check_run.head_sha),
        sender=event.sender.login,
        is_bot=event.sender.is_bot,
        check_name=event.check_run.name,
        external_id=(event.check_run.external_id or "")[:MAX_EXTERNAL_ID],
    )
