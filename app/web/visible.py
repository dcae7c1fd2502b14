"""Hostile text made visible for pages: colours dropped, control and invisible characters written out.

Escaping for HTML is jinja2's; this is for what escaping leaves, and for values that read better over several lines.
"""

import json
import re
from collections.abc import Sequence
from typing import Final

from app.core import markdown
from app.core.plan import MASK, UNKNOWN

_COLOUR: Final = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]")


def visible(text: str) -> str:
    """The text, lines kept, without terminal colours and with nothing that a browser obeys or hides."""
    return markdown.visible(_COLOUR.sub("", text), keep_lines=True)


def readable_value(value: str) -> str:
    """A value of a plan for a person: JSON over several lines where that helps, a text of many lines as it is."""
    if value in (MASK, UNKNOWN):
        return value
    try:
        decoded = json.loads(value)
    except (ValueError, RecursionError):
        return visible(value)
    if isinstance(decoded, str) and "\n" in decoded.rstrip("\n"):
        return visible(decoded)
    if isinstance(decoded, dict | list) and len(value) > 60:
        return visible(json.dumps(decoded, indent=2, ensure_ascii=False))
    return visible(value)


def diff_rows(lines: Sequence[str]) -> list[tuple[str, str]]:
    """The lines of a text's diff, each with its kind (`add`, `del`, `same`, `part`), as they are read."""
    return [_diff_row(line[:1], markdown.visible(line[1:])) for line in lines]


def _diff_row(sign: str, text: str) -> tuple[str, str]:
    match sign:
        case "+":
            return "add", f"+ {text}"
        case "-":
            return "del", f"- {text}"
        case "@":
            return "part", f"from line {text}"
        case "…":
            return "part", f"… lines left out: {text}"
        case _:
            return "same", f"  {text}"
