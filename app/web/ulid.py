"""The form of an identifier in an address: what does not have it is not looked up.

Source: the ULID specification, Crockford's base32 in upper case, as the store makes them.
"""

import re
from typing import Final

_ULID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def is_ulid(text: str) -> bool:
    """True when the text has the form of a ULID."""
    return _ULID.fullmatch(text) is not None
