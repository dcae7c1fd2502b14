"""Artifacts in S3 keep the contract over real HTTP, and a store in trouble costs time, never bytes."""

import hashlib
import io
from collections.abc import Iterator

import httpx
import pytest

from app.core.errors import BrokenError, RetryableError, UserError
from app.store.artifacts_s3 import PART_BYTES, S3Artifacts, S3Place
from app.store.s3_client import TRIES, AwsAccess, make_s3_client
from tests.aws import GIVEN_S3, Trouble, aws_access, changes_what_is_signed, new_bucket, place_of, troubled
from tests.store.artifacts_contract import KEY, MIB, ArtifactsContract, read

LARGE = hashlib.shake_256(b"large").digest(3 * PART_BYTES + 5)


@pytest.fixture
def bucket(s3_url: str) -> str:
    return new_bucket(s3_url)


class TestS3Artifacts(ArtifactsContract):
    """The contract, on a bucket."""

    @pytest.fixture
    def artifacts(self, s3_url: str, bucket: str) -> S3Artifacts:
        return S3Artifacts(place_of(s3_url, bucket))


@pytest.fixture
def proxied(s3_url: str, bucket: str) -> Iterator[tuple[S3Artifacts, Trouble]]:
    """Artifacts behind a proxy that misbehaves when it is told to."""
    with troubled(s3_url) as (url, trouble):
        yield S3Artifacts(place_of(url, bucket, read_s=0.5)), trouble


@pytest.mark.parametrize("status", [500, 503])
def test_a_store_that_stumbles_is_asked_again(proxied: tuple[S3Artifacts, Trouble], status: int) -> None:
    artifacts, trouble = proxied
    trouble.answer("PUT", status, times=2)
    trouble.answer("GET", status)
    artifacts.put(KEY, io.BytesIO(b"sealed"), max_bytes=9)
    assert read(artifacts) == b"sealed"
    assert trouble.hurt == [f"{how} status" for how in ("PUT", "PUT", "GET")]


def test_a_store_that_stays_down_is_told_within_bounds(proxied: tuple[S3Artifacts, Trouble]) -> None:
    artifacts, trouble = proxied
    trouble.answer("PUT", 503, times=20)
    with pytest.raises(RetryableError, match=rf"^storing artifact {KEY}: the store is in trouble"):
        artifacts.put(KEY, io.BytesIO(b"sealed"), max_bytes=9)
    assert len(trouble.hurt) == TRIES
    trouble.next.clear()
    assert artifacts.find(KEY) is None


def test_a_store_that_does_not_answer_is_not_waited_for(proxied: tuple[S3Artifacts, Trouble]) -> None:
    artifacts, trouble = proxied
    trouble.hang("GET", times=20)
    with pytest.raises(RetryableError, match="did not answer"):
        read(artifacts)


def test_a_write_whose_answer_was_lost_is_known_as_ours(proxied: tuple[S3Artifacts, Trouble]) -> None:
    artifacts, trouble = proxied
    trouble.lose_answer("PUT")
    assert artifacts.put(KEY, io.BytesIO(b"sealed"), max_bytes=9) == 6
    assert trouble.hurt == ["PUT lose"]
    with pytest.raises(BrokenError, match="exists already"):
        artifacts.put(KEY, io.BytesIO(b"sealed"), max_bytes=9)


def test_a_read_that_is_cut_goes_on_where_it_was_cut(proxied: tuple[S3Artifacts, Trouble]) -> None:
    artifacts, trouble = proxied
    artifacts.put(KEY, io.BytesIO(LARGE), max_bytes=len(LARGE))
    trouble.cut_answer("GET", MIB + 1, times=2)
    assert read(artifacts) == LARGE
    assert trouble.hurt == ["GET cut", "GET cut"]


def test_a_read_that_is_cut_again_and_again_ends_in_an_error(proxied: tuple[S3Artifacts, Trouble]) -> None:
    artifacts, trouble = proxied
    artifacts.put(KEY, io.BytesIO(LARGE), max_bytes=len(LARGE))
    trouble.cut_answer("GET", 1000, times=20)
    with pytest.raises(RetryableError, match=f"{KEY}: it broke off at byte 4000 of {len(LARGE)}"):
        read(artifacts)


def test_a_large_write_goes_up_in_parts_and_leaves_none_when_it_breaks(s3_url: str, bucket: str) -> None:
    artifacts = S3Artifacts(place_of(s3_url, bucket))
    client = make_s3_client(aws_access(s3_url))
    assert artifacts.put(KEY, io.BytesIO(LARGE), max_bytes=len(LARGE)) == len(LARGE)
    assert client.head_object(Bucket=bucket, Key=f"some/prefix/{KEY}")["ETag"].strip('"').endswith("-4")
    with pytest.raises(UserError, match="larger than"):
        artifacts.put("too/large", io.BytesIO(LARGE), max_bytes=len(LARGE) - 1)
    with pytest.raises(BrokenError, match="exists already"):
        artifacts.put(KEY, io.BytesIO(LARGE[::-1]), max_bytes=len(LARGE))
    assert read(artifacts) == LARGE
    assert client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def test_an_upload_in_parts_that_never_ended_is_swept(s3_url: str, bucket: str) -> None:
    client = make_s3_client(aws_access(s3_url))
    client.create_multipart_upload(Bucket=bucket, Key="some/prefix/left-behind")
    artifacts = S3Artifacts(place_of(s3_url, bucket))
    assert artifacts.sweep_partial(older_than_s=-3600) == 1
    assert artifacts.sweep_partial(older_than_s=-3600) == 0


def test_an_offer_lets_exactly_these_bytes_in_once_and_out_again(s3_url: str, bucket: str) -> None:
    artifacts = S3Artifacts(place_of(s3_url, bucket, sse="" if GIVEN_S3 else "AES256"))
    data = b"sealed archive" * 1000
    offer = artifacts.offer_put(KEY, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), expires_s=60)
    assert "canary-aws-secret" not in offer.url.reveal()
    assert repr(offer.url) == "***"
    signed = httpx.URL(offer.url.reveal()).params["X-Amz-SignedHeaders"].split(";")
    assert set(signed) == {*offer.headers, "host"}, "another size, hash or condition breaks the signature"
    assert httpx.put(offer.url.reveal(), content=data, headers=dict(offer.headers), trust_env=False).status_code == 200
    again = httpx.put(offer.url.reveal(), content=data, headers=dict(offer.headers), trust_env=False)
    assert again.status_code == 412
    found = artifacts.find(KEY)
    assert found is not None
    assert found.size_bytes == len(data)
    assert found.sha256 in ("", hashlib.sha256(data).hexdigest())
    got = artifacts.offer_get(KEY, expires_s=60)
    assert httpx.get(got.url.reveal(), trust_env=False).content == data
    head = make_s3_client(aws_access(s3_url)).head_object(Bucket=bucket, Key=f"some/prefix/{KEY}")
    assert GIVEN_S3 or head["ServerSideEncryption"] == "AES256"


def test_an_offer_lives_between_a_minute_and_an_hour(s3_url: str, bucket: str) -> None:
    artifacts = S3Artifacts(place_of(s3_url, bucket))
    lives = [
        httpx.URL(artifacts.offer_get(KEY, expires_s=s).url.reveal()).params["X-Amz-Expires"] for s in (1, 99, 1e9)
    ]
    assert lives == ["60", "99", "3600"]


@changes_what_is_signed
def test_a_store_that_overwrites_is_not_ready(proxied: tuple[S3Artifacts, Trouble]) -> None:
    artifacts, trouble = proxied
    trouble.overwrite()
    with pytest.raises(BrokenError, match=r"overwrites in spite of `If-None-Match: \*`"):
        artifacts.check_ready()
    trouble.next.clear()
    artifacts.check_ready()
    artifacts.check_ready()
    assert list(artifacts.list_artifacts("")) == []


def test_a_bucket_that_is_not_there_is_named_with_the_way_out(s3_url: str) -> None:
    artifacts = S3Artifacts(place_of(s3_url, "no-such-bucket-here"))
    with pytest.raises(BrokenError, match="using bucket no-such-bucket-here: there is no such bucket; make it"):
        artifacts.check_ready()
    with pytest.raises(BrokenError, match=f"storing artifact {KEY}: there is no such bucket"):
        artifacts.put(KEY, io.BytesIO(b"x"), max_bytes=9)


def test_refused_credentials_are_said_to_be(proxied: tuple[S3Artifacts, Trouble]) -> None:
    artifacts, trouble = proxied
    trouble.answer("PUT", 403)
    with pytest.raises(BrokenError, match="refuses these credentials") as caught:
        artifacts.check_ready()
    assert "canary" not in str(caught.value)


def test_a_store_that_nobody_is_at_is_told_as_such() -> None:
    nobody = AwsAccess(endpoint_url="http://127.0.0.1:9", region="us-east-1", access_key_id="a")
    artifacts = S3Artifacts(S3Place(bucket="some-bucket", access=aws_access(nobody.endpoint_url)))
    with pytest.raises(RetryableError, match="using bucket some-bucket: the store did not answer"):
        artifacts.check_ready()
