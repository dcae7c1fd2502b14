"""What a check run says, as HTML: the pages say it in the same words, from the same module.

The Markdown is `app.core.report_check`'s, whose foreign words are all in code. What it has no need of (HTML, images,
links, headings) is not read at all, so that nothing foreign could become any of these.
"""

from collections.abc import Collection, Sequence
from html import escape
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

_RULES: Final = ["fence", "list", "newline", "backticks", "emphasis"]
_RUNS: Final = "runs"


def prose(markdown: str, run_ids: Collection[str] = ()) -> Markup:
    """The Markdown as HTML. A code span that is one of these runs' ids leads to its page."""
    return Markup(_PARSER.render(markdown, {_RUNS: frozenset(run_ids)}))  # noqa: S704  # the renderer escapes all text


class _Renderer(RendererHTML):
    """Code spans that are ids of runs lead to their pages."""

    def code_inline(self, tokens: Sequence[Token], idx: int, _options: OptionsDict, env: EnvType) -> str:
        text = tokens[idx].content
        shown = f"<code>{escape(text)}</code>"
        return f'<a href="/runs/{escape(text)}">{shown}</a>' if text in env[_RUNS] else shown


def _parser() -> MarkdownIt:
    return MarkdownIt("zero", renderer_cls=_Renderer).enable(_RULES)


_PARSER: Final = _parser()
