"""The frames between a worker and its child: two lengths, a head as JSON, and a body as it is."""

import struct
from typing import Final

HEAD: Final = struct.Struct(">II")
"""Bytes of the head, bytes of the body."""
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""An answer that is longer is no answer."""
