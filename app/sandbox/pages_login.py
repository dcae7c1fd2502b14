"""The page on which a person tells GitHub that the App may know who they are; here one also chooses who that is.

Stricter than GitHub, which lets state and proof key be left out: whoever logs people in without them is told.
"""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode, urlsplit

from starlette.responses import RedirectResponse, Response

from app.sandbox.errors import SandboxError
from app.sandbox.pages import POLICY, View
from app.sandbox.records import LoginCode
from app.sandbox.world import App

CODE_LIFE: Final = timedelta(minutes=10)
_ASKED: Final = ("client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method")


def authorize(view: View) -> Response:
    """Who is it? One button for each person, and one to say no."""
    asked, app = _asked(view.query), view.world.app
    if asked["client_id"] != app.client_id:
        raise SandboxError("there is no App with that client id")
    if not app.callback_urls:
        raise SandboxError("the App has no callback URL")
    if not _is_callback(app, asked["redirect_uri"]):
        return _back(app.callback_urls[0], {"error": "redirect_uri_mismatch", "state": asked["state"]})
    page = view.page("authorize.html", title=f"Log in to {app.name}", asked=asked, host=_origin(asked["redirect_uri"]))
    page.headers["Content-Security-Policy"] = POLICY.replace(
        "'self'; base", f"'self' {_origin(asked['redirect_uri'])}; base"
    )
    return page


def decide(view: View) -> Response:
    """Back to the App, with a code or with a no."""
    asked, world = _asked(view.form), view.world
    if asked["client_id"] != world.app.client_id or not _is_callback(world.app, asked["redirect_uri"]):
        raise SandboxError("the redirect_uri is not one of the App's callback URLs")
    if not view.form.get("login"):
        return _back(asked["redirect_uri"], {"error": "access_denied", "state": asked["state"]})
    code = secrets.token_hex(10)
    user, ends = world.user(view.form["login"]), world.now() + CODE_LIFE
    world.codes[code] = LoginCode(user, asked["redirect_uri"], asked["code_challenge"], ends)
    return _back(asked["redirect_uri"], {"code": code, "state": asked["state"]})


def _asked(given: Mapping[str, str], /) -> dict[str, str]:
    """What the App asks with. Raises: SandboxError for what GitHub would not take, or no App should leave out."""
    asked = {name: given.get(name, "") for name in _ASKED}
    missing = [name for name, value in asked.items() if not value]
    if missing:
        raise SandboxError(f"a login without {', '.join(missing)}")
    if asked["code_challenge_method"] != "S256":
        raise SandboxError("the proof key's method is not S256")
    return asked


def _is_callback(app: App, uri: str) -> bool:
    """True for a callback URL of the App, or a path below one."""
    return any(uri == one or uri.startswith(f"{one.rstrip('/')}/") for one in app.callback_urls)


def _origin(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"


def _back(uri: str, answer: Mapping[str, str]) -> Response:
    return RedirectResponse(f"{uri}?{urlencode(answer)}", 303)
