"""Somebody's browser, without scripts: keeps cookies, fills in forms, follows redirects, and obeys what pages say.

A form goes only where its page's content policy lets it go, and brings the Origin that its referrer policy leaves.
"""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx


@dataclass(slots=True)
class Form:
    """One form of a page."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)


class _Reader(HTMLParser):
    """Forms, links and words of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.words: list[str] = []
        self._link = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given.get("action", ""), given.get("method", "get")))
        elif tag == "input" and self.forms and "name" in given:
            if given.get("type") != "radio" or "checked" in given:
                self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag == "a":
            self._link = given.get("href", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._link = ""

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data.strip())
            if self._link:
                self.links[data.strip()] = self._link


class Browser:
    """A browser with one tab."""

    def __init__(self) -> None:
        self._client = httpx.Client(trust_env=False, follow_redirects=False)
        self.page = httpx.Response(204)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def words(self) -> str:
        """What the page says."""
        return " ".join(self._read().words)

    def open(self, url: str) -> httpx.Response:
        """Go to an address, wherever it leads."""
        return self._go("GET", url)

    def click(self, label: str) -> httpx.Response:
        """Follow the link with those words in it."""
        (target,) = {href for words, href in self._read().links.items() if label in words}
        return self.open(urljoin(str(self.page.url), target))

    def send(self, at: int = -1, **fields: str) -> httpx.Response:
        """Fill in a form of the page and send it: `at` is its place among the forms."""
        form, url = self._read().forms[at], str(self.page.url)
        target = urljoin(url, form.action)
        assert self._may_send(target), f"the page's content policy keeps a form from {target}"
        headers = {"origin": "null" if self.page.headers.get("referrer-policy") == "no-referrer" else _origin(url)}
        return self._go(form.method.upper(), target, {**form.fields, **fields}, headers)

    def _may_send(self, target: str) -> bool:
        policy = re.search(r"form-action ([^;]+)", self.page.headers.get("content-security-policy", ""))
        places = policy[1].split() if policy else ["*"]
        own = _origin(str(self.page.url))
        return any(
            place in ("*", _origin(target)) or (place == "'self'" and own == _origin(target)) for place in places
        )

    def _go(
        self, method: str, url: str, data: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        answer = self._client.request(method, url, data=data, headers=headers)
        while answer.has_redirect_location:
            target = urljoin(str(answer.url), answer.headers["location"])
            assert method == "GET" or self._may_send(target), (
                f"the content policy keeps a form's redirect from {target}"
            )
            answer = self._client.get(target)
        self.page = answer
        return answer

    def _read(self) -> _Reader:
        reader = _Reader()
        reader.feed(self.page.text)
        return reader


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
