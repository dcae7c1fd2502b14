"""Routes of logging in: a code becomes a person's token, the token says whose it is, and ends.

The first is beside GitHub's pages and not below the API's root (`server` leads it here); it answers 200 to errors too.
Source: https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app
"""

import base64
import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import Final
from urllib.parse import parse_qsl

from app.sandbox import shapes
from app.sandbox.api import Answer, Call, Json, route
from app.sandbox.errors import ApiError, not_found
from app.sandbox.records import UserToken

EXCHANGE: Final = "/login/oauth/access_token"
TOKEN_LIFE: Final = timedelta(hours=8)
_REFRESH_LIFE_S: Final = 15_897_600
_SAID: Final = {
    "incorrect_client_credentials": "The client_id and/or client_secret passed are incorrect.",
    "bad_verification_code": "The code passed is incorrect or expired.",
    "redirect_uri_mismatch": "The redirect_uri MUST match the registered callback URL for this application.",
}


@route("POST", EXCHANGE, auth="anyone")
def exchange(call: Call) -> Answer:
    """A person's token for a code, once: with the App's secret, the same redirect_uri and the proof key."""
    if call.request.headers.get("accept") != "application/json":
        raise ApiError(406, "The stand-in answers JSON alone here: ask for application/json")
    fields, world = _fields(call), call.world
    if fields.get("client_id") != world.app.client_id:
        raise not_found()
    if not hmac.compare_digest(str(fields.get("client_secret", "")).encode(), world.app.client_secret.encode()):
        return _refused("incorrect_client_credentials")
    code = world.codes.pop(str(fields.get("code", "")), None)
    if code is None or code.expires_at <= world.now():
        return _refused("bad_verification_code")
    if fields.get("redirect_uri") != code.redirect_uri:
        return _refused("redirect_uri_mismatch")
    if challenge_of(str(fields.get("code_verifier", ""))) != code.challenge:
        return _refused("bad_verification_code")
    value = f"ghu_{secrets.token_urlsafe(27)}"
    world.user_tokens[value] = UserToken(code.user, world.now() + TOKEN_LIFE)
    return Answer(
        {
            "access_token": value,
            "expires_in": int(TOKEN_LIFE.total_seconds()),
            "refresh_token": f"ghr_{secrets.token_urlsafe(57)}",
            "refresh_token_expires_in": _REFRESH_LIFE_S,
            "scope": "",
            "token_type": "bearer",
        }
    )


@route("GET", "/user", auth="anyone")
def get_user(call: Call) -> Answer:
    """Whose token it is."""
    if call.caller.kind != "user":
        raise ApiError(403 if call.caller.kind == "installation" else 401, "Requires authentication")
    return Answer(shapes.user(call.world, call.caller.actor))


@route("POST", "/applications/{client_id}/token", auth="anyone")
def check_token(call: Call) -> Answer:
    """Whose token it is, for the App alone, by its client id and secret."""
    if call.caller.kind != "client" or call.params["client_id"] != call.world.app.client_id:
        raise ApiError(401, "Bad credentials")
    found = call.world.user_tokens.get(str(call.fields.get("access_token", "")))
    if found is None:
        raise not_found()
    return Answer({"user": shapes.user(call.world, found.user), "app": {"client_id": call.world.app.client_id}})


@route("DELETE", "/applications/{client_id}/token", auth="anyone")
def delete_token(call: Call) -> Answer:
    """End a person's token, for the App alone, by its client id and secret."""
    if call.caller.kind != "client" or call.params["client_id"] != call.world.app.client_id:
        raise not_found()
    if call.world.user_tokens.pop(str(call.fields.get("access_token", "")), None) is None:
        raise ApiError(422, "Validation Failed")
    return Answer(None, 204)


def challenge_of(verifier: str) -> str:
    """A proof key's SHA-256 as it goes ahead of it. Source: RFC 7636, S256."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _fields(call: Call) -> Json:
    """The body: JSON, or a form."""
    if call.request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(call.request.body.decode("utf-8", "replace")))
    return call.fields


def _refused(error: str) -> Answer:
    uri = f"/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors/#{error.replace('_', '-')}"
    return Answer({"error": error, "error_description": _SAID[error], "error_uri": uri})
