"""What every artifact store must keep, whatever is behind it. A test class inherits it, and gives the fixture.

Shape: `class TestMine(ArtifactsContract)` with a fixture `artifacts` that gives a fresh, empty store.
"""

import contextlib
import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import BinaryIO, Protocol

import pytest

from app.core.artifact import Stored
from app.core.errors import BrokenError, UserError

KEY = "runs/01j8/workspace-1.tar.zst"
MIB = 1024 * 1024


class Artifacts(Protocol):
    """The port."""

    def put(self, key: str, source: BinaryIO | Iterator[bytes], *, max_bytes: int) -> int: ...
    def open(self, key: str) -> AbstractContextManager[BinaryIO]: ...
    def delete(self, key: str) -> None: ...
    def find(self, key: str) -> Stored | None: ...
    def list_artifacts(self, folder: str) -> Iterator[Stored]: ...
    def sweep_partial(self, *, older_than_s: float) -> int: ...
    def check_ready(self) -> None: ...


def read(artifacts: Artifacts, key: str = KEY) -> bytes:
    """All the bytes of an artifact."""
    with artifacts.open(key) as file:
        return file.read()


class ArtifactsContract:
    """The contract."""

    @pytest.fixture
    def artifacts(self) -> Artifacts:
        raise TypeError("the class that inherits the contract gives the store")

    def test_what_was_put_can_be_opened_any_number_of_times(self, artifacts: Artifacts) -> None:
        assert artifacts.put(KEY, io.BytesIO(b"sealed bytes"), max_bytes=100) == 12
        assert read(artifacts) == read(artifacts) == b"sealed bytes"

    def test_a_stream_of_pieces_is_stored_as_one(self, artifacts: Artifacts) -> None:
        assert artifacts.put(KEY, iter([b"one ", b"", b"two"]), max_bytes=7) == 7
        assert read(artifacts) == b"one two"

    def test_an_empty_artifact_is_an_artifact(self, artifacts: Artifacts) -> None:
        assert artifacts.put(KEY, iter([]), max_bytes=0) == 0
        assert read(artifacts) == b""

    def test_what_exists_is_never_overwritten(self, artifacts: Artifacts) -> None:
        artifacts.put(KEY, io.BytesIO(b"first"), max_bytes=100)
        with pytest.raises(BrokenError, match="exists already"):
            artifacts.put(KEY, io.BytesIO(b"second"), max_bytes=100)
        assert read(artifacts) == b"first"

    def test_what_is_too_large_is_refused_and_leaves_nothing(self, artifacts: Artifacts) -> None:
        with pytest.raises(UserError, match=f"{KEY}: larger than 4 bytes"):
            artifacts.put(KEY, iter([b"abc", b"de"]), max_bytes=4)
        with pytest.raises(UserError):
            read(artifacts)
        assert artifacts.put(KEY, io.BytesIO(b"fits"), max_bytes=4) == 4

    def test_a_source_that_breaks_off_leaves_nothing(self, artifacts: Artifacts) -> None:
        def broken() -> Iterator[bytes]:
            yield b"half"
            raise ConnectionResetError("the worker is gone")

        with pytest.raises((ConnectionResetError, BrokenError)):
            artifacts.put(KEY, broken(), max_bytes=100)
        with pytest.raises(UserError, match="not there"):
            read(artifacts)

    def test_what_is_missing_is_named(self, artifacts: Artifacts) -> None:
        with pytest.raises(UserError, match=KEY):
            read(artifacts)

    def test_deleting_twice_is_deleting_once(self, artifacts: Artifacts) -> None:
        artifacts.put(KEY, io.BytesIO(b"x"), max_bytes=100)
        artifacts.delete(KEY)
        artifacts.delete(KEY)
        with pytest.raises(UserError):
            read(artifacts)
        artifacts.put(KEY, io.BytesIO(b"y"), max_bytes=100)
        assert read(artifacts) == b"y"

    @pytest.mark.parametrize(
        "key",
        ["", "/etc/passwd", "../up", "a/../b", "a//b", "a/./b", ".hidden", "a/.partial-1", "A", "a b", "a\n", "ü"],
    )
    def test_a_key_that_is_not_ours_is_refused(self, artifacts: Artifacts, key: str) -> None:
        for use in (lambda: artifacts.put(key, io.BytesIO(b"x"), max_bytes=9), lambda: artifacts.delete(key)):
            with pytest.raises(BrokenError, match="not a key of ours"):
                use()
        with pytest.raises(BrokenError, match="not a key of ours"):
            read(artifacts, key)

    def test_what_is_there_can_be_found_and_listed(self, artifacts: Artifacts) -> None:
        before = datetime.now(UTC) - timedelta(seconds=2)
        assert artifacts.find(KEY) is None
        for key, data in (("state/one/a", b"1"), ("state/two/b", b"22"), ("statement", b"333"), (KEY, b"")):
            artifacts.put(key, io.BytesIO(data), max_bytes=9)
        found = artifacts.find("state/two/b")
        assert found is not None
        assert (found.key, found.size_bytes) == ("state/two/b", 2)
        assert before <= found.stored_at <= datetime.now(UTC) + timedelta(seconds=2)
        assert [(one.key, one.size_bytes) for one in artifacts.list_artifacts("state")] == [
            ("state/one/a", 1),
            ("state/two/b", 2),
        ]
        assert [one.key for one in artifacts.list_artifacts("")] == [KEY, "state/one/a", "state/two/b", "statement"]
        assert list(artifacts.list_artifacts("nowhere")) == []

    def test_only_what_never_became_an_artifact_is_swept(self, artifacts: Artifacts) -> None:
        artifacts.check_ready()
        artifacts.put(KEY, io.BytesIO(b"whole"), max_bytes=9)
        assert artifacts.sweep_partial(older_than_s=3600) == 0
        assert artifacts.sweep_partial(older_than_s=-3600) == 0
        assert read(artifacts) == b"whole"
        assert [one.key for one in artifacts.list_artifacts("")] == [KEY], (
            "being asked whether it is ready leaves nothing"
        )

    def test_a_large_stream_arrives_whole(self, artifacts: Artifacts) -> None:
        piece = bytes(range(256)) * 4096
        assert artifacts.put(KEY, (piece for _ in range(24)), max_bytes=24 * MIB) == 24 * MIB
        digest = hashlib.sha256()
        with artifacts.open(KEY) as file:
            while part := file.read(MIB):
                digest.update(part)
        assert digest.digest() == hashlib.sha256(piece * 24).digest()

    def test_of_many_writers_of_one_key_one_wins_and_nobody_sees_half(self, artifacts: Artifacts) -> None:
        barrier = Barrier(6)

        def write(number: int) -> bool:
            def pieces() -> Iterator[bytes]:
                for _ in range(8):
                    with contextlib.suppress(UserError):
                        assert len(set(read(artifacts))) == 1
                    yield bytes([number]) * 50_000

            barrier.wait()
            try:
                return artifacts.put(KEY, pieces(), max_bytes=MIB) == 400_000
            except BrokenError:
                return False

        with ThreadPoolExecutor(6) as pool:
            assert sorted(pool.map(write, range(6))) == [False] * 5 + [True]
        whole = read(artifacts)
        assert len(whole) == 400_000
        assert len(set(whole)) == 1
