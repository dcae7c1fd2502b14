"""Keys that the control plane signs with: for what, and how they are kept. Values only; `vault.signing` makes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.core.names import Secret


class Purpose(StrEnum):
    """What a key signs. A verifier of one kind never accepts the other."""

    OIDC = "oidc"
    """Identity tokens, for clouds: minutes."""
    ATTESTATION = "attestation"
    """What was applied, for auditors: years."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSigningKey:
    """A key pair that was just made."""

    id: str
    """RFC 7638 thumbprint of the public key."""
    public_jwk: Mapping[str, object]
    private: Secret
    """Base64 of PKCS #8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key pair as the store keeps it."""

    id: str
    purpose: Purpose
    public_jwk: Mapping[str, object]
    sealed_private: bytes
    created_at: datetime
    retired_at: datetime | None = None
    """Since when another one signs; None: this one does."""

    @property
    def context(self) -> dict[str, str]:
        """What the sealed private key is bound to."""
        return key_context(self.id, self.purpose)


def key_context(key_id: str, purpose: Purpose) -> dict[str, str]:
    """What a sealed private key is bound to."""
    return {"table": "signing_keys", "key": key_id, "purpose": purpose.value}
