"""Says whether data was signed by one of the keys that the operator trusts: OpenPGP, by Sequoia.

Knows keys and signatures, nothing of what is signed. Whatever cannot be read, is revoked or too weak is no signature.
"""

from pathlib import Path
from typing import Final

from app.core.errors import UserError

MAX_KEYRING_BYTES: Final = 4 * 1024 * 1024
MAX_SIGNATURE_BYTES: Final = 64 * 1024
MAX_KEYS: Final = 100


class SigningKeys:
    """The public keys of a keyring file, which is read once."""

    def __init__(self, path: Path) -> None:
        """Raises: UserError when the file cannot be read or holds no public keys."""
        from pysequoia import Cert

        action = f"reading TOOLS_KEYRING {path}"
        try:
            with path.open("rb") as file:
                content = file.read(MAX_KEYRING_BYTES + 1)
        except OSError as error:
            raise UserError(f"{action}: {error.strerror}") from error
        try:
            certs = [cert for block in _blocks(content[:MAX_KEYRING_BYTES]) for cert in Cert.split_bytes(block)]
        except Exception as error:  # the library's errors have no common kind
            raise UserError(f"{action}: not a file of OpenPGP public keys, armored or not") from error
        if not 0 < len(certs) <= MAX_KEYS or len(content) > MAX_KEYRING_BYTES:
            raise UserError(f"{action}: holds {len(certs)} keys; give between 1 and {MAX_KEYS}")
        self._certs = certs

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Which keys are trusted, in upper-case hex."""
        return tuple(cert.fingerprint.upper() for cert in self._certs)

    def verify(self, data: bytes, signature: bytes) -> bool:
        """True when it is a good detached signature of the data by one of the keys, armored or not."""
        from pysequoia import Sig, verify

        if len(signature) > MAX_SIGNATURE_BYTES:
            return False
        try:
            checked = verify(bytes=data, store=lambda _ids: self._certs, signature=Sig.from_bytes(signature))
            return bool(checked.valid_sigs)
        except Exception:  # the library raises RuntimeError, with a stack trace for a text: no signature, that is all
            return False


def _blocks(content: bytes) -> list[bytes]:
    """The armored blocks of a file, each by itself; the file as it is when it has none."""
    end = b"-----END PGP PUBLIC KEY BLOCK-----"
    parts = content.split(end)
    return [part + end for part in parts[:-1]] if len(parts) > 1 else [content]
