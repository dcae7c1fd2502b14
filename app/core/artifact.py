"""Artifacts as flows and doors speak of them: what is stored, and where a worker may bring or fetch one by itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.core.names import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One artifact that is there."""

    key: str
    size_bytes: int
    stored_at: datetime
    """Aware UTC."""
    sha256: str = ""
    """In hex, where the store vouches for it; else empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One request that may be made without further credentials, for a short while."""

    url: Secret
    """Whoever has it may do this one thing: it is never logged."""
    headers: Mapping[str, str]
    """To be sent exactly so: they are part of the signature."""
