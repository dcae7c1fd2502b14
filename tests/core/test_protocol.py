"""What travels between the planes is never shown by accident."""

import msgspec
import pytest

from app.core.protocol import Assignment, HeartbeatAnswer, Next, PlanAnswer, StageAnswer, StateAccess, TransferAnswer

HUSH = "hush-hush"
STATE = StateAccess(address="/state/1", username="hold", password=HUSH)
ASSIGNMENT = {
    "id": "hold",
    "token": HUSH,
    "fencing": 1,
    "lease_s": 30,
    "phase": "plan",
    "run_id": "run",
    "run_type": "tracked",
    "stack_id": "stack",
    "stack_name": "app",
    "clone_url": "https://github.test/acme/infra",
    "clone_token": HUSH,
    "repository_id": 1,
    "sha": "a" * 40,
    "project_root": "",
    "tool": "terraform",
    "version": "",
    "workspace": "default",
    "environment": {"KEY": HUSH},
    "oidc_token": HUSH,
    "data_key": HUSH,
    "state": {"address": "/state/1", "username": "hold", "password": HUSH},
}


@pytest.mark.parametrize(
    "message",
    [
        msgspec.convert(ASSIGNMENT, Assignment),
        STATE,
        StageAnswer(state=STATE),
        HeartbeatAnswer(lease_s=30, oidc_token=HUSH),
        PlanAnswer(next=Next.APPLY, environment={"KEY": HUSH}, oidc_token=HUSH),
        TransferAnswer(url=f"https://store.test/?X-Amz-Signature={HUSH}"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_with_secrets_shows_none_of_them(message: msgspec.Struct) -> None:
    assert HUSH not in f"{message!r} {message}"
    assert HUSH in msgspec.json.encode(message).decode(), "and still carries them"
