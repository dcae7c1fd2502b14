"""Big sealed bytes in an S3 bucket: all or nothing, never overwritten, and handed to workers by signed URLs.

Knows nothing of what the bytes mean; they are ciphertext already. Any store that honours `If-None-Match: *` will do:
`check_ready` says so when one does not.
"""

import base64
import io
import itertools
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from app.core.artifact import Offer, Stored
from app.core.errors import BrokenError, UserError
from app.core.names import Secret
from app.store.artifacts_disk import check_key, pieces_of
from app.store.s3_client import READ_S, AwsAccess, code_of, make_s3_client, s3_wall
from app.store.s3_reader import S3Reader

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES: Final = 8 * 1024 * 1024
"""Of an upload in parts; with S3's 10,000 parts, artifacts of up to 80 GB."""
READ_BYTES: Final = 1024 * 1024
MIN_OFFER_S: Final = 60
MAX_OFFER_S: Final = 3600
_WRITER: Final = "trackside-writer"
"""Metadata that tells our own write, whose answer was lost, from another's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Place:
    """Where in S3, and how it is encrypted there."""

    bucket: str
    prefix: str = ""
    """Without slashes around it."""
    access: AwsAccess
    sse: str = ""
    """`AES256`, `aws:kms`, or empty: as the bucket has it."""
    sse_kms_key_id: str = ""
    read_s: float = READ_S


class S3Artifacts:
    """Artifacts under one prefix of a bucket."""

    def __init__(self, place: S3Place) -> None:
        """Nothing is connected yet."""
        self._place = place
        self._made: S3Client | None = None
        self._is_conditional = False

    def put(self, key: str, source: BinaryIO | Iterator[bytes], *, max_bytes: int) -> int:
        """Store all or nothing; the size. Raises: UserError when larger; BrokenError when the key exists already."""
        name = self._name(key)
        parts = _parts(_bounded(pieces_of(source), key, max_bytes))
        first = next(parts, b"")
        second = next(parts, None)
        with s3_wall(f"storing artifact {key}"):
            if second is None:
                self._put_whole(key, name, first)
                return len(first)
            return self._put_parts(key, name, itertools.chain((first, second), parts))

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """The bytes, to be read once. Raises: UserError naming the key when it is not there (any more)."""
        from botocore.exceptions import ClientError

        action, name = f"opening artifact {key}", self._name(key)
        with s3_wall(action):
            try:
                reader = S3Reader(self._client, self._place.bucket, name, action=action)
            except ClientError as error:
                if code_of(error)[0] in ("NoSuchKey", "404"):
                    raise UserError(f"{action}: it is not there (any more)") from error
                raise
        with io.BufferedReader(reader, READ_BYTES) as file:
            yield file

    def delete(self, key: str) -> None:
        """Gone afterwards, also when it never was."""
        name = self._name(key)
        with s3_wall(f"deleting artifact {key}"):
            self._client.delete_object(Bucket=self._place.bucket, Key=name)

    def find(self, key: str) -> Stored | None:
        """What is known of an artifact, or None when it is not there."""
        name = self._name(key)
        with s3_wall(f"asking for artifact {key}"):
            head = self._head(name)
        if head is None:
            return None
        digest = base64.b64decode(head.get("ChecksumSHA256", "")).hex()
        return Stored(key=key, size_bytes=head["ContentLength"], stored_at=_utc(head["LastModified"]), sha256=digest)

    def list_artifacts(self, folder: str) -> Iterator[Stored]:
        """Everything below `folder/`, by key; with an empty one everything that there is."""
        below = f"{self._place.prefix}/" if self._place.prefix else ""
        start = self._name(folder) + "/" if folder else below
        with s3_wall(f"listing artifacts {folder}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._place.bucket, Prefix=start)
            for page in pages:
                for one in page.get("Contents", ()):
                    stored_at = _utc(one["LastModified"])
                    yield Stored(key=one["Key"].removeprefix(below), size_bytes=one["Size"], stored_at=stored_at)

    def sweep_partial(self, *, older_than_s: float) -> int:
        """Let go of uploads that never ended; how many."""
        before, found = datetime.now(UTC) - timedelta(seconds=older_than_s), 0
        with s3_wall("sweeping uploads that never ended"):
            answer = self._client.list_multipart_uploads(Bucket=self._place.bucket, Prefix=self._place.prefix)
            for one in answer.get("Uploads", ()):
                if _utc(one["Initiated"]) < before:
                    self._client.abort_multipart_upload(
                        Bucket=self._place.bucket, Key=one["Key"], UploadId=one["UploadId"]
                    )
                    found += 1
        return found

    def offer_put(self, key: str, *, size_bytes: int, sha256: str, expires_s: float) -> Offer:
        """How a worker stores exactly these bytes there by itself, unless something is there already."""
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        asked = {"ContentLength": size_bytes, "IfNoneMatch": "*", "ChecksumSHA256": checksum, **self._sse()}
        headers = {"content-length": str(size_bytes), "if-none-match": "*", "x-amz-checksum-sha256": checksum}
        if self._place.sse:
            headers["x-amz-server-side-encryption"] = self._place.sse
        if self._place.sse_kms_key_id:
            headers["x-amz-server-side-encryption-aws-kms-key-id"] = self._place.sse_kms_key_id
        return Offer(url=self._signed("put_object", key, asked, expires_s), headers=headers)

    def offer_get(self, key: str, *, expires_s: float) -> Offer:
        """How a worker reads the artifact by itself."""
        return Offer(url=self._signed("get_object", key, {}, expires_s), headers={})

    def check_ready(self) -> None:
        """Returns when something can be written and nothing is overwritten.

        Raises: BrokenError or RetryableError saying why not. What a store does with conditions is asked once.
        """
        place = self._place
        with s3_wall(f"using bucket {place.bucket}"):
            if self._is_conditional:
                self._client.list_objects_v2(Bucket=place.bucket, Prefix=self._name("probe"), MaxKeys=1)
                return
            name = self._name(f"probe/{secrets.token_hex(8)}")
            self._client.put_object(Bucket=place.bucket, Key=name, Body=b"probe", **self._sse())
            try:
                is_refused = not self._put_if_new(name, b"probe", writer="another")
            finally:
                self._client.delete_object(Bucket=place.bucket, Key=name)
        if not is_refused:
            raise BrokenError(
                f"using bucket {place.bucket}: the store overwrites in spite of `If-None-Match: *`, so two workers "
                "could replace each other's bytes; use a store or version that honours conditional writes"
            )
        self._is_conditional = True

    @property
    def _client(self) -> "S3Client":
        if self._made is None:  # two threads may make two: the second one wins, and nothing is lost
            self._made = make_s3_client(self._place.access, read_s=self._place.read_s)
        return self._made

    def _name(self, key: str) -> str:
        check_key(key)
        return f"{self._place.prefix}/{key}" if self._place.prefix else key

    def _sse(self) -> dict[str, Any]:
        asked = {"ServerSideEncryption": self._place.sse, "SSEKMSKeyId": self._place.sse_kms_key_id}
        return {name: value for name, value in asked.items() if value}

    def _put_whole(self, key: str, name: str, data: bytes) -> None:
        writer = secrets.token_hex(16)
        if not self._put_if_new(name, data, writer=writer) and not self._is_ours(name, writer):
            raise BrokenError(f"storing artifact {key}: it exists already")

    def _put_if_new(self, name: str, data: bytes, *, writer: str) -> bool:
        from botocore.exceptions import ClientError

        try:
            self._client.put_object(
                Bucket=self._place.bucket,
                Key=name,
                Body=data,
                IfNoneMatch="*",
                Metadata={_WRITER: writer},
                **self._sse(),
            )
        except ClientError as error:
            if code_of(error)[1] != 412:
                raise
            return False
        return True

    def _put_parts(self, key: str, name: str, parts: Iterator[bytes]) -> int:
        from botocore.exceptions import ClientError

        bucket, writer, size = self._place.bucket, secrets.token_hex(16), 0
        begun = self._client.create_multipart_upload(Bucket=bucket, Key=name, Metadata={_WRITER: writer}, **self._sse())
        upload: dict[str, Any] = {"Bucket": bucket, "Key": name, "UploadId": begun["UploadId"]}
        try:
            done = []
            for number, part in enumerate(parts, start=1):
                size += len(part)
                answer = self._client.upload_part(**upload, PartNumber=number, Body=part)
                done.append({"PartNumber": number, "ETag": answer["ETag"]})
            if self._head(name) is not None:  # radosgw 16 takes no notice of the condition below
                raise BrokenError(f"storing artifact {key}: it exists already")
            self._client.complete_multipart_upload(
                **upload, MultipartUpload=cast(Any, {"Parts": done}), IfNoneMatch="*"
            )
        except BaseException as error:
            is_taken = isinstance(error, ClientError) and code_of(error)[1] in (404, 412)
            if is_taken and self._is_ours(name, writer):
                return size  # it was completed, and the answer was lost
            self._abort(upload)
            if is_taken:
                raise BrokenError(f"storing artifact {key}: it exists already") from error
            raise
        return size

    def _abort(self, upload: dict[str, Any]) -> None:
        """Nothing of it is kept; when that does not work either, the sweep does it."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.abort_multipart_upload(**upload)
        except (BotoCoreError, ClientError):
            return

    def _is_ours(self, name: str, writer: str) -> bool:
        head = self._head(name)
        return head is not None and head.get("Metadata", {}).get(_WRITER) == writer

    def _head(self, name: str) -> Any:
        from botocore.exceptions import ClientError

        try:
            return self._client.head_object(Bucket=self._place.bucket, Key=name, ChecksumMode="ENABLED")
        except ClientError as error:
            if code_of(error)[1] == 404:
                return None
            raise

    def _signed(self, method: str, key: str, asked: dict[str, Any], expires_s: float) -> Secret:
        params = {"Bucket": self._place.bucket, "Key": self._name(key), **asked}
        lasts = round(min(max(expires_s, MIN_OFFER_S), MAX_OFFER_S))
        with s3_wall(f"signing an address of artifact {key}"):
            return Secret(self._client.generate_presigned_url(method, Params=params, ExpiresIn=lasts))


def _bounded(pieces: Iterator[bytes], key: str, max_bytes: int) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > max_bytes:
            raise UserError(f"storing artifact {key}: larger than {max_bytes} bytes")
        yield piece


def _parts(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in parts of PART_BYTES; the last one is smaller."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= PART_BYTES:
            yield bytes(waiting[:PART_BYTES])
            del waiting[:PART_BYTES]
    if waiting:
        yield bytes(waiting)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
