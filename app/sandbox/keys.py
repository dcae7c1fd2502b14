"""The App's key pair, made on the spot; the one place of this room that touches a cipher library.

The private half goes to the App under test, the public half checks its tokens.
"""

import functools

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


def make_private_key() -> str:
    """A new 2048-bit RSA key as PEM, in the form in which GitHub hands it out (PKCS#1)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()


@functools.lru_cache(maxsize=8)
def public_half(private_key_pem: str) -> str:
    """The public key of a private one, both PEM."""
    key = serialization.load_pem_private_key(private_key_pem.encode(), password=None)
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
