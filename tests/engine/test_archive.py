"""The handover archive: packed by one worker, restored by another, with the cipher that wiring hands them."""

import io
import os
import tarfile
from pathlib import Path

import msgspec
import pytest
import zstandard

from app.core.errors import BrokenError, RetryableError, UserError
from app.engine import archive
from app.engine.archive import StreamCipher, pack, restore
from app.engine.workspace import Workspace, WorkspaceRoot
from app.vault.keys import new_data_key
from app.vault.stream import stream_cipher

RUN = "01JZ0000000000000000000RAN"
LIMIT = 1024 * 1024


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return WorkspaceRoot(tmp_path / "runs").open(RUN)


@pytest.fixture
def cipher() -> StreamCipher:
    return stream_cipher(new_data_key(), {"run": RUN, "stack": "network"})


def packed(workspace: Workspace, cipher: StreamCipher) -> io.BytesIO:
    out = io.BytesIO()
    pack(workspace, out, cipher=cipher, max_bytes=LIMIT)
    out.seek(0)
    return out


def made_of(members: list[tarfile.TarInfo], workspace: Workspace, cipher: StreamCipher, **other: object) -> io.BytesIO:
    """An archive that verifies, of members that `pack` would never write, or with another manifest."""
    fields = {"format": 1, "workspace": str(workspace.path), "run_id": RUN}
    manifest, plain, out = msgspec.json.encode({**fields, **other}), io.BytesIO(), io.BytesIO()
    with tarfile.open(mode="w", fileobj=plain, format=tarfile.PAX_FORMAT) as tar:
        first = tarfile.TarInfo("manifest.json")
        first.size = len(manifest)
        tar.addfile(first, io.BytesIO(manifest))
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    with cipher.encrypting(out) as sealed:
        sealed.write(zstandard.compress(plain.getvalue()))
    out.seek(0)
    return out


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, target, size
    return made


def everything_in(workspace: Workspace) -> dict[str, str]:
    """Relative path to content, link target or `/`."""
    found = {}
    for path in sorted(workspace.path.rglob("*")):
        name = str(path.relative_to(workspace.path))
        found[name] = f"-> {path.readlink()}" if path.is_symlink() else "/" if path.is_dir() else path.read_text()
    return found


# What travels


def test_a_workspace_comes_back_as_it_was(workspace: Workspace, cipher: StreamCipher) -> None:
    (workspace.source / "net/empty").mkdir(parents=True)
    (workspace.source / "net/main.tf").write_text("# net")
    (workspace.source / "net/.terraform.lock.hcl").write_text("# lock")
    (workspace.source / "net/common.tf").symlink_to("../common.tf")
    (workspace.source / "here").symlink_to("net")
    (workspace.source / "dangling").symlink_to("net/later")
    (workspace.source / os.fsdecode(b"not-utf-8-\xff")).write_text("odd")
    (workspace.source / ("long" * 60)).write_text("long")
    (workspace.source / "run.sh").write_text("exit")
    (workspace.source / "run.sh").chmod(0o755)
    (workspace.data_dir / "modules/a").mkdir(parents=True)
    (workspace.data_dir / "modules/modules.json").write_text("{}")
    (workspace.data_dir / "terraform.tfstate").write_text("backend")
    (workspace.data_dir / "environment").write_text("default")
    workspace.plan_file.write_text("the plan")
    before = everything_in(workspace)
    stored = packed(workspace, cipher)
    again = WorkspaceRoot(workspace.path.parent).open(RUN)
    restore(again, stored, cipher=cipher)
    assert everything_in(again) == before
    assert os.access(again.source / "run.sh", os.X_OK)
    assert not os.access(again.plan_file, os.X_OK)


def test_providers_and_scratch_stay_behind(workspace: Workspace, cipher: StreamCipher) -> None:
    (workspace.data_dir / "providers").mkdir()
    (workspace.data_dir / "providers/huge").touch()
    (workspace.tmp / "scratch").touch()
    (workspace.home / ".netrc").touch()
    stored = packed(workspace, cipher)
    again = WorkspaceRoot(workspace.path.parent).open(RUN)
    restore(again, stored, cipher=cipher)
    assert set(everything_in(again)) == {"source", "data", "tmp", "home"}


def test_what_leads_out_is_left_behind_and_named(workspace: Workspace, cipher: StreamCipher) -> None:
    (workspace.source / "a/b").mkdir(parents=True)
    (workspace.source / "absolute").symlink_to("/etc/passwd")
    (workspace.source / "above").symlink_to("../../../etc")
    (workspace.source / "a/b/top").symlink_to("../..")
    (workspace.source / "chained").symlink_to("a/b/top/../..")
    os.mkfifo(workspace.source / "pipe")
    info = pack(workspace, io.BytesIO(), cipher=cipher, max_bytes=LIMIT)
    assert info.left_out == (
        "source/above: a link that leads out of the workspace",
        "source/absolute: a link that leads out of the workspace",
        "source/chained: a link that leads out of the workspace",
        "source/pipe: neither a file nor a folder nor a link",
    )


def test_a_data_folder_that_became_a_link_is_not_followed(
    workspace: Workspace, cipher: StreamCipher, tmp_path: Path
) -> None:
    (tmp_path / "precious/modules").mkdir(parents=True)
    workspace.data_dir.rmdir()
    workspace.data_dir.symlink_to(tmp_path / "precious")
    info = pack(workspace, io.BytesIO(), cipher=cipher, max_bytes=LIMIT)
    assert info.left_out == ("data: a link that leads out of the workspace",)


def test_the_info_describes_the_stored_bytes(workspace: Workspace, cipher: StreamCipher) -> None:
    import hashlib

    out = io.BytesIO()
    info = pack(workspace, out, cipher=cipher, max_bytes=LIMIT)
    assert info.size_bytes == len(out.getvalue())
    assert info.sha256 == hashlib.sha256(out.getvalue()).hexdigest()


# Limits


def test_an_archive_beyond_the_limit_is_refused_and_does_not_open(workspace: Workspace, cipher: StreamCipher) -> None:
    (workspace.source / "noise").write_bytes(os.urandom(3 * LIMIT))
    out = io.BytesIO()
    with pytest.raises(UserError, match=f"larger than {2 * LIMIT} bytes"):
        pack(workspace, out, cipher=cipher, max_bytes=2 * LIMIT)
    out.seek(0)
    with pytest.raises(BrokenError):
        restore(workspace, out, cipher=cipher)


def test_a_sparse_giant_is_refused_before_it_is_read(workspace: Workspace, cipher: StreamCipher) -> None:
    with (workspace.source / "giant").open("wb") as file:
        file.truncate(archive.MAX_CONTENT_BYTES + 1)
    with pytest.raises(UserError, match="the workspace holds more than"):
        pack(workspace, io.BytesIO(), cipher=cipher, max_bytes=LIMIT)


# Trust


def test_another_path_is_refused_with_a_way_out(workspace: Workspace, cipher: StreamCipher, tmp_path: Path) -> None:
    stored = packed(workspace, cipher)
    elsewhere = WorkspaceRoot(tmp_path / "elsewhere").open(RUN)
    with pytest.raises(RetryableError, match=f"planned in {workspace.path} and would be applied in {elsewhere.path}"):
        restore(elsewhere, stored, cipher=cipher)


def test_another_runs_archive_is_refused(workspace: Workspace, cipher: StreamCipher) -> None:
    stored = made_of([], workspace, cipher, run_id="01JZ00000000000000000THER2")
    with pytest.raises(BrokenError, match="belongs to run 01JZ00000000000000000THER2"):
        restore(workspace, stored, cipher=cipher)


def test_a_newer_format_is_refused(workspace: Workspace, cipher: StreamCipher) -> None:
    with pytest.raises(BrokenError, match="format 2, not 1"):
        restore(workspace, made_of([], workspace, cipher, format=2), cipher=cipher)


def test_nothing_is_in_place_before_the_last_byte_was_verified(workspace: Workspace, cipher: StreamCipher) -> None:
    (workspace.source / "main.tf").write_text("# planned")
    (workspace.source / "noise").write_bytes(os.urandom(2 * LIMIT + 5))
    workspace.plan_file.write_text("the plan")
    stored = io.BytesIO()
    pack(workspace, stored, cipher=cipher, max_bytes=4 * LIMIT)
    whole = stored.getvalue()
    changed = bytearray(whole)
    changed[-1] ^= 1
    for broken in (whole[:-1], whole[: LIMIT + 5000], whole[:100], b"", bytes(changed), whole + b"x"):
        fresh = WorkspaceRoot(workspace.path.parent).open(RUN)
        with pytest.raises(BrokenError, match=f"run {RUN}, stack network"):
            restore(fresh, io.BytesIO(broken), cipher=cipher)
        assert set(everything_in(fresh)) == {"source", "data", "tmp", "home"}


def test_swapped_archives_are_told_apart(workspace: Workspace) -> None:
    key = new_data_key()
    stored = packed(workspace, stream_cipher(key, {"run": RUN, "plan": "1"}))
    with pytest.raises(BrokenError, match=f"opening plan 2, run {RUN}: it was made for something else: plan 1"):
        restore(workspace, stored, cipher=stream_cipher(key, {"run": RUN, "plan": "2"}))


@pytest.mark.parametrize(
    "members",
    [
        [member("source", tarfile.DIRTYPE), member("source/x", tarfile.SYMTYPE, "/etc"), member("source/x/passwd")],
        [member("source", tarfile.SYMTYPE, "/etc")],
        [member("source", tarfile.DIRTYPE), member("source/x", tarfile.SYMTYPE, "../../../etc")],
        [
            member("source", tarfile.DIRTYPE),
            member("source/a", tarfile.DIRTYPE),
            member("source/a/b", tarfile.DIRTYPE),
            member("source/a/b/top", tarfile.SYMTYPE, "../.."),
            member("source/chained", tarfile.SYMTYPE, "a/b/top/../.."),
        ],
        [member("source", tarfile.DIRTYPE), member("source/x", tarfile.LNKTYPE, "/etc/passwd")],
        [member("source", tarfile.DIRTYPE), member("source/x", tarfile.CHRTYPE)],
        [member("source", tarfile.DIRTYPE), member("source/x", tarfile.FIFOTYPE)],
        [member("../x")],
        [member("/tmp/x")],
        [member("source", tarfile.DIRTYPE), member("source/../../x")],
        [member("source/x")],
        [member("tmp", tarfile.DIRTYPE)],
        [member("elsewhere")],
        [member("plan.tfplan"), member("plan.tfplan")],
        [member("source", tarfile.DIRTYPE), member("source", tarfile.DIRTYPE)],
    ],
    ids=lambda members: " ".join(one.name for one in members),
)
def test_members_that_reach_out_are_refused(
    workspace: Workspace, cipher: StreamCipher, members: list[tarfile.TarInfo]
) -> None:
    with pytest.raises(BrokenError, match="restoring"):
        restore(workspace, made_of(members, workspace, cipher), cipher=cipher)
    assert set(everything_in(workspace)) == {"source", "data", "tmp", "home"}


def test_an_archive_without_a_manifest_is_refused(workspace: Workspace, cipher: StreamCipher) -> None:
    out = io.BytesIO()
    with cipher.encrypting(out) as sealed:
        sealed.write(zstandard.compress(b""))
    out.seek(0)
    with pytest.raises(BrokenError, match=r"damaged|manifest"):
        restore(workspace, out, cipher=cipher)


def test_what_is_not_compressed_is_refused(workspace: Workspace, cipher: StreamCipher) -> None:
    out = io.BytesIO()
    with cipher.encrypting(out) as sealed:
        sealed.write(b"plain text")
    out.seek(0)
    with pytest.raises(BrokenError, match="the archive is damaged"):
        restore(workspace, out, cipher=cipher)
