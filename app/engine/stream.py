"""Text on its way out: secrets replaced by value, lines cut to size, output bounded.

Knows nothing of where text comes from or goes to. Everything that an engine prints passes here before it leaves the
worker.
"""

import base64
import codecs
import json
import re
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import quote

MASKED: Final = "***"
MIN_SECRET_CHARS: Final = 4
"""A shorter value is not looked for: it would turn every log into stars and tell what it is."""
MIN_LINE_CHARS: Final = 8
"""A line of a value of several lines is looked for by itself from this length on."""
MAX_LINE_BYTES: Final = 64 * 1024
"""What is kept of one line of output."""
_DECODER: Final = codecs.getincrementaldecoder("utf-8")
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROLS: Final = {number: None for number in (*range(0x20), *range(0x7F, 0xA0)) if number not in (0x09, 0x0A)}


class Redactor:
    """Replaces known values in text, also as JSON, in base64 (also inside something longer), and in URLs."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form for value in values for form in _forms(value) if len(form) >= MIN_SECRET_CHARS}
        self._forms = tuple(sorted(forms, key=lambda form: (-len(form), form)))
        self._pattern = re.compile("|".join(map(re.escape, self._forms)) or r"(?!)")
        self._of_lines = tuple(form for form in self._forms if "\n" in form)

    def text(self, text: str) -> str:
        """A whole text without the values."""
        for form in self._forms:
            if form in text:
                return self._pattern.sub(MASKED, text)
        return text

    def held(self, text: str) -> int:
        """How many characters at the end may be the beginning of a value."""
        forms = self._of_lines if text.endswith("\n") else self._forms
        return max((_begun(form, text) for form in forms), default=0)

    def cut(self, text: str) -> str:
        """A text whose rest is not known, without the values and without what may be the beginning of one."""
        return self.split(text)[0]

    def split(self, text: str) -> tuple[str, str]:
        """What may leave now, without the values, and what has to wait for more."""
        cut = len(text) - self.held(text)
        for match in self._pattern.finditer(text) if cut < len(text) else ():
            if match.start() < cut < match.end():
                cut = match.end()
        return self.text(text[:cut]), text[cut:]


class RedactedStream:
    """Hands text on without the values, also where a value is cut by the border of two chunks."""

    def __init__(self, redactor: Redactor, to: Callable[[str], None]) -> None:
        self._redactor, self._to, self._tail = redactor, to, ""

    def write(self, text: str) -> None:
        """The next chunk; its end is held back while it may be the beginning of a value."""
        out, self._tail = self._redactor.split(self._tail + text)
        if out:
            self._to(out)

    def flush(self) -> None:
        """Nothing follows: hand on what was held back."""
        out, self._tail = self._redactor.text(self._tail), ""
        if out:
            self._to(out)


class Lines:
    """A sink that hands on lines as text, without their ends; a line has a bound, the rest of it is counted.

    `redact_cut`: what may leave of a line that ends at the bound, perhaps in the middle of a secret.
    """

    def __init__(
        self, to: Callable[[str], None], *, max_bytes: int = MAX_LINE_BYTES, redact_cut: Callable[[str], str] = str
    ) -> None:
        self._to, self._max_bytes, self._redact_cut = to, max_bytes, redact_cut
        self._line, self._left_out = bytearray(), 0

    def feed(self, data: bytes) -> None:
        """The next bytes of the stream."""
        *whole, rest = data.split(b"\n")
        for part in whole:
            self._add(part)
            self._end()
        self._add(rest)

    def close(self) -> None:
        """The stream ended: a line without an end is one too."""
        if self._line or self._left_out:
            self._end()

    def _add(self, part: bytes) -> None:
        room = self._max_bytes - len(self._line)
        self._line += part[:room]
        self._left_out += max(0, len(part) - room)

    def _end(self) -> None:
        left_out = self._left_out
        text = _DECODER(errors="replace").decode(self._line, final=not left_out)  # a cut character is not told
        self._line, self._left_out = bytearray(), 0
        self._to(f"{self._redact_cut(text)}… ({left_out} more bytes)" if left_out else text.rstrip("\r"))


class Capture:
    """A sink that keeps what comes, up to a bound."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._parts, self._size = max_bytes, list[bytes](), 0
        self.is_over = False

    def feed(self, data: bytes) -> None:
        """The next bytes; beyond the bound they are dropped and `is_over` is set."""
        self._size += len(data)
        self.is_over = self._size > self._max_bytes
        if not self.is_over:
            self._parts.append(data)

    def close(self) -> None:
        """Nothing follows."""

    def bytes(self) -> bytes:
        """Everything that was kept; held once."""
        self._parts = [b"".join(self._parts)]
        return self._parts[0]


def clean(text: str) -> str:
    """The text without terminal escapes and control characters but tab and line feed."""
    return _ESCAPES.sub("", text).translate(_CONTROLS)


def _begun(form: str, text: str) -> int:
    """How many characters at the end of the text are the beginning of the form, and not all of it."""
    start = max(0, len(text) - len(form) + 1)
    while (start := text.find(form[0], start)) >= 0:
        if form.startswith(text[start:]):
            return len(text) - start
        start += 1
    return 0


def _forms(value: str) -> Iterable[str]:
    """Every way in which the value may be written."""
    if len(value) < MIN_SECRET_CHARS:
        return
    for plain in (value, value.strip()):
        once = json.dumps(plain)[1:-1]
        loose = json.dumps(plain, ensure_ascii=False)[1:-1]
        go = once.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        yield from (plain, once, loose, go, json.dumps(once)[1:-1], json.dumps(loose)[1:-1], quote(plain, safe=""))
        if len(plain.encode("utf-8", "surrogateescape")) >= MIN_LINE_CHARS:
            yield from _base64(plain.encode("utf-8", "surrogateescape"))
    if "\n" in value.strip():
        for line in value.splitlines():
            if len(line.strip()) >= MIN_LINE_CHARS:
                yield from (line.strip(), json.dumps(line.strip())[1:-1])


def _base64(value: bytes) -> Iterable[str]:
    """What of the value's base64 is the same whatever stands before and after it, at each of three alignments."""
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + value).decode()
        stable = coded[(0, 2, 3)[shift] : (len(value) + shift) * 8 // 6]
        if len(stable) >= MIN_LINE_CHARS:
            yield stable
            yield stable.translate(str.maketrans("+/", "-_"))
    yield base64.b64encode(value).decode()
