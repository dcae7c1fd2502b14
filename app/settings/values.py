"""The forms of values: each turns a variable's text into what the settings hold, or says what is wrong and the way out.

Raises ValueError alone; no message ever holds the value, since it may be a secret.
"""

import base64
import binascii
import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from app.core.host import is_loopback
from app.core.names import Secret
from app.core.notice import is_fit_address, is_slack_channel

MIN_SECRET_CHARS: Final = 16


def as_secret(value: object) -> object:
    """A secret, without blanks around it."""
    return Secret(value.strip()) if isinstance(value, str) else value


def as_long_secret(value: object) -> object:
    """A secret of at least MIN_SECRET_CHARS."""
    if isinstance(value, str) and 0 < len(value.strip()) < MIN_SECRET_CHARS:
        raise ValueError(f"is shorter than {MIN_SECRET_CHARS} characters; make one with `openssl rand -hex 32`")
    return as_secret(value)


def as_pem(value: object) -> object:
    r"""A PEM private key; `\n` may stand for a line break."""
    if not isinstance(value, str):
        return value
    text = value.replace("\\n", "\n").strip() + "\n"
    if "PRIVATE KEY-----" not in text:
        raise ValueError("is not a PEM private key; download one from the App's settings page on GitHub")
    return Secret(text)


def as_key(value: object) -> object:
    """Base64 of 32 bytes each, with commas between."""
    for part in value.split(",") if isinstance(value, str) and value else ():
        try:
            size = len(base64.b64decode(part.strip(), validate=True))
        except binascii.Error:
            size = 0
        if size != 32:
            raise ValueError("is not base64 of 32 bytes; make one with `openssl rand -base64 32`")
    return as_secret(value)


def as_database(value: object) -> object:
    """A PostgreSQL address, which may hold a password."""
    if isinstance(value, str) and value and not value.startswith(("postgresql://", "postgres://")):
        raise ValueError(
            "is not a PostgreSQL address; give postgresql://user:password@host:5432/name, or leave it empty"
        )
    return as_secret(value)


def _split_url(value: str) -> tuple[str, str]:
    """Scheme and host of an http(s) URL. Raises: ValueError with the way out."""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(f"is not a URL ({error}); give one like https://host") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("is not an http(s) URL; give one like https://host")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must have no user name, query or fragment; give one like https://host")
    return parts.scheme, host


def as_url(value: object) -> object:
    """An http(s) URL without a slash at its end."""
    if isinstance(value, str) and value:
        _split_url(value)
        return value.rstrip("/")
    return value


def as_origin(value: object) -> object:
    """An http(s) URL without a path."""
    if isinstance(value, str) and value:
        _split_url(value)
        if urlsplit(value).path not in ("", "/"):
            raise ValueError("must have no path: Trackside answers at the root of its host; give one like https://host")
        return value.rstrip("/")
    return value


def as_control(value: object) -> object:
    """The address of the control plane: https, or http on this machine."""
    value = as_origin(value)
    if isinstance(value, str) and value:
        scheme, host = _split_url(value)
        if scheme == "http" and not is_loopback(host):
            raise ValueError("sends tokens in clear to another machine; give an https:// address")
    return value


def as_mirror(value: object) -> object:
    """A network mirror of providers: engines take no other scheme than https."""
    value = as_url(value)
    if isinstance(value, str) and value.startswith("http:"):
        raise ValueError("is not an https:// address, and terraform and tofu take no other; give https://host/path")
    return value


def as_opa(value: object) -> object:
    """The address of an OPA: http(s), or a unix socket; a token goes in the clear on this machine alone."""
    if not isinstance(value, str) or not value:
        return value
    if value.startswith("unix:///"):
        return value
    scheme, host = _split_url(value)
    if scheme == "http" and not is_loopback(host):
        raise ValueError("sends policies in clear to another machine; give an https:// address, or unix:///path")
    return value.rstrip("/")


_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")


def as_artifacts(value: object) -> object:
    """A file:// URL of a folder, or s3://bucket/prefix."""
    if not isinstance(value, str) or not value:
        return value
    parts = urlsplit(value)
    if parts.scheme == "s3":
        prefix = parts.path.strip("/")
        if parts.query or parts.fragment or not _BUCKET.fullmatch(parts.netloc):
            raise ValueError("names no S3 bucket; give s3://bucket or s3://bucket/prefix")
        if prefix and (len(prefix) > 300 or not _PREFIX.fullmatch(prefix)):
            raise ValueError("has a prefix that is not made of letters, digits, `-`, `_`, `.` and `/`; give another")
        return value
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not unquote(parts.path).startswith("/"):
        raise ValueError("is no folder and no bucket; give file:///absolute/path or s3://bucket/prefix")
    return value


def as_encrypted(value: object) -> object:
    """An https address, or an http one on this machine."""
    value = as_url(value)
    if isinstance(value, str) and value:
        scheme, host = _split_url(value)
        if scheme == "http" and not is_loopback(host):
            raise ValueError("would be spoken to in clear on another machine; give an https:// address")
    return value


_KMS_KEY = re.compile(r"[A-Za-z0-9:/_-]{1,2048}")
MAX_KMS_KEYS: Final = 16


def as_kms_keys(value: object) -> object:
    """KMS key ids, ARNs or aliases, each once."""
    if not isinstance(value, str):
        return value
    names = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
    if len(names) > MAX_KMS_KEYS or not all(_KMS_KEY.fullmatch(name) for name in names):
        raise ValueError(f"is not 1 to {MAX_KMS_KEYS} KMS keys with commas between; give ARNs, ids or alias/names")
    return names


_LOGIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,99})")


def as_accounts(value: object) -> object:
    """Logins in lower case, each once."""
    if not isinstance(value, str):
        return value
    names = [name.strip().lower() for name in value.split(",") if name.strip()]
    bad = [name for name in names if not _LOGIN.fullmatch(name)]
    if bad:
        raise ValueError(f"names `{bad[0][:50]}`, which is no account name; give logins with commas between")
    return tuple(dict.fromkeys(names))


MAX_SLACK = 50


def as_slack(value: object) -> object:
    """Channel of Slack to the address of its incoming webhook; the empty one has those without their own, and one that
    begins with `ACCOUNT/` is that account's alone. A text of a message never holds an address: its path is what Slack
    knows the sender by."""
    if not isinstance(value, str):
        return value
    found: dict[str, Secret] = {}
    for place, entry in enumerate([part.strip() for part in value.split(",") if part.strip()], start=1):
        key, equals, url = entry.partition("=")
        if not equals or ":" in key:
            key, url = "", entry
        account, slash, channel = key.rpartition("/")
        if slash and not _LOGIN.fullmatch(account):
            raise ValueError(f"entry {place} names no account; give acme/=https://…, or acme/C0123456789=https://…")
        if channel and not is_slack_channel(channel):
            raise ValueError(f"entry {place} names no channel by its id; give https://…, or C0123456789=https://…")
        channel = f"{account.lower()}{slash}{channel}"
        if not is_fit_address(url):
            raise ValueError(f"entry {place} is no https:// address; copy it from Slack's page of incoming webhooks")
        if channel in found:
            raise ValueError(f"has two addresses for {channel or 'channels without their own'}; keep one")
        found[channel] = Secret(url)
    if len(found) > MAX_SLACK:
        raise ValueError(f"has more than {MAX_SLACK} addresses; keep those that policies name")
    return found


POOL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
WORKER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def as_tokens(value: object) -> object:
    """Pool to its live tokens. A text of a message never holds a token."""
    if not isinstance(value, str):
        return value
    pools: dict[str, tuple[Secret, ...]] = {}
    for place, entry in enumerate([part.strip() for part in value.split(",") if part.strip()], start=1):
        pool, equals, token = entry.partition("=")
        if not equals or not POOL_NAME.fullmatch(pool):
            raise ValueError(f"entry {place} is not pool=token with a pool of lower-case letters, digits, `-` and `_`")
        if len(token) < MIN_SECRET_CHARS:
            raise ValueError(
                f"entry {place} has a token under {MIN_SECRET_CHARS} characters; use `openssl rand -hex 32`"
            )
        pools[pool] = (*pools.get(pool, ()), Secret(token))
        if len(pools[pool]) > 2:
            raise ValueError(f"has more than two tokens for pool {pool}; keep the new one and the one before it")
    tokens = [token.reveal() for group in pools.values() for token in group]
    if len(set(tokens)) < len(tokens):
        raise ValueError("has one token twice: a token must name one pool; make another with `openssl rand -hex 32`")
    return pools


def as_paths(value: object) -> tuple[Path, ...]:
    """Paths with colons between."""
    if isinstance(value, tuple):
        return value
    return tuple(Path(part.strip()) for part in str(value).split(":") if part.strip())
