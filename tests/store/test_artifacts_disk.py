"""Artifacts on disk keep the contract, and are readable by this account alone."""

import io
import os
import stat
import sys
from pathlib import Path
from types import FrameType

import pytest

from app.core.errors import BrokenError, UserError
from app.store.artifacts_disk import DiskArtifacts
from tests.store.artifacts_contract import KEY, ArtifactsContract


class TestDiskArtifacts(ArtifactsContract):
    """The contract, on a folder."""

    @pytest.fixture
    def artifacts(self, tmp_path: Path) -> DiskArtifacts:
        return DiskArtifacts(tmp_path / "artifacts")


def test_files_and_folders_are_private(tmp_path: Path) -> None:
    DiskArtifacts(tmp_path / "artifacts").put(KEY, io.BytesIO(b"x"), max_bytes=9)
    found = sorted((tmp_path / "artifacts").rglob("*"))
    assert [stat.S_IMODE(path.stat().st_mode) for path in found] == [0o700, 0o700, 0o600]
    assert stat.S_IMODE((tmp_path / "artifacts").stat().st_mode) == 0o700


def test_nothing_is_left_of_what_was_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        DiskArtifacts(tmp_path).put(KEY, io.BytesIO(b"too large"), max_bytes=3)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_link_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"of the host")
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(BrokenError), DiskArtifacts(tmp_path / "artifacts").open("link"):
        pass


def test_a_folder_that_cannot_be_written_is_not_ready(tmp_path: Path) -> None:
    DiskArtifacts(tmp_path / "new").check_ready()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BrokenError, match="artifact folder"):
        DiskArtifacts(tmp_path / "file" / "below").check_ready()


def test_a_folder_that_a_sweep_takes_away_is_made_again(tmp_path: Path) -> None:
    artifacts, folder = DiskArtifacts(tmp_path), (tmp_path / KEY).parent
    artifacts.put(KEY, io.BytesIO(b"before"), max_bytes=9)
    artifacts.delete(KEY)

    def sweep(_frame: FrameType, event: str, called: object) -> None:
        """Just before the file of the artifact is opened, and once."""
        if event == "c_call" and called is os.open:
            sys.setprofile(None)
            os.utime(folder, (0, 0))  # empty since long ago
            artifacts.sweep_partial(older_than_s=60)
            assert not folder.exists()

    sys.setprofile(sweep)
    try:
        artifacts.put(KEY, io.BytesIO(b"x"), max_bytes=9)
    finally:
        sys.setprofile(None)
    assert artifacts.find(KEY)
