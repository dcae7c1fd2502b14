"""A check's words as HTML: what is read of them, and what never becomes markup."""

import pytest

from app.core.markdown import code, fence
from app.web.prose import prose

EVIL = "</code></pre><script>alert(1)</script><img src=x onerror=y> [a](javascript:b) ![c](d) <http://e.example>"


def test_paragraphs_code_strong_words_and_lists_are_read() -> None:
    assert prose("**Lost.** Say `/trackside retry`:\n\n- `a`\n- **1. create** `b`") == (
        "<p><strong>Lost.</strong> Say <code>/trackside retry</code>:</p>\n"
        "<ul>\n<li><code>a</code></li>\n<li><strong>1. create</strong> <code>b</code></li>\n</ul>\n"
    )


def test_only_the_ids_of_known_runs_lead_somewhere() -> None:
    said = prose("Waits for run `01JDR0`, not `01JDR1`.", {"01JDR0"})
    assert said == '<p>Waits for run <a href="/runs/01JDR0"><code>01JDR0</code></a>, not <code>01JDR1</code>.</p>\n'


@pytest.mark.parametrize("text", [code(EVIL), fence(EVIL), EVIL, f"# {EVIL}", f"> {EVIL}", f"a\n===\n{EVIL}"])
def test_nothing_foreign_becomes_markup(text: str) -> None:
    shown = prose(text)
    for bad in ("<script", "<img", "<a ", "<h1", "</code></pre><"):
        assert bad not in shown
    assert "&lt;script&gt;" in shown
