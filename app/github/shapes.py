"""Bounded types that payloads and answers are read into: what does not fit never gets past this room.

Nothing here knows an event or a route; the limits are GitHub's where it has some, generous where it has none.
"""

from typing import Annotated, Final

from msgspec import Meta

Number = Annotated[int, Meta(ge=1, le=2**63 - 1)]
"""An identifier of GitHub's: fits a bigint."""
Login = Annotated[str, Meta(max_length=100, pattern=r"\A[A-Za-z0-9_-]+(\[bot\])?\Z")]
"""An account: letters, digits, hyphens, underscores (managed users), `[bot]` for an App's."""
RepositoryName = Annotated[str, Meta(max_length=100, pattern=r"\A(?!\.\.?\Z)[A-Za-z0-9._-]+\Z")]
"""A repository's own name; never `.` or `..`, so that it is safe in a path."""
RefText = Annotated[str, Meta(max_length=1024, pattern=r"\A[^\x00-\x20\x7f]+\Z")]
"""A ref or a branch: whatever git allows, which is neither blanks nor control characters."""
ShaText = Annotated[str, Meta(max_length=40, pattern=r"\A[0-9a-f]{40}\Z")]
"""A full commit SHA."""
Word = Annotated[str, Meta(max_length=100)]
"""A short value that is compared with ours, and shown cut."""

MAX_BODY_CHARS: Final = 65_536
"""GitHub's longest comment."""
MAX_LINE_CHARS: Final = 300


def clean_text(text: str, limit: int = MAX_BODY_CHARS) -> str:
    """The text cut to the limit, without NUL, which PostgreSQL cannot keep."""
    return text[:limit].replace("\0", "\N{REPLACEMENT CHARACTER}")


def first_line(text: str) -> str:
    """The first line that says something, cut, without control characters."""
    for line in text[:MAX_BODY_CHARS].splitlines():
        if line.strip():
            return "".join(char for char in line.strip()[:MAX_LINE_CHARS] if char.isprintable())
    return ""
