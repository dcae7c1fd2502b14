"""A backup is one file, whole or refused; every row, artifact and key of it comes back, and into an empty place."""

import io
import stat
from pathlib import Path

import psycopg
import pytest

from app.core.errors import UserError
from app.core.setup import fresh
from app.store.artifacts_disk import DiskArtifacts
from app.store.backup import Kept, read_backup, write_backup
from app.store.postgres import PostgresStore
from app.store.url import conninfo
from tests.database import made_store
from tests.store.world import bring_to_confirmed, make_ready_run

KEYS = b"the key file\n"


@pytest.fixture
def before(tmp_path: Path, store: PostgresStore) -> PostgresStore:
    """A store with a confirmed run, which every guard has an eye on, one artifact and a key file."""
    run = make_ready_run(store)
    with store.begin() as tx:
        bring_to_confirmed(tx, run.id)
    DiskArtifacts(tmp_path / "artifacts").put("state/one/two", io.BytesIO(b"sealed"), max_bytes=9)
    (tmp_path / "key").write_bytes(KEYS)
    return store


def write(folder: Path, url: str, *, with_key: bool = True) -> tuple[Path, Kept]:
    """A new backup of the folder's world."""
    file, key = folder / "a.backup", folder / "key" if with_key else None
    return file, write_backup(file, url=url, artifacts=DiskArtifacts(folder / "artifacts"), key_file=key)


def read(file: Path, folder: Path, url: str) -> Kept:
    """Bring it back into a folder and a database."""
    return read_backup(file, url=url, artifacts=DiskArtifacts(folder / "artifacts"), key_file=folder / "key")


def rows(url: str) -> dict[str, list[object]]:
    """Every row of every table, and where the sequences stand."""
    with psycopg.connect(conninfo(url)) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
        found: dict[str, list[object]] = {}
        for (name,) in names:
            words = f"SELECT to_jsonb(t)::text FROM {name} AS t ORDER BY 1"  # noqa: S608 - a table of our own
            found[name] = [row[0] for row in connection.execute(words).fetchall()]
        stand = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"
        found["sequences"] = list(connection.execute(stand).fetchall())
    return found


def test_every_row_artifact_and_key_comes_back(
    before: PostgresStore, database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    file, made = write(tmp_path, database_url)
    assert (made.artifacts, made.has_key, made.size_bytes) == (1, True, file.stat().st_size)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob(".*")] == [], "no draft is left"

    fresh = tmp_path / "fresh"
    assert read(file, fresh, empty_database_url).made_at == made.made_at
    assert rows(empty_database_url) == rows(database_url)
    assert (fresh / "key").read_bytes() == KEYS
    assert stat.S_IMODE((fresh / "key").stat().st_mode) == 0o600
    with DiskArtifacts(fresh / "artifacts").open("state/one/two") as artifact:
        assert artifact.read() == b"sealed"
    with made_store(empty_database_url) as after, pytest.raises(Exception, match="append-only"), after.begin() as tx:
        tx._connection.exec_driver_sql("DELETE FROM confirmations")  # the guards watch again


def test_nobody_is_logged_in_by_a_backup(
    before: PostgresStore, database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    """Sessions may have been ended since, and codes used."""
    with before.begin() as tx:
        tx.add_session("a" * 64, b"sealed")
        tx.add_login("b" * 64, browser="c", sealed=b"sealed")
        tx.save_setup(fresh("code", tx.now()))
    file, _ = write(tmp_path, database_url)
    read(file, tmp_path / "fresh", empty_database_url)
    found = rows(empty_database_url)
    assert (found["sessions"], found["logins"], found["app_setups"]) == ([], [], [])


def test_a_backup_that_is_no_whole_one_changes_nothing(
    before: PostgresStore, database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    """Cut anywhere, changed, or something else: refused with a sentence; no table is made and no key written."""
    file, _ = write(tmp_path, database_url)
    with pytest.raises(UserError, match="it exists already"):
        write(tmp_path, database_url)
    whole = file.read_bytes()
    middle = len(whole) // 2
    wrong = {
        "cut short": whole[:middle],
        "cut by a byte": whole[:-1],
        "changed": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "empty": b"",
        "something else": b"BEGIN;" * 1000,
    }
    for name, data in wrong.items():
        bad = tmp_path / "bad.backup"
        bad.write_bytes(data)
        with pytest.raises(UserError, match=f"^reading backup {bad}: ") as refused:
            read(bad, tmp_path / "fresh", empty_database_url)
        assert str(refused.value).strip() != "", name
        assert not (tmp_path / "fresh").exists(), name
    assert rows(empty_database_url) == {"sequences": []}
    with pytest.raises(UserError, match=r"reading backup .*: No such file"):
        read(tmp_path / "nowhere", tmp_path / "fresh", empty_database_url)


def test_nothing_is_written_over(
    before: PostgresStore, database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    """A database with rows, another key at the key's place: refused; a restore that broke off can be done again."""
    file, _ = write(tmp_path, database_url)
    with pytest.raises(UserError, match="it is not empty"):
        read(file, tmp_path / "fresh", database_url)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "key").write_bytes(b"another key")
    with pytest.raises(UserError, match="another one is there already"):
        read(file, tmp_path / "other", empty_database_url)
    (tmp_path / "other" / "key").unlink()
    assert read(file, tmp_path / "other", empty_database_url).artifacts == 1


def test_a_backup_without_keys_holds_none(
    before: PostgresStore, database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    file, made = write(tmp_path, database_url, with_key=False)
    assert not made.has_key
    assert not read(file, tmp_path / "fresh", empty_database_url).has_key
    assert not (tmp_path / "fresh" / "key").exists()
    (tmp_path / "key").unlink()
    with pytest.raises(UserError, match=r"reading key file .*; --without-keys leaves it out"):
        write_backup(
            tmp_path / "b", url=database_url, artifacts=DiskArtifacts(tmp_path / "a"), key_file=tmp_path / "key"
        )
    assert not (tmp_path / "b").exists()


def test_a_database_of_another_version_is_not_backed_up(empty_database_url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `trackside migrate` first"):
        write(tmp_path, empty_database_url, with_key=False)
    assert list(tmp_path.iterdir()) == []
