"""Markdown as GitHub shows it: tables, task lists, coloured diffs, a short list of HTML; everything else is dropped.

Knows nothing of the sandbox. Source: https://github.github.com/gfm/#disallowed-raw-html-extension-
"""

import html
import re
from collections.abc import Sequence
from functools import lru_cache
from html.parser import HTMLParser
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

_TAGS: Final = frozenset(
    re.findall(
        r"\w+",
        "a b blockquote br code dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i img ins kbd li ol p picture pre q s "
        "samp span strike strong sub summary sup table tbody td tfoot th thead tr tt ul var",
    )
)
_EMPTY: Final = frozenset({"br", "hr", "img"})
_DROPPED: Final = frozenset(
    {"script", "style", "title", "textarea", "iframe", "noembed", "noframes", "xmp", "plaintext"}
)
_ATTRIBUTES: Final = {
    "a": {"href", "title"},
    "img": {"src", "alt", "title", "width", "height"},
    "details": {"open"},
    "td": {"align", "colspan", "rowspan"},
    "th": {"align", "colspan", "rowspan"},
    "ol": {"start"},
    "div": {"align"},
    "p": {"align"},
}
_OUR_CLASSES: Final = re.compile(r"language-[\w+-]+|diff-(?:add|del|hunk|note)")
_TASK: Final = re.compile(r"\[([ xX])\]\s+")
_LINK: Final = re.compile(r"(?:https?://|mailto:|/(?!/)|#)", re.IGNORECASE)


class _Sanitizer(HTMLParser):
    """Writes again what is allowed, and closes what was left open."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self._open: list[str] = []
        self._dropping = 0
        self._item_starts = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._dropping += tag in _DROPPED
        if self._dropping or tag not in _TAGS:
            return
        self._item_starts = tag == "li" or (tag == "p" and self._item_starts)
        self.out.append(f"<{tag}{''.join(_attribute(tag, *pair) for pair in attrs)}>")
        if tag not in _EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in _DROPPED:
            self._dropping = max(0, self._dropping - 1)
        elif not self._dropping and tag in self._open:
            while (last := self._open.pop()) != tag:
                self.out.append(f"</{last}>")
            self.out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if self._dropping:
            return
        task = _TASK.match(data) if self._item_starts else None
        if task:
            ticked = "" if task[1] == " " else " checked"
            self.out.append(f'<input type="checkbox" disabled{ticked}> ')
            data = data[task.end() :]
        self._item_starts = self._item_starts and not data.strip()
        self.out.append(html.escape(data))

    def finish(self) -> str:
        """The whole text, balanced."""
        self.close()
        return "".join(self.out + [f"</{tag}>" for tag in reversed(self._open)])


def _attribute(tag: str, name: str, value: str | None) -> str:
    if name == "class" and value and _OUR_CLASSES.fullmatch(value):
        return f' class="{value}"'
    if (
        name == "style"
        and tag in {"td", "th"}
        and value in {"text-align:left", "text-align:right", "text-align:center"}
    ):
        return f' class="{value.replace(":", "-")}"'
    if name not in _ATTRIBUTES.get(tag, ()):
        return ""
    if name in {"href", "src"} and not _LINK.match(value or ""):
        return ""
    extra = ' rel="nofollow noopener"' if name == "href" else ""
    return f' {name}="{html.escape(value or "")}"{extra}'


def _fence(_self: RendererHTML, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: EnvType) -> str:
    """A fenced block; `diff` gets its lines coloured, as GitHub does."""
    token = tokens[index]
    language = token.info.strip().partition(" ")[0].lower()
    if language != "diff":
        name = re.sub(r"[^\w+-]", "", language)
        opening = f'<pre><code class="language-{name}">' if name else "<pre><code>"
        return f"{opening}{html.escape(token.content)}</code></pre>\n"
    kinds = {"+": "add", "-": "del", "@": "hunk", "!": "note", "#": "note"}
    lines = []
    for line in token.content.splitlines():
        kind = kinds.get(line[:1])
        text = html.escape(line) or " "
        lines.append(f'<span class="diff-{kind}">{text}</span>' if kind else f"<span>{text}</span>")
    return '<pre><code class="language-diff">{}</code></pre>\n'.format("\n".join(lines))


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True, "breaks": False}).enable(["table", "strikethrough"])
    parser.add_render_rule("fence", _fence)
    return parser


def render(text: str | None) -> Markup:
    """HTML that is safe to show, whatever the text says."""
    sanitizer = _Sanitizer()
    sanitizer.feed(_parser().render(text or ""))
    return Markup(sanitizer.finish())  # noqa: S704 - the sanitizer has escaped every text and chosen every tag
