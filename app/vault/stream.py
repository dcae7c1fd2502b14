"""Encrypted streams: the message format of the AWS Encryption SDK under a data key of ours, in frames of 1 MiB.

Fits the engine's StreamCipher by shape. A reader sees a frame only after that frame was verified, and the end of the
stream only after the last one was. Source: AWS Encryption SDK developer guide, "message format reference".
"""

import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, Final

# The SDK carries no types: everything that it gives is Any, and stays in this module.
import aws_encryption_sdk
from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError
from aws_encryption_sdk.identifiers import (
    Algorithm,
    EncryptionKeyType,
    WrappingAlgorithm,
)
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider
from cryptography.exceptions import InvalidTag

from app.core.errors import BrokenError
from app.core.names import Secret
from app.vault.keys import decoded_key
from app.vault.sealing import named

FRAME_BYTES: Final = 1024 * 1024
_PROVIDER: Final = "trackside"
_KEY_NAME: Final = b"data key"
_UNREADABLE: Final = (AWSEncryptionSDKClientError, InvalidTag, ValueError, LookupError)
"""What the SDK raises for a message that was changed: it depends on which byte."""

# At DEBUG the SDK logs its arguments.
logging.getLogger("aws_encryption_sdk").setLevel(logging.WARNING)


def stream_cipher(data_key: Secret, context: Mapping[str, str]) -> "ArchiveCipher":
    """The cipher of one archive, bound to a data key (base64 of 32 bytes) and to what the archive is.

    Raises: UserError when the data key is malformed.
    """
    return ArchiveCipher(decoded_key(data_key, "opening an archive: its data key"), context)


class ArchiveCipher:
    """Encrypts and decrypts streams under one data key and one context. The context is stored in clear, verified."""

    __slots__ = ("_client", "_context", "_provider")

    def __init__(self, key: bytes, context: Mapping[str, str]) -> None:
        self._context = dict(context)
        self._provider = _DataKeyProvider()
        self._provider.wrapping_key = WrappingKey(
            wrapping_algorithm=WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
            wrapping_key=key,
            wrapping_key_type=EncryptionKeyType.SYMMETRIC,
        )
        self._provider.add_master_key(_KEY_NAME)
        # Its default policy refuses messages that do not commit to one key.
        self._client = aws_encryption_sdk.EncryptionSDKClient(max_encrypted_data_keys=1)

    @contextmanager
    def encrypting(self, out: BinaryIO) -> Iterator["SealingWriter"]:
        """What is written is encrypted into `out`; left by an error, the stream has no end and does not open again."""
        feed = _Feed()
        encryptor = self._client.stream(
            mode="encrypt",
            source=feed,
            key_provider=self._provider,
            encryption_context=self._context,
            algorithm=Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
            frame_length=FRAME_BYTES,
        )
        writer = SealingWriter(encryptor, feed, out)
        yield writer
        writer.finish()

    def decrypting(self, source: BinaryIO) -> "OpeningReader":
        """What `source` holds; nothing is read from it before the first `read`."""
        decryptor = self._client.stream(
            mode="decrypt-unsigned", source=source, key_provider=self._provider, max_body_length=FRAME_BYTES
        )
        return OpeningReader(decryptor, source, self._context)


class SealingWriter:
    """Writes plain bytes into an encrypted stream, frame by frame."""

    __slots__ = ("_encryptor", "_feed", "_out")

    def __init__(self, encryptor: Any, feed: "_Feed", out: BinaryIO) -> None:
        self._encryptor, self._feed, self._out = encryptor, feed, out

    def write(self, data: bytes) -> int:
        """Take all of the data."""
        self._feed.waiting += data
        # The SDK pulls: asked for a frame's length it takes one whole frame or, having enough ready, none.
        while len(self._feed.waiting) >= FRAME_BYTES:
            self._out.write(self._encryptor.read(FRAME_BYTES))
        return len(data)

    def finish(self) -> None:
        """Write the last frame."""
        while block := self._encryptor.read(FRAME_BYTES):
            self._out.write(block)


class OpeningReader:
    """Reads the plain bytes of an encrypted stream."""

    __slots__ = ("_context", "_decryptor", "_is_bound", "_source")

    def __init__(self, decryptor: Any, source: BinaryIO, context: dict[str, str]) -> None:
        self._decryptor, self._source, self._context = decryptor, source, context
        self._is_bound = False

    def read(self, size: int, /) -> bytes:
        """At most `size` verified bytes; none only when the stream ended as it was meant to.

        Raises: BrokenError for another key, another context, a changed byte, an early end, a late end.
        """
        try:
            if not self._is_bound:
                self._check_context(self._decryptor.header.encryption_context)
            data: bytes = self._decryptor.read(size)
        except _UNREADABLE as error:
            raise BrokenError(f"opening {named(self._context)}: changed, cut off, or under another key") from error
        if not data and size and self._source.read(1):
            raise BrokenError(f"opening {named(self._context)}: the stream goes on after its end")
        return data

    def __del__(self) -> None:
        # Its own close complains of an end that was never read, after the fact and, from Python 3.13 on, aloud.
        io.IOBase.close(self._decryptor)

    def _check_context(self, found: Mapping[str, str]) -> None:
        if dict(found) != self._context:
            raise BrokenError(f"opening {named(self._context)}: it was made for something else: {named(found)}")
        self._is_bound = True


class _Feed:
    """What was written and not yet encrypted: the SDK's source."""

    def __init__(self) -> None:
        self.waiting = bytearray()

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes of it."""
        taken = bytes(self.waiting[:size] if size >= 0 else self.waiting)
        del self.waiting[: len(taken)]
        return taken


class _DataKeyProvider(RawMasterKeyProvider):  # type: ignore[misc]  # the SDK has no types
    """Hands the SDK the one data key that wraps each message's own."""

    provider_id = _PROVIDER
    wrapping_key: Any = None

    def _get_raw_key(self, key_id: bytes) -> Any:  # noqa: ARG002 - the SDK's signature
        return self.wrapping_key
