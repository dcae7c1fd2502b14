"""Signatures: what they hold, that nothing else passes, and that others who speak DSSE and JWT read them."""

import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.core.errors import BrokenError, UserError
from app.core.names import Secret
from app.core.signing import NewSigningKey, Purpose
from app.vault.signing import new_signing_key, open_envelope, read_public_keys, sign_statement, sign_token

STATEMENT = b'{"_type":"https://in-toto.io/Statement/v1"}'


def key_set(*keys: NewSigningKey) -> bytes:
    """The public keys as they are served."""
    return json.dumps({"keys": [dict(key.public_jwk) for key in keys]}).encode()


def test_an_envelope_opens_with_its_key_also_as_pem_and_among_others() -> None:
    key, other = new_signing_key(Purpose.ATTESTATION), new_signing_key(Purpose.ATTESTATION)
    envelope = sign_statement(key.id, key.private, STATEMENT)
    assert open_envelope(envelope, read_public_keys(key_set(other, key))) == STATEMENT
    public = jwt.PyJWK(dict(key.public_jwk)).key
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert open_envelope(envelope, read_public_keys(pem)) == STATEMENT
    assert json.loads(envelope)["signatures"][0]["keyid"] == key.id


@pytest.mark.parametrize("field", ["payload", "payloadType", "sig"])
def test_a_changed_envelope_is_refused(field: str) -> None:
    key = new_signing_key(Purpose.ATTESTATION)
    envelope = json.loads(sign_statement(key.id, key.private, STATEMENT))
    if field == "sig":
        raw = bytearray(base64.b64decode(envelope["signatures"][0]["sig"]))
        raw[-1] ^= 1
        envelope["signatures"][0]["sig"] = base64.b64encode(raw).decode()
    elif field == "payload":
        envelope["payload"] = base64.b64encode(STATEMENT + b" ").decode()
    else:
        envelope["payloadType"] = "text/plain"
    with pytest.raises(UserError, match="verifying the attestation"):
        open_envelope(json.dumps(envelope).encode(), read_public_keys(key_set(key)))


@pytest.mark.parametrize("hostile", [b"", b"[]", b"{", b'{"payloadType": 1}', b"[" * 100_000, b'"' + b"x" * 2_000_000])
def test_what_is_no_envelope_is_refused_with_a_sentence(hostile: bytes) -> None:
    keys = read_public_keys(key_set(new_signing_key(Purpose.ATTESTATION)))
    with pytest.raises(UserError, match="verifying the attestation"):
        open_envelope(hostile, keys)


@pytest.mark.parametrize(
    "text", [b"", b"{}", b'{"keys": []}', b"-----BEGIN PUBLIC KEY-----\nx\n", b'{"keys": [{"kty": "EC"}]}']
)
def test_what_is_no_key_is_refused_with_a_sentence(text: bytes) -> None:
    with pytest.raises(UserError, match="reading the public keys"):
        read_public_keys(text)


def test_a_key_signs_what_it_is_for_and_nothing_else() -> None:
    token_key, statement_key = new_signing_key(Purpose.OIDC), new_signing_key(Purpose.ATTESTATION)
    with pytest.raises(BrokenError, match="none of tokens"):
        sign_token(statement_key.id, statement_key.private, {})
    with pytest.raises(BrokenError, match="none of attestations"):
        sign_statement(token_key.id, token_key.private, STATEMENT)
    with pytest.raises(BrokenError, match="malformed"):
        sign_token(token_key.id, Secret("bm90IGEga2V5"), {})
    with pytest.raises(UserError, match="none for attestations"):
        read_public_keys(key_set(token_key))


def test_a_token_is_read_by_others_and_names_its_key() -> None:
    key = new_signing_key(Purpose.OIDC)
    token = sign_token(key.id, key.private, {"sub": "repo:a/b"}).reveal()
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "kid": key.id, "typ": "JWT"}
    assert jwt.decode(token, jwt.PyJWK(dict(key.public_jwk)).key, algorithms=["RS256"]) == {"sub": "repo:a/b"}
    assert set(key.public_jwk) == {"kty", "n", "e", "kid", "use", "alg"}
    assert "***" in repr(key)
