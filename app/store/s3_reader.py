"""An S3 object as a file that is read once: when its connection breaks, the rest is asked for from where it broke.

The rest must be of the same object (`If-Match`): a reader never gets two halves of different ones.
"""

import io
from typing import TYPE_CHECKING, Any, Final

from app.core.errors import RetryableError
from app.store.s3_client import s3_wall

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RESUMES: Final = 3
"""How often one object's reading is taken up again."""


class S3Reader(io.RawIOBase):
    """The object's bytes. Raises from read: RetryableError when it broke off for good."""

    def __init__(self, client: "S3Client", bucket: str, name: str, *, action: str) -> None:
        super().__init__()
        self._client, self._bucket, self._name, self._action = client, bucket, name, action
        self._position, self._resumed = 0, 0
        answer = client.get_object(Bucket=bucket, Key=name)
        self._body: Any = answer["Body"]
        self._etag, self._size = answer["ETag"], answer["ContentLength"]

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """The next bytes into the buffer; 0 at the end, which is where the store said that it would be."""
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        while self._position < self._size:
            try:
                data: bytes = self._body.read(len(buffer))
            except (HTTPClientError, IncompleteReadError, OSError):
                data = b""
            if data:
                buffer[: len(data)] = data
                self._position += len(data)
                return len(data)
            self._resume()
        return 0

    def close(self) -> None:
        """Let the connection go."""
        if not self.closed:
            self._body.close()
        super().close()

    def _resume(self) -> None:
        if self._resumed >= RESUMES:
            raise RetryableError(
                f"{self._action}: it broke off at byte {self._position} of {self._size}, again and again"
            )
        self._resumed += 1
        self._body.close()
        with s3_wall(self._action):
            answer = self._client.get_object(
                Bucket=self._bucket, Key=self._name, Range=f"bytes={self._position}-", IfMatch=self._etag
            )
        self._body = answer["Body"]
