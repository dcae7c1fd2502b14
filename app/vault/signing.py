"""Signatures of the control plane: identity tokens for clouds (RS256), and attestations (ECDSA over DSSE's encoding).

Keys are made here, lie sealed in the store, and are told to the world as JSON Web Keys. Sources: RFC 7517, RFC 7638,
RFC 7519; DSSE: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_public_key,
)
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from app.core.attestation import PAYLOAD_TYPE
from app.core.errors import BrokenError, UserError
from app.core.names import Secret
from app.core.signing import NewSigningKey, Purpose

RSA_BITS: Final = 2048
"""What clouds take from everyone; keys are replaced long before it is too short."""
MAX_KEYS: Final = 100
MAX_ENVELOPE_BYTES: Final = 1024 * 1024


def new_signing_key(purpose: Purpose) -> NewSigningKey:
    """A fresh key pair: RSA for tokens, since Microsoft Entra takes no other; P-256 for attestations."""
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    if purpose is Purpose.OIDC:
        private, algorithm = rsa.generate_private_key(65537, RSA_BITS), "RS256"
        told = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    else:
        private, algorithm = ec.generate_private_key(ec.SECP256R1()), "ES256"
        told = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    public = {name: value for name, value in told.items() if name in ("kty", "n", "e", "crv", "x", "y")}
    key_id = _thumbprint(public)
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return NewSigningKey(
        id=key_id,
        public_jwk={**public, "kid": key_id, "use": "sig", "alg": algorithm},
        private=Secret(base64.b64encode(der).decode()),
    )


def sign_token(key_id: str, private: Secret, claims: Mapping[str, object]) -> Secret:
    """A JSON Web Token over the claims. Raises: BrokenError when the key is not one of tokens."""
    key = _private(private)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise BrokenError(f"signing a token: key {key_id} is none of tokens")
    return Secret(jwt.encode(dict(claims), key, algorithm="RS256", headers={"kid": key_id}))


def sign_statement(key_id: str, private: Secret, statement: bytes) -> bytes:
    """The DSSE envelope, as JSON, around a statement. Raises: BrokenError when the key is not one of attestations."""
    key = _private(private)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BrokenError(f"signing an attestation: key {key_id} is none of attestations")
    signature = key.sign(_encoding(PAYLOAD_TYPE, statement), ec.ECDSA(SHA256()))
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(statement).decode(),
        "signatures": [{"keyid": key_id, "sig": base64.b64encode(signature).decode()}],
    }
    return json.dumps(envelope, separators=(",", ":")).encode()


def open_envelope(envelope: bytes, keys: Sequence[object]) -> bytes:
    """The statement of a DSSE envelope that one of the keys has signed.

    Raises: UserError saying what is wrong: no envelope, of another kind, or signed by none of these keys.
    """
    about = "verifying the attestation"
    if len(envelope) > MAX_ENVELOPE_BYTES:
        raise UserError(f"{about}: more than {MAX_ENVELOPE_BYTES} bytes")
    try:
        read = json.loads(envelope)
        kind, payload = read["payloadType"], base64.b64decode(read["payload"], validate=True)
        signatures = [base64.b64decode(one["sig"], validate=True) for one in read["signatures"]][:MAX_KEYS]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(f"{about}: this is no DSSE envelope") from error
    if kind != PAYLOAD_TYPE:
        raise UserError(f"{about}: it holds {str(kind)[:100]!r}, not {PAYLOAD_TYPE}")
    message = _encoding(kind, payload)
    if any(_is_signed(key, one, message) for key in keys for one in signatures):
        return payload
    raise UserError(f"{about}: none of the {len(keys)} keys has signed it, or it was changed since")


def read_public_keys(text: bytes) -> list[object]:
    """The public keys of a PEM file, or of a JSON document with `keys`. Raises: UserError when it is neither."""
    try:
        if b"-----BEGIN" in text:
            return [load_pem_public_key(text)]
        found = [jwt.PyJWK(one).key for one in json.loads(text)["keys"][:MAX_KEYS] if one.get("kty") == "EC"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, UnsupportedAlgorithm) as error:
        raise UserError("reading the public keys: neither PEM nor a JSON Web Key Set") from error
    except jwt.PyJWTError as error:
        raise UserError("reading the public keys: one of them is malformed") from error
    if not found:
        raise UserError("reading the public keys: there is none for attestations (EC, P-256) among them")
    return found


def _is_signed(key: object, signature: bytes, message: bytes) -> bool:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        key.verify(signature, message, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _encoding(kind: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: lengths, so that kind and payload cannot run into each other."""
    return b"DSSEv1 %d %s %d %s" % (len(kind.encode()), kind.encode(), len(payload), payload)


def _private(text: Secret) -> object:
    """The key. We sealed it, so that its mathematics need not be checked again: that takes longer than signing."""
    try:
        der = base64.b64decode(text.reveal(), validate=True)
        return load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, binascii.Error) as error:
        raise BrokenError("reading a signing key: it is malformed") from error


def _thumbprint(public: Mapping[str, Any]) -> str:
    """The key's id: what names it everywhere, and cannot name another. Source: RFC 7638."""
    canonical = json.dumps(dict(public), sort_keys=True, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()
