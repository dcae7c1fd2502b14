"""Sealing under KMS: values are sealed with a data key that travels with them, wrapped; only KMS unwraps it.

A process asks KMS for one data key a day and unwraps each that it meets once, so that sealing costs no round trip. The
envelope: format (1 byte), length of the wrapped key (2), the wrapped key, then an ordinary sealed value.
"""

import struct
import time
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Final, Protocol

from app.core.errors import BrokenError
from app.vault.keys import Keyring
from app.vault.sealing import KEY_BYTES, named, seal, unseal

MAX_WRAPPED_BYTES: Final = 6144
"""What KMS gives at most."""
MAX_KNOWN: Final = 4096
NEW_KEY_AFTER_S: Final = 24 * 3600.0
_FORMAT: Final = b"\x02"
_LENGTH: Final = struct.Struct(">H")


class KeyService(Protocol):
    """Makes and opens wrapped data keys."""

    def new_data_key(self) -> tuple[bytes, bytes]:
        """A fresh key of 32 bytes, in clear and wrapped."""
        ...

    def unwrap(self, wrapped: bytes) -> bytes:
        """The key in clear. Raises: BrokenError when it may not be had."""
        ...


class KmsKeyring:
    """Seals under KMS; opens that, and what a local keyring sealed before."""

    def __init__(self, service: KeyService, local: Keyring | None = None) -> None:
        """KMS is asked with the first value."""
        self._service, self._local = service, local
        self._lock = Lock()
        self._current: tuple[bytes, bytes] | None = None
        self._renew_at = 0.0
        self._known: OrderedDict[bytes, bytes] = OrderedDict()

    def seal(self, data: bytes, context: Mapping[str, str]) -> bytes:
        """The data, readable with the KMS key and the same context alone."""
        key, wrapped = self._sealing_key()
        return _FORMAT + _LENGTH.pack(len(wrapped)) + wrapped + seal(key, data, context)

    def open(self, sealed: bytes, context: Mapping[str, str]) -> bytes:
        """The data that was sealed for this context. Raises: BrokenError for anything else, and when KMS says no."""
        if not sealed.startswith(_FORMAT):
            if self._local is None:
                raise BrokenError(f"opening {named(context)}: sealed before KMS_KEY_ID was set; give that key as well")
            return self._local.open(sealed, context)
        start = len(_FORMAT) + _LENGTH.size
        length = _LENGTH.unpack(sealed[len(_FORMAT) : start])[0] if len(sealed) >= start else 0
        wrapped, body = sealed[start : start + length], sealed[start + length :]
        if not 0 < length <= MAX_WRAPPED_BYTES or not body:
            raise BrokenError(f"opening {named(context)}: not a sealed value, or cut off")
        return unseal(self._unwrapped(wrapped), body, context)

    def __repr__(self) -> str:
        return "KmsKeyring(***)"

    def __reduce__(self) -> str:
        raise TypeError("a keyring is not pickled")

    def _sealing_key(self) -> tuple[bytes, bytes]:
        with self._lock:
            if self._current is None or time.monotonic() >= self._renew_at:
                key, wrapped = self._service.new_data_key()
                if len(key) != KEY_BYTES or not 0 < len(wrapped) <= MAX_WRAPPED_BYTES:
                    raise BrokenError("asking KMS for a data key: its answer holds none of 32 bytes")
                self._current, self._renew_at = (key, wrapped), time.monotonic() + NEW_KEY_AFTER_S
                self._remember(wrapped, key)
            return self._current

    def _unwrapped(self, wrapped: bytes) -> bytes:
        with self._lock:
            known = self._known.get(wrapped)
            if known is not None:
                self._known.move_to_end(wrapped)
                return known
        key = self._service.unwrap(wrapped)
        with self._lock:
            self._remember(wrapped, key)
        return key

    def _remember(self, wrapped: bytes, key: bytes) -> None:
        self._known[wrapped] = key
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
