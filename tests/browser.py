"""A browser in somebody's hands: keeps cookies, goes where it is sent, sends the forms of pages, says its origin.

It knows no script, as the pages need none.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import httpx

FORM = re.compile(r"<form[^>]*>.*?</form>", re.DOTALL)
FIELD = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')
ACTION = re.compile(r'action="([^"]*)"')


@dataclass
class Browser:
    """One browser. `url` is where Trackside is."""

    url: str
    cookies: httpx.Cookies = field(default_factory=httpx.Cookies)

    def get(self, address: str) -> httpx.Response:
        """The page at a path of Trackside's, or anywhere, wherever that leads."""
        return self.send("GET", address, follow_redirects=True)

    def look(self, path: str) -> httpx.Response:
        """The answer at that path, led nowhere."""
        return self.send("GET", path)

    def log_in(self, login: str, back: str = "/") -> httpx.Response:
        """Log in as somebody, by GitHub's page; where that leads to."""
        return self.tell(self.get(f"/login/start?back={back}"), login)

    def tell(self, page: httpx.Response, login: str) -> httpx.Response:
        """Press the button of that person on GitHub's page; with no login, the one that says no."""
        forms = [dict(FIELD.findall(form)) for form in FORM.findall(page.text) if "/login/oauth/authorize" in form]
        (fields,) = (one for one in forms if one.get("login", "") == login)
        return self._send(page, "/login/oauth/authorize", fields)

    def press(self, page: httpx.Response, command: str, **more: str | list[str]) -> httpx.Response:
        """Press the button of a page's form for that command; where it leads to."""
        action, fields = form_of(page.text, command)
        return self._send(page, action, {**fields, **more})

    def _send(self, page: httpx.Response, action: str, fields: Mapping[str, str | list[str]]) -> httpx.Response:
        origin = f"{page.url.scheme}://{page.url.netloc.decode()}"
        headers = {"origin": origin, "sec-fetch-site": "same-origin", "referer": str(page.url)}
        return self.send("POST", f"{origin}{action}", data=dict(fields), headers=headers, follow_redirects=True)

    def send(self, method: str, address: str, **request: Any) -> httpx.Response:
        """One request with the browser's cookies."""
        url = address if urlsplit(address).scheme else f"{self.url}{address}"
        with httpx.Client(cookies=self.cookies, trust_env=False, timeout=30) as client:
            answer = client.request(method, url, **request)
            self.cookies = client.cookies
        return answer


def form_of(text: str, command: str) -> tuple[str, dict[str, str]]:
    """Where the form for that command goes, and its hidden fields."""
    for form in FORM.findall(text):
        action = ACTION.search(form)
        if action is not None and action[1].endswith(f"/{command}") and 'name="part"' not in form:
            return action[1], {name: unescape(value) for name, value in FIELD.findall(form)}
    raise AssertionError(f"no form for {command} on the page")
