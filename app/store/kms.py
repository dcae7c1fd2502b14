"""AWS KMS behind a small port: makes data keys that are wrapped by a KMS key, and unwraps them.

Knows nothing of what the data keys seal. It lives here because boto3 does; the vault is handed it.
"""

from typing import TYPE_CHECKING, Any, Final

from app.core.errors import BrokenError
from app.store.s3_client import CONNECT_S, DENIED, TRIES, AwsAccess, code_of, make_client, s3_wall

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

_READ_S: Final = 10
_CONTEXT: Final = {"application": "trackside"}
_OTHER_KEY: Final = frozenset({"IncorrectKeyException", "InvalidCiphertextException"})
"""This ciphertext is another key's, or nobody's."""


class Kms:
    """One or more KMS keys; the first one makes data keys, each may unwrap."""

    def __init__(self, access: AwsAccess, key_ids: tuple[str, ...]) -> None:
        """Nothing is connected yet."""
        self._access, self._key_ids = access, key_ids
        self._made: KMSClient | None = None

    def new_data_key(self) -> tuple[bytes, bytes]:
        """A fresh key of 32 bytes, in clear and wrapped. Raises: BrokenError when KMS says no; RetryableError."""
        with s3_wall(f"asking KMS for a data key of {self._key_ids[0]}"):
            answer = self._client.generate_data_key(
                KeyId=self._key_ids[0], KeySpec="AES_256", EncryptionContext=_CONTEXT
            )
        return answer["Plaintext"], answer["CiphertextBlob"]

    def unwrap(self, wrapped: bytes) -> bytes:
        """The data key in clear. Raises: BrokenError when none of the keys opens it; RetryableError."""
        from botocore.exceptions import ClientError

        for key_id in self._key_ids:
            with s3_wall(f"asking KMS to open a data key with {key_id}"):
                try:
                    answer = self._client.decrypt(CiphertextBlob=wrapped, KeyId=key_id, EncryptionContext=_CONTEXT)
                except ClientError as error:
                    code, is_last = code_of(error)[0], key_id == self._key_ids[-1]
                    if code in _OTHER_KEY or (code in DENIED and not is_last):
                        continue  # of the keys before, one may have been taken from us
                    raise
            return answer["Plaintext"]
        raise BrokenError("opening a data key: no key of KMS_KEY_ID opens it; name the one that sealed it too")

    @property
    def _client(self) -> "KMSClient":
        if self._made is None:
            from botocore.config import Config

            retries: Any = {"mode": "standard", "total_max_attempts": TRIES}
            config = Config(connect_timeout=CONNECT_S, read_timeout=_READ_S, retries=retries)
            self._made = make_client("kms", self._access, config)
        return self._made
