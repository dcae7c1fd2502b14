"""Encrypted streams: whole, or refused."""

import io
import logging
import subprocess
import sys

import pytest

from app.core.errors import BrokenError, UserError
from app.core.names import Secret
from app.vault.keys import new_data_key
from app.vault.stream import FRAME_BYTES, ArchiveCipher, stream_cipher

CONTEXT = {"run": "R1", "stack": "network"}


@pytest.fixture(scope="module")
def cipher() -> ArchiveCipher:
    return stream_cipher(new_data_key(), CONTEXT)


def encrypted(cipher: ArchiveCipher, data: bytes, step: int = 300_001) -> bytes:
    out = io.BytesIO()
    with cipher.encrypting(out) as writer:
        for at in range(0, len(data), step):
            assert writer.write(data[at : at + step]) == len(data[at : at + step])
    return out.getvalue()


def decrypted(cipher: ArchiveCipher, stored: bytes, step: int = 70_000) -> bytes:
    reader = cipher.decrypting(io.BytesIO(stored))
    return b"".join(iter(lambda: reader.read(step), b""))


@pytest.mark.parametrize("size", [0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 3 * FRAME_BYTES + 77])
@pytest.mark.parametrize("step", [300_001, 2 * FRAME_BYTES])
def test_what_goes_in_comes_out(cipher: ArchiveCipher, size: int, step: int) -> None:
    data = (b"0123456789abcde" * (size // 15 + 1))[:size]
    stored = encrypted(cipher, data, step)
    assert decrypted(cipher, stored, step) == data
    assert len(stored) < size + 400 + 40 * (size // FRAME_BYTES)


def test_another_key_does_not_open(cipher: ArchiveCipher) -> None:
    with pytest.raises(BrokenError, match="opening run R1, stack network: changed, cut off, or under another key"):
        decrypted(stream_cipher(new_data_key(), CONTEXT), encrypted(cipher, b"value"))


@pytest.mark.parametrize("context", [{}, {"run": "R1"}, {"run": "R2", "stack": "network"}, {**CONTEXT, "more": "x"}])
def test_another_context_does_not_open(context: dict[str, str]) -> None:
    key = new_data_key()
    stored = encrypted(stream_cipher(key, CONTEXT), b"value")
    with pytest.raises(BrokenError, match="it was made for something else: run R1, stack network"):
        decrypted(stream_cipher(key, context), stored)


def test_no_changed_bit_no_cut_and_no_addition_opens(cipher: ArchiveCipher) -> None:
    stored = encrypted(cipher, b"the value")
    flipped = [stored[:at] + bytes([stored[at] ^ 128]) + stored[at + 1 :] for at in range(len(stored))]
    cut = [stored[:length] for length in range(len(stored))]
    for broken in [*flipped, *cut, stored + b"\0", stored * 2]:
        with pytest.raises(BrokenError, match="opening run R1, stack network: "):
            decrypted(cipher, broken)


def test_frames_of_two_archives_do_not_mix(cipher: ArchiveCipher) -> None:
    one, other = (encrypted(cipher, letter * 3 * FRAME_BYTES) for letter in (b"1", b"2"))
    middle = len(one) // 2
    with pytest.raises(BrokenError):
        decrypted(cipher, one[:middle] + other[middle:])


def test_a_stream_that_was_left_by_an_error_does_not_open(cipher: ArchiveCipher) -> None:
    out = io.BytesIO()

    def interrupted() -> None:
        with cipher.encrypting(out) as writer:
            writer.write(bytes(2 * FRAME_BYTES))
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    with pytest.raises(BrokenError):
        decrypted(cipher, out.getvalue())


def test_an_error_of_the_source_stays_what_it_is(cipher: ArchiveCipher) -> None:
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise ConnectionResetError("the line went dead")

    with pytest.raises(ConnectionResetError):
        cipher.decrypting(Broken()).read(1)  # type: ignore[arg-type]  # a raw stream is enough


@pytest.mark.parametrize("key", ["", "x", "AAAA", "§"])
def test_a_malformed_data_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(UserError, match="its data key is not base64 of 32 bytes"):
        stream_cipher(Secret(key), CONTEXT)


def test_the_sdk_does_not_log_what_it_handles(cipher: ArchiveCipher, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        decrypted(cipher, encrypted(cipher, b"value"))
    assert caplog.records == []


def test_memory_does_not_grow_with_the_archive() -> None:
    """50 MB of noise and 50 MB of zeros, packed and restored in a child; its peak is near a small archive's."""
    small, large = (_peak_kib(mebibytes) for mebibytes in (1, 50))
    assert large - small < 40 * 1024


def _peak_kib(mebibytes: int) -> int:
    script = """
import os, resource, sys, tempfile
from pathlib import Path
from app.engine.archive import pack, restore
from app.engine.workspace import WorkspaceRoot
from app.vault.keys import new_data_key
from app.vault.stream import stream_cipher

with tempfile.TemporaryDirectory() as folder:
    roots = WorkspaceRoot(Path(folder, "runs"))
    workspace = roots.open("01JZ0000000000000000000RAN")
    for name, block in (("noise", os.urandom(1 << 20)), ("zeros", bytes(1 << 20))):
        with (workspace.source / name).open("wb") as file:
            for _ in range(int(sys.argv[1])):
                file.write(block)
    cipher = stream_cipher(new_data_key(), {"run": "R1"})
    with Path(folder, "archive").open("wb") as out:
        pack(workspace, out, cipher=cipher, max_bytes=1 << 30)
    with Path(folder, "archive").open("rb") as source:
        restore(roots.open(workspace.run_id), source, cipher=cipher)
    assert (workspace.source / "noise").stat().st_size == int(sys.argv[1]) << 20
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run([sys.executable, "-c", script, str(mebibytes)], capture_output=True, text=True, check=True)
    return int(done.stdout)
