"""Releases are believed when one of the operator's keys has signed them, and by no other's."""

from pathlib import Path

import pytest
from pysequoia import Cert, Tsk

from app.core.errors import UserError
from app.vault.openpgp import SigningKeys
from tests.engine.mirror import signature

DATA = b"0123  terraform_1.9.8_linux_amd64.zip\n"


def _keyring(folder: Path, *keys: Tsk | Cert) -> Path:
    path = folder / "vendors.asc"
    path.write_text(
        "Two vendors:\n"
        + "\n".join(str(key.extract_certificate() if isinstance(key, Tsk) else key) for key in keys)
        + "\n"
    )
    return path


def test_each_key_of_the_file_may_sign(tmp_path: Path) -> None:
    first, second = Tsk.generate("One <one@example.org>"), Tsk.generate("Two <two@example.org>")
    keys = SigningKeys(_keyring(tmp_path, first, second))
    assert len(keys.fingerprints) == 2
    assert keys.verify(DATA, signature(first, DATA))
    assert keys.verify(DATA, signature(second, DATA))


def test_a_foreign_key_other_data_and_what_is_no_signature_are_refused(tmp_path: Path) -> None:
    mine, foreign = Tsk.generate("One <one@example.org>"), Tsk.generate("One <one@example.org>")
    keys = SigningKeys(_keyring(tmp_path, mine))
    good = signature(mine, DATA)
    assert not keys.verify(DATA, signature(foreign, DATA)), "the same name, another key"
    assert not keys.verify(DATA + b" ", good)
    for bad in (b"", b"nonsense", good[:-1], good[:20], DATA, good * 1_000):
        assert not keys.verify(DATA, bad)


def test_a_revoked_key_signs_no_more(tmp_path: Path) -> None:
    key = Tsk.generate("One <one@example.org>")
    good = signature(key, DATA)
    cert = key.extract_certificate()
    revoked = Cert.from_bytes(bytes(cert) + bytes(cert.revoke(key.certifier())))
    assert not SigningKeys(_keyring(tmp_path, revoked)).verify(DATA, good)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----END PGP PUBLIC KEY BLOCK-----\n"])
def test_a_keyring_without_keys_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vendors.asc"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"reading TOOLS_KEYRING .*vendors\.asc"):
        SigningKeys(path)


def test_a_keyring_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"vendors\.asc: No such file"):
        SigningKeys(tmp_path / "vendors.asc")
