"""Where a repository comes from: what is admitted, how its server is told to git, and what git's refusals mean.

Pure: starts nothing. Keeps the token out of everything but the one setting that git sends it by.
"""

import base64
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from app.core.errors import BrokenError, RetryableError, UserError
from app.core.names import Secret, is_sha

MAX_WANTS: Final = 10_000
"""SHAs and refs in one fetch."""
SMALL_BLOB: Final = "64k"
"""Files below this come with the fetch: Terraform's own are smaller, and to ask for them later costs another trip."""


class NotInRepositoryError(UserError):
    """A commit or ref that the repository does not have."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a repository comes from."""

    repository_id: int
    """GitHub's number: names the mirror, survives renames."""
    url: str
    """https URL without credentials (http on loopback)."""
    token: Secret
    """Installation token with contents: read; an empty one sends no header."""


class DamagedError(Exception):
    """Git could not read the mirror itself; the text is redacted. Stays inside git.py."""


_REF: Final = re.compile(r"refs/(?:heads|tags|pull)/[^\x00-\x20\x7f~^:?*\[\\]{1,1000}")


def check(source: Source, wants: Sequence[str], *, is_file_allowed: bool) -> None:
    """Admit a source and what is wanted of it.

    Raises: BrokenError for another kind of URL; UserError for a want that is neither a full SHA nor a full ref.
    """
    parts = urlsplit(source.url)
    is_admitted = {
        "https": bool(parts.hostname),
        "http": _is_loopback(parts.hostname or ""),
        "file": is_file_allowed,
    }.get(parts.scheme, False)
    if not is_admitted or "@" in parts.netloc or not source.url.isprintable():
        raise BrokenError(f"reading repository {source.repository_id}: its URL is not https without credentials")
    if len(wants) > MAX_WANTS:
        raise BrokenError(f"fetching {source.url}: {len(wants)} wants, more than {MAX_WANTS}")
    for want in wants:
        if not is_sha(want) and _REF.fullmatch(want) is None:
            raise UserError(f"fetching {source.url}: {want[:100]!r} is neither a full SHA nor a full ref")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def remote_settings(source: Source) -> dict[str, str]:
    """The server as configuration of one call: address, partial fetches, and the token for this origin alone."""
    parts = urlsplit(source.url)
    known = {
        "remote.origin.url": source.url,
        "remote.origin.promisor": "true",
        "remote.origin.partialCloneFilter": f"blob:limit={SMALL_BLOB}",
    }
    if source.token and parts.scheme != "file":
        known[f"http.{parts.scheme}://{parts.netloc}/.extraHeader"] = f"Authorization: Basic {_basic(source)}"
    return known


def configured(settings: Mapping[str, str]) -> dict[str, str]:
    """Settings as environment: they stand in no file and in no argument vector."""
    env = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return env


def is_offline(text: str) -> bool:
    """True when git's words mean that network or server did not do their part."""
    return _OFFLINE.search(text) is not None


def _basic(source: Source) -> str:
    return base64.b64encode(f"x-access-token:{source.token.reveal()}".encode()).decode()


def redacted(source: Source, text: str) -> str:
    """What git said, without the token in either of its forms."""
    if source.token:
        text = text.replace(source.token.reveal(), "***").replace(_basic(source), "***")
    return text


_ABSENT: Final = re.compile(r"not our ref|couldn't find remote ref|no such remote ref|unadvertised object")
_UNAUTHENTICATED: Final = re.compile(r"error: 401|Authentication failed|could not read (?:Username|Password)")
_FORBIDDEN: Final = re.compile(r"error: 40[34]|repository '.*' not found|does not appear to be a git repository")
_OFFLINE: Final = re.compile(
    r"error: (?:3\d\d|429|5\d\d)|unable to access|Could not resolve|[Cc]onnection|timed out|too slow|early EOF|hung up|"
    r"RPC failed|disconnect|redirect"
)
_UNWRITABLE_PATH: Final = re.compile(r"invalid path|File name too long")
_NO_ROOM: Final = re.compile(r"No space left|quota exceeded|Read-only file system|Permission denied|Too many open")
_DAMAGED: Final = re.compile(
    r"corrupt|not a git repository|bad (?:object|tree|config|signature)|unable to (?:read|find|parse)|packfile|"
    r"loose object|object file|missing|inflate|invalid (?:sha1 pointer|object)|valid object|File exists|cannot lock|"
    r"could not (?:fetch|parse|read)|unknown index|index file \S+ is too small|not a valid|failed to read"
)


def failure(source: Source, action: str, text: str) -> Exception:
    """What went wrong, told from git's words: which are English under LANG=C.UTF-8, and stable."""
    about = f"{action} {source.url}"
    shown = " ".join(text.split())[-500:] or "git gave no reason"
    if _ABSENT.search(text):
        what = re.search(r"\b[0-9a-f]{40}\b|refs/\S+", text)
        return NotInRepositoryError(f"{about}: {what[0] if what else 'a wanted commit'} is not in the repository")
    if _UNAUTHENTICATED.search(text):
        return RetryableError(f"{about}: the token was refused")
    if _FORBIDDEN.search(text):
        return UserError(f"{about}: there is no such repository, or the App may not read it")
    if _OFFLINE.search(text):
        return RetryableError(f"{about}: {shown}")
    if _UNWRITABLE_PATH.search(text):
        return UserError(f"{about}: {shown}")
    if not _NO_ROOM.search(text) and _DAMAGED.search(text):
        return DamagedError(f"{about}: {shown}")
    return BrokenError(f"{about}: {shown}")
