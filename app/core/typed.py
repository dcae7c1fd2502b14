"""What a person typed, as it was meant: the plain lines of a comment, and its words.

Pure. Markdown is parsed first, so that a quote, code or a hidden remark is no line. Telephones and word processors put
capitals, long dashes and blanks that do not break where somebody typed a word, `--` and a blank.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from functools import cache
from string import ascii_lowercase, ascii_uppercase
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

BLANKS: Final = " \t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""What parts words: also the blanks that keep words on one line."""
_BLANKS = re.compile(f"[{BLANKS}]+")
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_LONG_OPTION = re.compile(f"[-{_DASHES}]*[{_DASHES}][-{_DASHES}]*(?=[A-Za-z])")
_AS_HYPHEN: Final = str.maketrans(dict.fromkeys(_DASHES, "-"))
_AS_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)
_MARKED = frozenset({"em_open", "em_close", "strong_open", "strong_close", "s_open", "s_close", "text_special"})


def lowered(text: str) -> str:
    """The text with the capitals of A to Z made small, and no others: the sign for Kelvin is no k."""
    return text.translate(_AS_LOWER)


def words_of(text: str) -> list[str]:
    """The words between blanks of any kind."""
    return [word for word in _BLANKS.split(text) if word]


def plain_word(word: str) -> str:
    """A word with plain dashes: those in front are an option's two, in small letters; each other is a hyphen."""
    start = _LONG_OPTION.match(word)
    plain = (f"--{word[start.end() :]}" if start else word).translate(_AS_HYPHEN)
    return lowered(plain) if plain.startswith("--") else plain


@cache
def _markdown() -> MarkdownIt:
    """GitHub's dialect where it matters here. Escaped characters stay apart: an escaped prefix does not fire."""
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).disable("text_join")


def plain_lines(body: str) -> Iterator[str]:
    """The lines of top-level paragraphs that begin with plain text, their marks of emphasis and code taken off."""
    tokens = _markdown().parse(body)
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "paragraph_open" and opening.level == 0:
            yield from _lines_of(inline.children or [])


def _lines_of(children: Sequence[Token]) -> Iterator[str]:
    """The lines of one paragraph; one that begins with anything but plain text is left out."""
    line: list[str] = []
    is_plain = True
    for token in children:
        if token.type in ("softbreak", "hardbreak"):
            if is_plain:
                yield "".join(line).strip(" \t")
            line, is_plain = [], True
            continue
        if not line and token.type != "text":
            is_plain = False
        line.append(_text_of(token))
    if is_plain:
        yield "".join(line).strip(" \t")


def _text_of(token: Token) -> str:
    """What one inline token adds to its line; a remark in HTML adds nothing."""
    if token.type in ("text", "code_inline"):
        return token.content
    if token.type == "html_inline":
        return "" if token.content.startswith("<!--") else token.content
    return token.markup if token.type in _MARKED else ""
