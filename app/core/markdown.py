"""Hostile text made harmless for GitHub's Markdown: every foreign word goes into code, with its tricks made visible.

Nothing that came from a plan, a person or a repository is ever put into prose: inside code GitHub links nothing,
mentions nobody, loads no image and runs no HTML.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

MAX_BYTES: Final = 65_535
"""Of a check run's summary and of its text. Source: GitHub counts characters; bytes are never fewer."""
_COUNT_BYTES: Final = 64
_TICKS = re.compile(r"`+")
_OUR_WORDS = re.compile(r"[A-Za-z0-9 ,.:;()'/=~?!-]*")


def visible(text: str, *, keep_lines: bool = False) -> str:
    r"""The text with every control, bidirectional and invisible character written out as `\u202e`.

    Newlines become `\n` too, unless `keep_lines`; tabs become blanks then.
    """
    if text.isascii() and text.isprintable():
        return text
    if keep_lines:
        lines = text.replace("\r\n", "\n").replace("\t", "    ").split("\n")
        return "\n".join(visible(line) for line in lines)
    return "".join(character if _is_plain(character) else _escape(character) for character in text)


def cut(text: str, limit: int) -> str:
    """At most `limit` characters of the text; when some are left out, the last one is `…`."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"


def shortened(text: str, limit: int) -> str:
    """The text in one visible line of at most `limit` characters."""
    return cut(visible(cut(text, limit + 1)), limit)


def code(text: str, *, limit: int = 300) -> str:
    """The text as one inline code span, cut."""
    shown = shortened(text, limit) or " "
    ticks = "`" * (_longest_run(shown) + 1)
    pad = " " if shown.strip() and (shown[0] in "` " or shown[-1] in "` ") else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def sentence(text: str, *, limit: int = 1000) -> str:
    """A sentence of our own that quotes foreign words in backticks, as Markdown; whole into code when it is not one."""
    parts = shortened(text, limit).split("`")
    ours = parts[::2]
    is_ours = len(parts) % 2 == 1 and all(_OUR_WORDS.fullmatch(part) for part in ours)
    if not is_ours or "://" in text or "www." in text.lower():
        return code(text, limit=limit)
    return "".join(code(part) if at % 2 else part for at, part in enumerate(parts))


def fence(text: str, language: str = "") -> str:
    """The text as a code block, its fence longer than any run of backticks in it; empty for an empty text."""
    shown = visible(text, keep_lines=True).strip("\n")
    if not shown.strip():
        return ""
    ticks = "`" * max(3, _longest_run(shown) + 1)
    return f"{ticks}{language}\n{shown}\n{ticks}"


def size_bytes(text: str) -> int:
    """How many bytes the text takes on the way to GitHub."""
    return len(text) if text.isascii() else len(text.encode())


def fitting(rows: Iterable[str], room_bytes: int) -> list[str]:
    """The first rows that fit into so many bytes, newlines counted; the rest is not even made."""
    shown: list[str] = []
    for row in rows:
        room_bytes -= size_bytes(row) + 1
        if room_bytes < 0:
            break
        shown.append(row)
    return shown


def assembled(parts: Iterable[str], closing: str, *, limit_bytes: int = MAX_BYTES) -> str:
    """The parts and the closing one, a blank line between them, within the limit: whole parts are left out and counted.

    Each part closes what it opens, so whatever is left out, the rest stays what it was.
    """
    there = [part for part in parts if part]
    room = limit_bytes - size_bytes(closing) - _COUNT_BYTES
    shown: list[str] = []
    for part in there:
        if size_bytes(part) + 2 > room:
            break
        room -= size_bytes(part) + 2
        shown.append(part)
    missing = len(there) - len(shown)
    what = "paragraph does" if missing == 1 else "paragraphs do"
    said = f"**{missing:,} more {what} not fit here.**" if missing else ""
    return "\n\n".join(part for part in (*shown, said, closing) if part)


def tail(text: str, limit: int) -> str:
    """The last `limit` characters of the text, where an engine says what went wrong; says how many it left out.

    Visible already, so that it is not longer once it is shown.
    """
    text = text.strip()
    shown = visible(text[-limit:], keep_lines=True)
    if len(shown) > limit:
        shown = shown[-limit:]
    if len(text) <= limit and len(shown) < limit:
        return shown
    return f"… the beginning of {len(text):,} characters is left out\n{shown}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in _TICKS.findall(text)), default=0)


def _is_plain(character: str) -> bool:
    """True for what a reader sees as it is: letters, marks, digits, punctuation, symbols and the ordinary blank."""
    return character == " " or unicodedata.category(character)[0] in "LMNPS"


def _escape(character: str) -> str:
    r"""A character as a programmer writes it: `\n`, `\u202e`, `\U000e0041`."""
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    if short:
        return short
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
