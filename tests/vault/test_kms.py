"""Sealing under KMS, a stand-in of it over real HTTP: keys stay there, old values stay readable, and no means no."""

import os
from collections.abc import Iterator

import pytest

from app.core.errors import BrokenError, RetryableError
from app.store.kms import Kms
from app.store.s3_client import TRIES
from app.vault.keys import Keyring
from app.vault.kms import KmsKeyring
from tests.aws import Trouble, aws_access, new_kms_key, troubled

CONTEXT = {"table": "plans", "id": "1"}


@pytest.fixture
def kms(moto_url: str) -> Iterator[tuple[str, Trouble]]:
    """KMS behind a proxy that can misbehave."""
    with troubled(moto_url) as made:
        yield made


def keyring(url: str, *keys: str, local: Keyring | None = None) -> KmsKeyring:
    return KmsKeyring(Kms(aws_access(url), keys), local)


def test_what_one_process_seals_another_opens_and_kms_is_asked_once_by_each(kms: tuple[str, Trouble]) -> None:
    url, trouble = kms
    key = new_kms_key(url)
    trouble.requests.clear()
    one, other = keyring(url, key), keyring(url, key)
    sealed = [one.seal(b"value %d" % number, CONTEXT) for number in range(20)]
    assert len(trouble.requests) == 1
    assert [other.open(each, CONTEXT) for each in sealed] == [b"value %d" % number for number in range(20)]
    assert one.open(sealed[0], CONTEXT) == b"value 0"
    assert len(trouble.requests) == 2
    assert repr(one) == "KmsKeyring(***)"


def test_what_was_changed_or_is_something_else_does_not_open(kms: tuple[str, Trouble]) -> None:
    url, _ = kms
    ring = keyring(url, new_kms_key(url))
    sealed = ring.seal(b"value", CONTEXT)
    for place in range(0, len(sealed), 7):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(BrokenError):
            ring.open(changed, CONTEXT)
    for cut in (b"", sealed[:1], sealed[:3], sealed[:50], sealed[:-1]):
        with pytest.raises(BrokenError):
            ring.open(cut, CONTEXT)
    with pytest.raises(BrokenError, match="changed, or sealed for something else"):
        ring.open(sealed, {"table": "plans", "id": "2"})


def test_a_new_kms_key_seals_and_the_one_before_still_opens(kms: tuple[str, Trouble]) -> None:
    url, _ = kms
    old, new = new_kms_key(url), new_kms_key(url)
    before = keyring(url, old).seal(b"of before", CONTEXT)
    rotated = keyring(url, new, old)
    assert rotated.open(before, CONTEXT) == b"of before"
    after = rotated.seal(b"of now", CONTEXT)
    assert keyring(url, new).open(after, CONTEXT) == b"of now"


def test_what_a_local_key_sealed_before_kms_still_opens(kms: tuple[str, Trouble]) -> None:
    url, _ = kms
    local = Keyring([os.urandom(32)])
    before = local.seal(b"of before", CONTEXT)
    key = new_kms_key(url)
    assert keyring(url, key, local=local).open(before, CONTEXT) == b"of before"
    assert keyring(url, key, local=local).seal(b"x", CONTEXT)[:1] == b"\x02"
    with pytest.raises(BrokenError, match="sealed before KMS_KEY_ID was set; give that key as well"):
        keyring(url, key).open(before, CONTEXT)


def test_a_key_that_may_not_be_used_is_named(kms: tuple[str, Trouble]) -> None:
    url, trouble = kms
    with pytest.raises(BrokenError, match="asking KMS for a data key of alias/nobody: the store says NotFound"):
        keyring(url, "alias/nobody").seal(b"x", CONTEXT)
    trouble.answer("POST", 403)
    with pytest.raises(BrokenError, match="refuses these credentials"):
        keyring(url, new_kms_key(trouble.upstream)).seal(b"x", CONTEXT)


def test_a_kms_that_is_down_is_told_within_bounds_and_used_again(kms: tuple[str, Trouble]) -> None:
    url, trouble = kms
    ring = keyring(url, new_kms_key(trouble.upstream))
    trouble.answer("POST", 503, times=20)
    with pytest.raises(RetryableError, match="asking KMS for a data key"):
        ring.seal(b"x", CONTEXT)
    assert len(trouble.hurt) == TRIES
    trouble.next.clear()
    assert ring.open(ring.seal(b"x", CONTEXT), CONTEXT) == b"x"
