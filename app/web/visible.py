"""Hostile text made visible: what a terminal or a browser would obey, or hide, is shown as a mark instead.

Escaping for HTML is jinja2's; this is for what escaping leaves: control characters, and those that turn the order of
letters around so that a diff reads other than it is.
"""

import json
import re
from typing import Final

from app.core.plan import MASK, UNKNOWN

_ANSI: Final = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]")
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """The text with its colours dropped and every other control or invisible character as `‹U+202E›`."""
    plain = _ANSI.sub("", text.replace("\r\n", "\n"))
    return _INVISIBLE.sub(lambda found: f"‹U+{ord(found[0]):04X}›", plain)


def readable_value(value: str) -> str:
    """A value of a plan for a person: JSON text over several lines where that helps, a text of many lines as it is."""
    if value in (MASK, UNKNOWN):
        return value
    try:
        decoded = json.loads(value)
    except (ValueError, RecursionError):
        return visible(value)
    if isinstance(decoded, str) and "\n" in decoded:
        return visible(decoded)
    if isinstance(decoded, dict | list) and len(value) > 60:
        return visible(json.dumps(decoded, indent=2, ensure_ascii=False))
    return visible(value)
