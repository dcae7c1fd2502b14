"""Bearer tokens."""

import hashlib

from app.core.names import Secret
from app.vault.tokens import constant_time_equal, hash_token, new_token


def test_a_token_is_new_each_time_and_fits_into_a_url() -> None:
    tokens = {new_token().reveal() for _ in range(50)}
    assert len(tokens) == 50
    assert all(len(token) == 43 and token.replace("-", "").replace("_", "").isalnum() for token in tokens)


def test_a_token_is_stored_as_its_hash() -> None:
    assert hash_token("abc") == hash_token(Secret("abc")) == hashlib.sha256(b"abc").hexdigest()
    assert hash_token("\udcff"), "a header may hold anything"


def test_equality_takes_text_bytes_and_secrets() -> None:
    assert constant_time_equal("naïve", "naïve".encode())
    assert constant_time_equal(Secret("a"), "a")
    assert not constant_time_equal("a", "ab")
    assert not constant_time_equal("", Secret("a"))
