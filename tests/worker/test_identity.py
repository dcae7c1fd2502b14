"""The identity token on a worker: a private file, renewed by heartbeats, whole at every moment, in no log."""

import os
import stat
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from app.core.names import Secret
from app.core.protocol import Outcome
from app.engine.child import Patience
from app.engine.environment import identity_env
from app.worker.client import ControlPlane, Hold
from app.worker.ending import Ending
from app.worker.identity import TokenFile
from app.worker.lease import Lease
from tests.worker.world import POOL_TOKEN, World

FIRST, NEXT = "token-of-the-first-hour", "token-of-the-next-hour"


def test_a_token_is_a_file_for_its_user_alone_and_replaced_whole(tmp_path: Path) -> None:
    file = TokenFile(tmp_path, FIRST)
    assert file.path is not None
    known: list[str] = []
    file.know = known.append
    before = file.path.open()
    file.take(NEXT)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert (file.path.read_text(), before.read(), known) == (NEXT, FIRST, [NEXT])
    assert [one.name for one in tmp_path.iterdir()] == ["oidc-token"]
    before.close()
    file.close()


def test_a_link_in_the_folders_place_leads_no_token_out(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    home.mkdir()
    outside.mkdir()
    file = TokenFile(home, FIRST)
    home.rename(tmp_path / "moved")
    home.symlink_to(outside)
    file.take(NEXT)
    assert list(outside.iterdir()) == []
    assert (tmp_path / "moved" / "oidc-token").read_text() == NEXT
    file.close()
    file.take(FIRST)
    assert (tmp_path / "moved" / "oidc-token").read_text() == NEXT, "closed: nothing more is written"


def test_an_assignment_without_a_token_has_no_file_and_asks_for_none(tmp_path: Path) -> None:
    file = TokenFile(tmp_path, "", renew_after_s=0.0)
    file.take(NEXT)
    assert (file.path, file.is_old, list(tmp_path.iterdir())) == (None, False, [])


def test_heartbeats_bring_the_next_token(world: World, tmp_path: Path) -> None:
    class Watched(TokenFile):
        """Says when it was renewed."""

        renewed = Event()

        def take(self, token: str) -> None:
            super().take(token)
            if token == NEXT:
                self.renewed.set()

    world.book.oidc_token, world.book.lease_s = NEXT, 0.6
    assignment = world.assign("0" * 40)
    plane = ControlPlane(world.url, Secret(POOL_TOKEN))
    file = Watched(tmp_path, FIRST, renew_after_s=0.0)
    with closing(plane), closing(file), Lease(Hold(plane, assignment), Ending(Patience(0.6, 0.3)), file):
        assert Watched.renewed.wait(20)
    assert (tmp_path / "oidc-token").read_text() == NEXT


def test_the_engine_has_its_token_and_it_is_in_no_log_no_plan_and_no_archive(world: World) -> None:
    code = (
        'locals { token = file(one([for line in split("\\u0000", file("/proc/self/environ")) : '
        'trimprefix(line, "TRACKSIDE_OIDC_TOKEN_FILE=") if startswith(line, "TRACKSIDE_OIDC_TOKEN_FILE=")])) }\n'
        'resource "terraform_data" "one" { input = local.token }\n'
        'output "said" { value = local.token }\n'
    )
    world.start()
    world.assign(world.repository.commit({"main.tf": code}), oidc_token=FIRST)
    assert world.result().outcome is Outcome.PLANNED
    changes = world.book.plans[0].summary.changes
    assert [change.address for change in changes] == ["terraform_data.one", "said"]
    assert FIRST not in str(changes)
    assert FIRST not in world.book.log
    assert not list(world.folder.rglob("oidc-token"))


def test_a_secret_that_the_plan_was_made_with_stays_out_of_the_log_of_its_apply(world: World) -> None:
    code = 'resource "terraform_data" "one" {\n  provisioner "local-exec" { command = "echo said old-value-1" }\n}\n'
    world.book.next = "apply"
    world.start()
    world.assign(world.repository.commit({"main.tf": code}), redacted=("old-value-1",))
    assert world.result().outcome is Outcome.APPLIED
    assert "said ***" in world.book.log
    assert "old-value-1" not in world.book.log


def test_aws_tools_find_the_token_where_a_role_is_named_and_nothing_else_is(tmp_path: Path) -> None:
    file, role = tmp_path / "oidc-token", {"AWS_ROLE_ARN": "arn:aws:iam::1:role/x"}
    assert identity_env(file, {}, run_id="R") == {"TRACKSIDE_OIDC_TOKEN_FILE": str(file)}
    assert identity_env(file, role, run_id="R") == {
        "TRACKSIDE_OIDC_TOKEN_FILE": str(file),
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(file),
        "AWS_ROLE_SESSION_NAME": "trackside-R",
    }
    for other in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        assert identity_env(file, role | {other: "x"}, run_id="R") == {"TRACKSIDE_OIDC_TOKEN_FILE": str(file)}
    assert "AWS_ROLE_SESSION_NAME" not in identity_env(file, role | {"AWS_ROLE_SESSION_NAME": "mine"}, run_id="R")


def test_a_token_that_cannot_be_written_leaves_no_descriptor(tmp_path: Path) -> None:
    (tmp_path / ".oidc-token").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="oidc-token"):
        TokenFile(tmp_path, "a token")
    assert len(os.listdir("/proc/self/fd")) == before
