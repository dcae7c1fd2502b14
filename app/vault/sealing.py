"""Sealed values: AES-256-GCM under a key that is derived anew for each message, bound to a context.

Pure but for its randomness; knows nothing of where keys come from. The envelope: format (1 byte), id of the key (8),
salt (32), ciphertext with tag. Context and envelope head are associated data, so neither can be exchanged.
"""

import json
import os
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.core.errors import BrokenError

KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 8
MAX_SEALED_BYTES: Final = 1024 * 1024 * 1024
"""One sealed value; larger things are streams."""
_FORMAT: Final = b"\x01"
_SALT_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_HEAD_BYTES: Final = len(_FORMAT) + KEY_ID_BYTES + _SALT_BYTES
_TAG_BYTES: Final = 16


def seal(key: bytes, data: bytes, context: Mapping[str, str]) -> bytes:
    """The data, readable with the same key and the same context alone.

    Raises: BrokenError when it is larger than MAX_SEALED_BYTES.
    """
    if len(data) > MAX_SEALED_BYTES:
        raise BrokenError(f"sealing {named(context)}: {len(data)} bytes, more than {MAX_SEALED_BYTES}")
    head = _FORMAT + key_id(key) + os.urandom(_SALT_BYTES)
    cipher, nonce = _cipher(key, head)
    return head + cipher.encrypt(nonce, data, head + _canonical(context))


def unseal(key: bytes, sealed: bytes, context: Mapping[str, str]) -> bytes:
    """The data that was sealed.

    Raises: BrokenError for another key, another context or any changed byte.
    """
    head, body = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:]
    cipher, nonce = _cipher(key, head)
    try:
        return cipher.decrypt(nonce, body, head + _canonical(context))
    except InvalidTag as error:
        raise BrokenError(f"opening {named(context)}: changed, or sealed for something else") from error


def sealed_with(sealed: bytes, context: Mapping[str, str]) -> bytes:
    """The id of the key that sealed it.

    Raises: BrokenError when this is no envelope of ours.
    """
    if len(sealed) < _HEAD_BYTES + _TAG_BYTES or not sealed.startswith(_FORMAT):
        raise BrokenError(f"opening {named(context)}: not a sealed value, or cut off")
    return sealed[len(_FORMAT) : len(_FORMAT) + KEY_ID_BYTES]


def key_id(key: bytes) -> bytes:
    """KEY_ID_BYTES that name a key and tell nothing of it."""
    return HKDF(SHA256(), KEY_ID_BYTES, salt=None, info=b"trackside key id").derive(key)


def named(context: Mapping[str, str]) -> str:
    """The context for an error text: it says what a value is, never what it holds."""
    return ", ".join(f"{name} {value}" for name, value in sorted(context.items())) or "a value without context"


def _cipher(key: bytes, head: bytes) -> tuple[AESGCM, bytes]:
    """A key and a nonce of this message alone: 256 random bits decide, so that no pair is ever used twice."""
    salt = head[-_SALT_BYTES:]
    derived = HKDF(SHA256(), KEY_BYTES + _NONCE_BYTES, salt=salt, info=b"trackside sealed value").derive(key)
    return AESGCM(derived[:KEY_BYTES]), derived[KEY_BYTES:]


def _canonical(context: Mapping[str, str]) -> bytes:
    return json.dumps(dict(context), sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
