"""Keys from files and from text, and the values that they seal."""

import base64
import pickle
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BrokenError, UserError
from app.core.names import Secret
from app.vault.keys import MAX_KEYS, Keyring, new_data_key, rotate_key_file

CONTEXT = {"table": "secrets", "row": "1"}


def keyring(*keys: Secret) -> Keyring:
    return Keyring.from_text(Secret(",".join(key.reveal() for key in keys)))


# Where keys come from


def test_a_missing_key_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data/trackside.key"
    sealed = Keyring.from_file(path).seal(b"value", CONTEXT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Keyring.from_file(path).open(sealed, CONTEXT) == b"value"
    assert list(path.parent.iterdir()) == [path]


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        rings = list(pool.map(lambda _: Keyring.from_file(tmp_path / "key"), range(8)))
    assert len({ring.key_ids for ring in rings}) == 1


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    Keyring.from_file(path)
    path.chmod(0o644)
    with pytest.raises(UserError, match="other users can read it; chmod 600 it"):
        Keyring.from_file(path)


@pytest.mark.parametrize("content", [b"", b"\n", b"short\n", b"\xff\xfe", bytes(range(200, 232))])
def test_a_key_file_with_something_else_in_it_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(UserError, match="reading key file"):
        Keyring.from_file(path)


def test_a_key_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"making key file .*/file/key: "):
        Keyring.from_file(tmp_path / "file/key")


def test_a_malformed_key_is_named_by_its_place_and_not_shown() -> None:
    good, bad = new_data_key().reveal(), base64.b64encode(b"thirty-one bytes, one too few..").decode()
    with pytest.raises(UserError, match="reading ENCRYPTION_KEY: key 2 is not base64 of 32 bytes") as raised:
        Keyring.from_text(Secret(f"{good}, {bad}"))
    assert bad not in str(raised.value)
    for text in ("", " , ", "x", "§"):
        with pytest.raises(UserError, match="reading ENCRYPTION_KEY"):
            Keyring.from_text(Secret(text))


def test_a_keyring_shows_and_pickles_no_key() -> None:
    key = new_data_key()
    ring = keyring(key)
    assert repr(ring) == f"Keyring({ring.key_ids[0]})"
    with pytest.raises(TypeError):
        pickle.dumps(ring)


# Sealing


@given(st.binary(max_size=200), st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3))
def test_what_was_sealed_opens_with_the_same_context(data: bytes, context: dict[str, str]) -> None:
    ring = keyring(Secret(base64.b64encode(bytes(32)).decode()))
    assert ring.open(ring.seal(data, context), dict(reversed(context.items()))) == data


def test_the_first_key_seals_and_all_of_them_open() -> None:
    old, new = new_data_key(), new_data_key()
    sealed_before = keyring(old).seal(b"value", CONTEXT)
    rotated = keyring(new, old)
    assert rotated.open(sealed_before, CONTEXT) == b"value"
    assert keyring(new).open(rotated.seal(b"value", CONTEXT), CONTEXT) == b"value"


def test_a_key_that_is_gone_is_named_by_its_id() -> None:
    old = keyring(new_data_key())
    with pytest.raises(BrokenError, match=f"opening row 1, table secrets: sealed with key {old.key_ids[0]}, which is"):
        keyring(new_data_key()).open(old.seal(b"value", CONTEXT), CONTEXT)


@pytest.mark.parametrize("context", [{}, {"table": "secrets"}, {**CONTEXT, "row": "2"}, {**CONTEXT, "more": ""}])
def test_another_context_does_not_open(context: dict[str, str]) -> None:
    ring = keyring(new_data_key())
    with pytest.raises(BrokenError, match="changed, or sealed for something else"):
        ring.open(ring.seal(b"value", CONTEXT), context)


def test_no_changed_bit_and_no_cut_opens() -> None:
    ring = keyring(new_data_key())
    sealed = ring.seal(b"the value", CONTEXT)
    flipped = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))]
    cut = [sealed[:length] for length in range(len(sealed))]
    for broken in [*flipped, *cut, sealed + b"\0", sealed * 2]:
        with pytest.raises(BrokenError, match="opening row 1, table secrets: ") as raised:
            ring.open(broken, CONTEXT)
        assert "the value" not in str(raised.value)


def test_the_same_value_is_never_sealed_to_the_same_bytes() -> None:
    ring = keyring(new_data_key())
    assert len({ring.seal(b"value", CONTEXT)[9:] for _ in range(50)}) == 50


def test_a_rotated_key_file_seals_with_the_new_key_and_opens_with_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "key"
    running = Keyring.from_file(path)
    old = running.seal(b"of before", {})
    rotated = rotate_key_file(path)
    assert rotated.key_ids[1:] == running.key_ids
    assert Keyring.from_file(path).key_ids == rotated.key_ids
    assert rotated.open(old, {}) == b"of before"
    new = rotated.seal(b"of now", {})
    with pytest.raises(BrokenError, match="not in the keyring"):
        Keyring([bytes(32)]).open(new, {})
    assert running.open(new, {}) == b"of now", "a process of before looks into the file"
    assert running.seal(b"x", {})[1:9].hex() == running.key_ids[0], "and goes on with its own key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["key"]


def test_a_key_file_that_is_full_or_not_there_is_not_rotated(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"reading key file .*: No such file"):
        rotate_key_file(tmp_path / "key")
    Keyring.from_file(tmp_path / "key")
    for _ in range(MAX_KEYS - 1):
        rotate_key_file(tmp_path / "key")
    with pytest.raises(UserError, match="it holds 16 keys already"):
        rotate_key_file(tmp_path / "key")
    assert len(Keyring.from_file(tmp_path / "key").key_ids) == MAX_KEYS
