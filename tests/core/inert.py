"""What every text on GitHub is held against: within its limits, and nothing foreign in it does anything."""

import re

from markdown_it import MarkdownIt

from app.core.markdown import MAX_BYTES
from app.core.reply import CheckReport

_PARSER = MarkdownIt("gfm-like", {"linkify": False}).enable("table")
_OWN = re.compile(r"https://(trackside\.example/runs/|github\.com/acme/)")
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u00ad\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]")
_ACTIVE = re.compile(r"@\w|#\d|GH-\d|://|www\.|`|<|\b\w+@\w|\b[0-9a-f]{40}\b")


def assert_inert(report: CheckReport) -> None:
    """Within GitHub's limits; as GitHub reads it, nothing foreign stands outside code."""
    assert report.title.isprintable()
    assert len(report.title) <= 255
    for markdown in (report.summary, report.text):
        assert_markdown_inert(markdown)


def assert_markdown_inert(markdown: str, *, limit_bytes: int = MAX_BYTES) -> None:
    """Nothing foreign in it is more than text in code; every fence is closed."""
    assert len(markdown) <= limit_bytes
    assert len(markdown.encode()) <= limit_bytes
    assert not _UNSEEN.search(markdown)
    tokens = _PARSER.parse(markdown)
    for token in [*tokens, *(child for block in tokens for child in block.children or ())]:
        assert token.type not in ("html_block", "html_inline", "image", "blockquote_open", "hr", "code_block")
        if token.type == "text":
            assert not _ACTIVE.search(token.content), token.content
        if token.type == "link_open":
            assert _OWN.match(str(token.attrs["href"]))
        if token.type == "fence":
            assert token.content.strip()
            closing = markdown.splitlines()[token.map[1] - 1] if token.map else ""
            assert closing.strip() == token.markup
