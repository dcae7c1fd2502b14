"""What GitHub's unhappy answers mean to us: status, headers and message in, one of our exceptions out. Pure.

Source: https://docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from app.core.errors import RetryableError, TracksideError, UserError
from app.github.shapes import MAX_LINE_CHARS, first_line

LIMIT_WAIT_S: Final = 60.0
"""How long to wait at a limit that does not say. Source: https://docs.github.com/rest/guides/best-practices-for-using-the-rest-api"""
MAX_WAIT_S: Final = 3600.0
"""The longest wait that is believed: limits are counted by the hour."""
_LIMITED: Final = frozenset({403, 429})
_LATER: Final = frozenset({408, 425})
_SERVER: Final = 500
_UNAUTHORISED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_PERMISSIONS: Final = re.compile(r"\A[a-z_]+=[a-z]+(?:[,;] ?[a-z_]+=[a-z]+)*\Z")


class NotFoundError(UserError):
    """404: it is not there, or the App may not see it. `find_x` turns it into None."""


class UnauthorisedError(RetryableError):
    """401: the credentials are not (any longer) good. Tried once more with new ones by who holds them."""


class LimitedError(RetryableError):
    """403 or 429: a limit of GitHub's is reached; `retry_after_s` is for how long."""


class NotAccessibleError(UserError):
    """403: the installation lacks a permission, which the text names."""


class _FieldError(msgspec.Struct, frozen=True):
    resource: str | None = None
    field: str | None = None
    code: str | None = None
    message: str | None = None

    def words(self) -> str:
        place = ".".join(part for part in (self.resource, self.field) if part)
        return " ".join(part for part in (place, self.message or self.code) if part)


class _ErrorBody(msgspec.Struct, frozen=True):
    message: str | None = None
    errors: list[_FieldError | str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An answer that is no success."""

    doing: str
    """The action under way and its object."""
    needs: str
    """The permission that the call takes: `checks: write`."""
    status: int
    headers: Mapping[str, str]
    """Lower-case names, or any mapping that ignores case."""
    body: bytes
    now_s: float
    """Unix time."""


def to_error(refusal: Refusal) -> TracksideError:
    """The exception that the refusal is: its kind says whether to try again, its text what GitHub said."""
    status, said = refusal.status, _said(refusal.body)
    wait_s = _wait_s(refusal, said)
    if status >= _SERVER or status in _LATER:
        return RetryableError(f"{refusal.doing}: GitHub answered {status}: {said}", retry_after_s=wait_s)
    if wait_s is not None:
        return LimitedError(f"{refusal.doing}: GitHub's limit is reached ({status}): {said}", retry_after_s=wait_s)
    if status == _UNAUTHORISED:
        return UnauthorisedError(f"{refusal.doing}: GitHub refused the App's credentials (401): {said}")
    if status == _FORBIDDEN and "not accessible by integration" in said:
        return NotAccessibleError(
            f"{refusal.doing}: the App's installation lacks the permission {_lacking(refusal)}; "
            "an owner of the account grants it on the installation's page"
        )
    if status == _NOT_FOUND:
        return NotFoundError(f"{refusal.doing}: not found on GitHub, or not visible to the App")
    return UserError(f"{refusal.doing}: GitHub refused it ({status}): {said}")


def _wait_s(refusal: Refusal, said: str) -> float | None:
    """Seconds to wait when the refusal is a limit, or a server's word when to come back; None otherwise."""
    told = _seconds(refusal.headers.get("retry-after"))
    if refusal.status not in _LIMITED:
        return told if refusal.status >= _SERVER else None
    if told is not None:
        return told
    if refusal.headers.get("x-ratelimit-remaining") == "0":
        reset_s = _seconds(refusal.headers.get("x-ratelimit-reset"), most=None)
        return LIMIT_WAIT_S if reset_s is None else min(max(reset_s - refusal.now_s, 1.0), MAX_WAIT_S)
    is_limit = refusal.status != _FORBIDDEN or "retry-after" in refusal.headers or "rate limit" in said.lower()
    return LIMIT_WAIT_S if is_limit else None


def _seconds(text: str | None, *, most: float | None = MAX_WAIT_S) -> float | None:
    if text is None or not re.fullmatch(r"[0-9]{1,12}", text):
        return None
    return max(float(text), 1.0) if most is None else min(max(float(text), 1.0), most)


def _lacking(refusal: Refusal) -> str:
    """As GitHub names it in the answer, else what the call is known to take."""
    accepted = refusal.headers.get("x-accepted-github-permissions", "")
    if len(accepted) <= MAX_LINE_CHARS and _PERMISSIONS.fullmatch(accepted):
        return accepted.replace("=", ": ").replace(";", " or")
    return refusal.needs or "that this call takes"


def _said(body: bytes) -> str:
    """GitHub's message and field errors, cut, in one line; nothing else of the body."""
    try:
        answer = msgspec.json.decode(body, type=_ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "no readable message"
    parts = [answer.message or "no message"]
    parts += [one if isinstance(one, str) else one.words() for one in (answer.errors or [])[:10]]
    return first_line("; ".join(" ".join(part.split()) for part in parts if part)) or "no message"
