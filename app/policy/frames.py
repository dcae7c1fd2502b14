"""The frames between a worker and its child: two lengths, a head as JSON, and a body as it is; questions in parts."""

import struct
from typing import Final

HEAD: Final = struct.Struct(">II")
"""Bytes of the head, bytes of the body."""
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""An answer that is longer is no answer."""


def joined(shared: bytes, own: bytes) -> bytes:
    """Two JSON objects that have no key in common as one."""
    if shared == b"{}":
        return own
    return shared if own == b"{}" else shared[:-1] + b"," + own[1:]
