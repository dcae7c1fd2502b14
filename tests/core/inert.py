"""What every text on GitHub is held against: within its limits, and nothing foreign in it does anything."""

import re

from hypothesis import strategies as st
from markdown_it import MarkdownIt

from app.core.markdown import MAX_BYTES
from app.core.names import Sha
from app.core.place import repository_path
from app.core.plan import Action, Attribute, Block, Change, Counts, Delta, Kind, ModuleCounts, PlanSummary, Remark
from app.core.reply import MAX_ANNOTATIONS, CheckReport

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
    assert len(report.annotations) <= MAX_ANNOTATIONS
    for one in report.annotations:
        assert repository_path(one.path) == one.path
        assert 1 <= one.line <= max(one.end_line, one.line)
        assert len(one.title) <= 255
        assert one.title.isprintable()
        assert len(one.message.encode()) < 64_000
        assert not _UNSEEN.search(one.message)


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


SHA = Sha("a" * 40)


def seen(report: CheckReport) -> tuple[str, str, str]:
    """Status, conclusion and title."""
    return report.status.value, report.conclusion.value if report.conclusion else "", report.title


HOSTILE = "``` @alice #1 <script>alert(1)</script> ![x](http://e.example/i.png) [l](javascript:x) \u202e\x00\x1b[31m |\n# h\n```"  # noqa: E501 - a sentence as it is said
WORDS = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="`~@#<>![]()*_|\\\n\r\t \u202e\u200b\ud800-:/ab1", max_size=60),
    st.just(HOSTILE),
)
LINES = st.lists(st.builds(str.__add__, st.sampled_from(["+", "-", " ", "@", "…", ""]), WORDS), max_size=4).map(tuple)
ATTRIBUTES = st.builds(
    Attribute,
    name=WORDS,
    before=st.none() | WORDS,
    after=st.none() | WORDS,
    forces_replacement=st.booleans(),
    lines=st.just(()) | LINES,
    lines_left_out=st.integers(0, 9),
)
CHANGES = st.builds(
    Change,
    number=st.integers(1, 9),
    kind=st.sampled_from(Kind),
    action=st.sampled_from(Action),
    address=WORDS,
    previous_address=WORDS,
    import_id=WORDS,
    reason=WORDS,
    attributes=st.lists(ATTRIBUTES, max_size=3).map(tuple),
    attributes_left_out=st.integers(0, 9),
    hidden=st.integers(0, 2),
)
COUNTS = st.builds(Counts, create=st.integers(0, 9), replace=st.integers(0, 40), delete=st.integers(0, 9))
REMARKS = st.builds(
    Remark,
    is_error=st.booleans(),
    summary=WORDS,
    detail=WORDS,
    address=WORDS,
    path=WORDS | st.just("infra/main.tf"),
    line=st.integers(-1, 9),
)
BLOCKS = st.builds(
    Block,
    address=WORDS,
    path=WORDS | st.just("infra/main.tf"),
    start_line=st.integers(-1, 9),
    end_line=st.integers(-1, 9),
)
SUMMARIES = st.builds(
    PlanSummary,
    delta=st.builds(Delta, resources=COUNTS, outputs=COUNTS),
    changes=st.lists(CHANGES, max_size=4).map(tuple),
    changes_left_out=st.integers(0, 9),
    modules=st.lists(st.builds(ModuleCounts, module=WORDS, counts=COUNTS), max_size=3).map(tuple),
    modules_left_out=st.integers(0, 2),
    blocks=st.lists(BLOCKS, max_size=3).map(tuple),
    remarks=st.lists(REMARKS, max_size=2).map(tuple),
    remarks_left_out=st.integers(0, 2),
)
