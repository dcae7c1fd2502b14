"""Keys and tokens of the control plane in one object, as flows and store ask for them. Wiring makes it."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.core.names import Secret
from app.core.signing import NewSigningKey, Purpose
from app.vault import keys, signing, tokens
from app.vault.keys import Keyring
from app.vault.kms import KmsKeyring


@dataclass(frozen=True, slots=True)
class Vault:
    """Seals values at rest under the keyring; makes and checks tokens."""

    keyring: Keyring | KmsKeyring

    def seal(self, data: bytes, context: Mapping[str, str]) -> bytes:
        """The data, readable with this keyring and the same context alone."""
        return self.keyring.seal(data, context)

    def open(self, sealed: bytes, context: Mapping[str, str]) -> bytes:
        """The data that was sealed for this context. Raises: BrokenError for anything else."""
        return self.keyring.open(sealed, context)

    def new_data_key(self) -> Secret:
        """Base64 of 32 random bytes: the key of one run's archive."""
        return keys.new_data_key()

    def new_token(self) -> Secret:
        """A bearer token of 256 bits."""
        return tokens.new_token()

    def new_code(self) -> Secret:
        """A one-time code of 128 bits, for a person to copy."""
        return tokens.new_code()

    def hash_token(self, token: str) -> str:
        """What is stored of a token."""
        return tokens.hash_token(token)

    def is_token(self, token: str, token_hash: str) -> bool:
        """True when the hash is this token's; in constant time. Nothing matches an empty hash."""
        return bool(token_hash) and tokens.constant_time_equal(tokens.hash_token(token), token_hash)

    def new_signing_key(self, purpose: Purpose) -> NewSigningKey:
        """A fresh key pair."""
        return signing.new_signing_key(purpose)

    def sign_token(self, key_id: str, private: Secret, claims: Mapping[str, object]) -> Secret:
        """A JSON Web Token over the claims."""
        return signing.sign_token(key_id, private, claims)

    def sign_statement(self, key_id: str, private: Secret, statement: bytes) -> bytes:
        """The DSSE envelope, as JSON, around a statement."""
        return signing.sign_statement(key_id, private, statement)
