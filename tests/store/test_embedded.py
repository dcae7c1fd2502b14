"""The embedded server: started once, shared, and there again after its owner was killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import psycopg
import pytest

from app.store.embedded import EmbeddedPostgres
from app.store.migrations import migrate, pending_migrations
from tests.database import FAST

OWNER = """
import sys
from pathlib import Path
from urllib.parse import unquote
from app.store.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), settings={"fsync": "off"})
print(server.start(), flush=True)
sys.stdin.read()
"""


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "data" / "postmaster.pid").read_text().split("\n", 1)[0])


def test_data_survives_a_killed_owner_and_a_killed_server(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        url = child.stdout.readline().decode().strip()
        migrate(url)
        child.send_signal(signal.SIGKILL)

    server = EmbeddedPostgres(tmp_path, settings=FAST)
    try:
        assert server.start() == url
        assert pending_migrations(url) == []
        os.kill(postmaster(tmp_path), signal.SIGKILL)
        assert server.start() == url
        assert pending_migrations(url) == []
    finally:
        server.stop()
    assert not answers(url)


def test_the_last_one_to_leave_stops_the_server(tmp_path: Path) -> None:
    first, second = (EmbeddedPostgres(tmp_path, settings=FAST) for _ in range(2))
    url = first.start()
    try:
        assert second.start() == url
        first.stop()
        assert answers(url)
    finally:
        second.stop()
    second.stop()
    assert not answers(url)


def test_a_pid_file_with_the_number_of_another_program_is_no_obstacle(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, settings=FAST)
    url = server.start()
    server.stop()
    (tmp_path / "postgres" / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n{tmp_path}\n1\n5432\n\n\n\nready\n")
    try:
        server.start()
        assert answers(url)
    finally:
        server.stop()


def test_a_long_path_has_its_socket_elsewhere_and_private(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    server = EmbeddedPostgres(deep, settings=FAST)
    try:
        url = server.start()
        assert answers(url)
        assert str(deep).replace("/", "%2F") not in url
        sockets = Path(unquote(url.partition("host=")[2]))
        assert sockets.stat().st_mode & 0o077 == 0
    finally:
        server.stop()
    assert not sockets.exists()


def test_the_data_folder_lets_nobody_else_in(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, settings=FAST)
    try:
        server.start()
        assert (tmp_path / "postgres" / "data").stat().st_mode & 0o077 == 0
    finally:
        server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become someone else")
def test_it_runs_for_an_ordinary_account_as_well(tmp_path: Path) -> None:
    account = 65534
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, account, account)
    for folder in tmp_path.parents:
        if folder.stat().st_mode & 0o001 == 0:
            folder.chmod(folder.stat().st_mode | 0o001)
    tmp_path.chmod(0o711)
    mine = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, mine):
        try:
            done = subprocess.run(
                [python, "-c", OWNER.replace("sys.stdin.read()", "server.stop()"), str(home)],
                user=account,
                group=account,
                extra_groups=[],
                env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path)},
                cwd="/",
                capture_output=True,
                check=False,
            )
        except (PermissionError, FileNotFoundError):
            continue
        break
    else:
        pytest.skip("no Python that another account may start")
    assert done.returncode == 0, done.stderr
    assert (home / "postgres" / "data").stat().st_uid == account
