"""Whether and how this machine can shut a run's commands away: bubblewrap, tried out once, when a worker starts.

Knows the machine, nothing of runs; `app.engine.box` is one run's box. Containers often forbid namespaces, so every way
is tried with a command that has to write where a run writes.
"""

import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal

from app.core.errors import TracksideError, UserError
from app.engine.process import run

Wanted = Literal["auto", "bubblewrap", "none"]
WORKSPACE: Final = Path("/workspace")
"""Where a run's workspace is for the commands of every isolated worker."""
_UIDS: Final = 10_000
_FIRST_UIDS: Final = (1_900_000_000, 50_000)
"""Ranges of user ids that no distribution hands out; the second for containers that have 65,536 ids."""
_INSIDE_UID: Final = 1_000
"""What a run's user is called inside a user namespace."""
_SHM_BYTES: Final = 64 * 1024 * 1024
_TIMEOUT_S: Final = 20.0
_IN_FOLDER: Final = ("/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "sh")
"""Enters the folder as the run's user: root without its capabilities may not."""
_ETC: Final = (
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "gai.conf",
    "host.conf",
    "hosts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "nsswitch.conf",
    "pki/ca-trust/extracted",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "protocols",
    "resolv.conf",
    "services",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
)
"""What of /etc is shown, where it is there: names, certificates (no private keys), libraries, the clock's zone."""


class Kind(StrEnum):
    """How commands are kept apart from the worker."""

    NONE = "none"
    """They are not."""
    OWN_USER = "own user"
    """The worker is root: a user id for each run."""
    USER_NAMESPACE = "user namespace"
    """The worker is not: its own user id, in a user namespace without any power."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """What a worker found, for all of its runs."""

    kind: Kind = Kind.NONE
    bwrap: str = ""
    setpriv: str = ""
    first_uid: int = 0
    is_nested_forbidden: bool = False
    """True when no further user namespace can be made inside."""
    readable: tuple[Path, ...] = ()
    """Folders of this machine that every run may read, beyond the system's own."""
    why_not: str = ""
    """Why there is none, in words."""

    @property
    def is_on(self) -> bool:
        """True when commands run in a box."""
        return self.kind is not Kind.NONE

    @property
    def summary(self) -> str:
        """For people: what holds, or why nothing does."""
        match self.kind:
            case Kind.OWN_USER:
                return f"bubblewrap, a user id for each run (from {self.first_uid} on)"
            case Kind.USER_NAMESPACE:
                return "bubblewrap, in a user namespace"
            case Kind.NONE:
                return f"none: {self.why_not}"

    def uid_of(self, run_id: str) -> int:
        """The user id that a run's commands have outside: its own, or the worker's."""
        if self.kind is not Kind.OWN_USER:
            return os.geteuid()
        return self.first_uid + zlib.crc32(run_id.encode()) % _UIDS

    def argv(self, binds: Sequence[str], command: Sequence[str], *, cwd: str, uid: int) -> list[str]:
        """The argument vector that runs a command in a box with these binds (options of bwrap).

        Source: https://manpages.debian.org/bookworm/bubblewrap/bwrap.1.en.html
        """
        is_root = self.kind is Kind.OWN_USER
        user = ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"]
        if not is_root:
            inside = str(_INSIDE_UID)
            user = ["--unshare-user", "--uid", inside, "--gid", inside]
            user += ["--disable-userns"] if self.is_nested_forbidden else []
        become = [self.setpriv, f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        become += ["--inh-caps=-all", "--bounding-set=-all", "--", *_IN_FOLDER, cwd]
        return [
            self.bwrap,
            *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "trackside"),
            *("--die-with-parent", "--cap-drop", "ALL", *user),
            *_system(),
            *("--proc", "/proc", "--dev", "/dev"),
            *("--perms", "1777", "--size", str(_SHM_BYTES), "--tmpfs", "/dev/shm"),  # noqa: S108 - inside
            *("--perms", "0755", "--dir", str(WORKSPACE)),
            *binds,
            *(option for path in self.readable for option in shown(path)),
            *("--remount-ro", "/dev", "--remount-ro", "/"),
            *(("--chdir", "/", "--", *become) if is_root else ("--chdir", cwd, "--")),
            *command,
        ]

    @property
    def inside_uid(self) -> int | None:
        """The user id that commands see themselves with; None: the one that they have."""
        return _INSIDE_UID if self.kind is Kind.USER_NAMESPACE else None


def find_isolation(wanted: Wanted, *, readable: Sequence[Path] = (), search_path: str = os.defpath) -> Isolation:
    """What this machine can do, as far as it is wanted.

    Raises: UserError when bubblewrap is demanded and does not work here.
    """
    if wanted == "none":
        return Isolation(why_not="ISOLATION=none")
    missing = [str(path) for path in readable if not path.is_absolute() or not path.exists()]
    if missing:
        raise UserError(f"reading ISOLATION_READABLE: not an absolute path that exists: {', '.join(missing)}")
    bwrap = shutil.which("bwrap", path=search_path)
    if bwrap is None:
        why_not = "there is no bwrap on PATH; install bubblewrap"
    else:
        reasons = []
        for candidate in _candidates(bwrap, search_path, tuple(readable)):
            reason = try_out(candidate)
            if not reason:
                return candidate
            reasons.append(f"{candidate.kind.value}: {reason}")
        why_not = "bubblewrap does not work here: " + "; ".join(dict.fromkeys(reasons))
    if wanted == "bubblewrap":
        raise UserError(f"starting with ISOLATION=bubblewrap: {why_not}")
    return Isolation(why_not=why_not)


def _candidates(bwrap: str, search_path: str, readable: tuple[Path, ...]) -> Iterator[Isolation]:
    setpriv = shutil.which("setpriv", path=search_path)
    if os.geteuid() == 0 and setpriv is not None:
        for first_uid in _FIRST_UIDS:
            yield Isolation(kind=Kind.OWN_USER, bwrap=bwrap, setpriv=setpriv, first_uid=first_uid, readable=readable)
    for is_forbidden in (True, False):  # bubblewrap before 0.8 cannot
        yield Isolation(kind=Kind.USER_NAMESPACE, bwrap=bwrap, is_nested_forbidden=is_forbidden, readable=readable)


def try_out(isolation: Isolation) -> str:
    """Nothing when a command runs in it and writes where a run writes; else why not."""
    with tempfile.TemporaryDirectory(prefix="trackside-box-") as folder:
        uid = isolation.uid_of("")
        binds = ["--bind", folder, str(WORKSPACE)]
        command = ["/bin/sh", "-c", "echo yes > /workspace/tried && test -d /proc/self && ! echo no 2>/dev/null > /no"]
        try:
            if isolation.kind is Kind.OWN_USER:
                os.chown(folder, uid, uid)
            argv = isolation.argv(binds, command, cwd=str(WORKSPACE), uid=uid)
            done = run(argv, env={"PATH": os.defpath}, timeout_s=_TIMEOUT_S)
        except (TracksideError, OSError) as error:
            return str(error)
        if done.code == 0:
            return ""
        return " ".join(done.error_text(300).split()) or f"exit code {done.code}"


def shown(path: Path, *, source: Path | None = None) -> list[str]:
    """Options that show a path of this machine read-only; the folders above it can be entered."""
    return [*parents(path), "--ro-bind", str(source or path), str(path)]


def parents(path: Path) -> list[str]:
    """Options that make the folders above a path: bwrap's own have the mode of what is bound."""
    return [option for parent in reversed(path.parents[:-1]) for option in ("--perms", "0755", "--dir", str(parent))]


def _system() -> list[str]:
    """The system's programs and libraries, and of /etc what they need to reach the network."""
    options = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/", name)
        if path.is_symlink():
            options += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            options += ["--ro-bind", str(path), str(path)]
    for store in ("/nix/store", "/gnu/store"):
        options += shown(Path(store)) if Path(store).is_dir() else []
    known = [path for path in (Path("/etc", name) for name in _ETC) if path.exists()]
    return options + [option for path in known for option in shown(path)]
