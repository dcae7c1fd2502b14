"""Bearer tokens: made here, stored as their hash alone, compared in constant time."""

import hashlib
import hmac
import secrets

from app.core.names import Secret


def new_token() -> Secret:
    """256 random bits, fit for URLs and headers."""
    return Secret(secrets.token_urlsafe(32))


def new_code() -> Secret:
    """128 random bits in hex, for a person to copy."""
    return Secret(secrets.token_hex(16))


def hash_token(token: str | Secret) -> str:
    """SHA-256 as 64 hex digits: what is stored of a token. Enough for tokens of 256 bits; never for passwords."""
    text = token.reveal() if isinstance(token, Secret) else token
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def constant_time_equal(one: str | bytes | Secret, other: str | bytes | Secret) -> bool:
    """True when both are the same; the time that it takes tells nothing of where they differ."""
    return hmac.compare_digest(_as_bytes(one), _as_bytes(other))


def _as_bytes(value: str | bytes | Secret) -> bytes:
    text = value.reveal() if isinstance(value, Secret) else value
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
