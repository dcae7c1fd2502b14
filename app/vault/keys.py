"""The control plane's keys: from a file of its own or from the environment's text; the first seals, all of them open.

Rotation is a new key in front. What is stored names the key that sealed it; nothing else of the house sees a key.
"""

import base64
import binascii
import os
import re
import secrets
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from app.core.errors import BrokenError, UserError
from app.core.names import Secret
from app.vault.sealing import KEY_BYTES, key_id, named, seal, sealed_with, unseal

MAX_KEYS: Final = 16
_MAX_FILE_BYTES: Final = 4096


class Keyring:
    """One or more keys of 32 bytes. Its repr shows their ids alone."""

    __slots__ = ("_file", "_keys")

    def __init__(self, keys: Sequence[bytes], *, file: Path | None = None) -> None:
        """`file`: where a key that another process has put in front since is looked for."""
        self._file = file
        if not keys or len(keys) > MAX_KEYS or any(len(key) != KEY_BYTES for key in keys):
            raise BrokenError(f"making a keyring: 1 to {MAX_KEYS} keys of {KEY_BYTES} bytes each")
        self._keys = {key_id(key): key for key in keys}

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """The keys in a file, one to a line, the first seals; a missing file is made with a new key, mode 0600.

        Raises: UserError when it cannot be read or made, is open to others, or holds something else.
        """
        try:
            if not path.exists():
                _make_key_file(path)
        except OSError as error:
            raise UserError(f"making key file {path}: {error.strerror}") from None
        return cls(_read_key_file(path), file=path)

    @classmethod
    def from_text(cls, text: Secret) -> Self:
        """The keys in ENCRYPTION_KEY: base64 of 32 bytes each, comma-separated; the first seals.

        Raises: UserError that says which of them is malformed, never what it is.
        """
        return cls(_parse(text.reveal(), "ENCRYPTION_KEY"))

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Names of the keys, in hex; the first seals."""
        return tuple(name.hex() for name in self._keys)

    def seal(self, data: bytes, context: Mapping[str, str]) -> bytes:
        """The data, readable with this keyring and the same context alone.

        Shape: the context says what this is (table, row, field) and is not stored.
        """
        return seal(next(iter(self._keys.values())), data, context)

    def open(self, sealed: bytes, context: Mapping[str, str]) -> bytes:
        """The data that was sealed for this context.

        Raises: BrokenError that names the context: another keyring, another context, or any changed byte.
        """
        name = sealed_with(sealed, context)
        key = self._keys.get(name)
        if key is None and self._file is not None:
            self._keys |= {key_id(one): one for one in _read_key_file(self._file)}  # rotated since this process began
            key = self._keys.get(name)
        if key is None:
            raise BrokenError(f"opening {named(context)}: sealed with key {name.hex()}, which is not in the keyring")
        return unseal(key, sealed, context)

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self.key_ids)})"

    def __reduce__(self) -> str:
        raise TypeError("a keyring is not pickled")


def rotate_key_file(path: Path) -> Keyring:
    """The keys of the file with a new one in front, which is written; all or nothing.

    Raises: UserError when the file is not there or not readable, or holds as many keys as it may.
    """
    keys = _read_key_file(path)
    if len(keys) >= MAX_KEYS:
        raise UserError(
            f"rotating key file {path}: it holds {MAX_KEYS} keys already; remove the oldest that seals nothing"
        )
    fresh = [secrets.token_bytes(KEY_BYTES), *keys]
    try:
        draft = _write_draft(path, "".join(base64.b64encode(key).decode() + "\n" for key in fresh))
        draft.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise UserError(f"rotating key file {path}: {error.strerror}") from None
    return Keyring(fresh)


def new_data_key() -> Secret:
    """Base64 of 32 random bytes: the key of one run's archives."""
    return Secret(base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode())


def _parse(text: str, origin: str) -> list[bytes]:
    words = [word for word in re.split(r"[,\s]+", text) if word]
    if not words:
        raise UserError(f"reading {origin}: there is no key in it")
    if len(words) > MAX_KEYS:
        raise UserError(f"reading {origin}: more than {MAX_KEYS} keys")
    return [decoded_key(Secret(word), f"reading {origin}: key {number}") for number, word in enumerate(words, start=1)]


def decoded_key(text: Secret, about: str) -> bytes:
    """The 32 bytes of a key in base64. Raises: UserError that begins with `about` and does not show the text."""
    try:
        key = base64.b64decode(text.reveal(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise UserError(f"{about} is not base64 of {KEY_BYTES} bytes; make one with `openssl rand -base64 32`")
    return key


def _read_key_file(path: Path) -> list[bytes]:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC), encoding="ascii") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o007:
                raise UserError(f"reading key file {path}: other users can read it; chmod 600 it")
            text = file.read(_MAX_FILE_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a key file"
        raise UserError(f"reading key file {path}: {reason}") from None
    return _parse(text, f"key file {path}")


def _make_key_file(path: Path) -> None:
    """Written beside its place, then linked into it: of several processes that start at once, one makes the key."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = _write_draft(path, new_data_key().reveal() + "\n")
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    _sync_folder(path.parent)


def _write_draft(path: Path, text: str) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
