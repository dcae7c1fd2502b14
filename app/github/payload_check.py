"""The check_run event: of all of them only a click on one of our own buttons is for us."""

from typing import Annotated

import msgspec

from app.core.event import Click, Ignored
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


class _ClickEvent(msgspec.Struct, frozen=True):
    check_run: _CheckRun
    requested_action: _RequestedAction
    repository: RepositoryShape
    installation: InstallationShape
    sender: _Sender


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_CLICK = msgspec.json.Decoder(_ClickEvent)


def read_check_run(body: bytes, *, app_id: int) -> Click | Ignored:
    """A click, or why it is not for us. `checks: write` also brings what other Apps do: `app.id` is read first."""
    envelope = _ENVELOPE.decode(body)
    app = envelope.check_run.app
    if app is None or app.id != app_id:
        return Ignored("check run of another App")
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
