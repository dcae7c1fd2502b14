"""What a command may take: time, silence, memory, processes, disk; and the watch that notices when it takes more.

Knows processes and folders, nothing of terraform. What the kernel can hold is a resource limit; what it cannot (the
memory of several processes, a folder's size, silence) is looked at while the command runs.
"""

import os
import resource
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

MIB: Final = 1024 * 1024
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_LONGEST_PATH: Final = os.pathconf("/", "PC_PATH_MAX") - 256
"""A path that is longer may hold names that no call takes."""
_LOOK_EVERY_S: Final = 1.0
_DISK_SHARE: Final = 20
"""A folder is measured again after this many times what measuring it took."""
OOM_SCORE: Final = 500
"""How much more likely the kernel ends a command than the worker, when the machine has no memory left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one assignment's commands; 0: none."""

    init_s: float = 0
    plan_s: float = 0
    """Also for reading the plan."""
    apply_s: float = 0
    hook_s: float = 0
    """One line of a hook."""
    run_s: float = 0
    """Everything that one assignment runs."""
    silence_s: float = 0
    """How long a command may print nothing."""
    output_bytes: int = 0
    """What one command may print; the log keeps less."""
    memory_bytes: int = 0
    """Of all processes of a command together, and of each by itself."""
    processes: int = 0
    """Processes and threads of a command."""
    workspace_bytes: int = 0

    def time_s(self, step: str) -> float:
        """How long a step's command may take; 0: as long as it wants."""
        return {"init": self.init_s, "plan": self.plan_s, "apply": self.apply_s, "hook": self.hook_s}.get(step, 0)


@dataclass(slots=True, kw_only=True)
class Watch:
    """Looks at one running command."""

    limits: Limits
    step: str
    leader: int
    """Process id of its group's leader: what it started hangs below it."""
    folder: Path | None = None
    """The workspace."""
    run_until: float = 0
    """When the whole run's time is over, by the monotonic clock; 0: never."""
    _began: float = field(default_factory=time.monotonic)
    _heard: float = field(default_factory=time.monotonic)
    _printed: int = 0
    _look_at: float = 0
    _measure_at: float = 0

    def hear(self, size_bytes: int) -> None:
        """It printed that much."""
        self._heard = time.monotonic()
        self._printed += size_bytes

    def excess(self) -> str:
        """What it takes too much of, in words; empty while all is well."""
        now, limits = time.monotonic(), self.limits
        if 0 < limits.time_s(self.step) < now - self._began:
            return f"it took longer than {in_words(limits.time_s(self.step))}"
        if 0 < self.run_until < now:
            return f"the run took longer than {in_words(limits.run_s)}"
        if 0 < limits.silence_s < now - self._heard:
            return f"it printed nothing for {in_words(limits.silence_s)}"
        if 0 < limits.output_bytes < self._printed:
            return f"it printed more than {limits.output_bytes // MIB} MiB"
        if now < self._look_at:
            return ""
        self._look_at = now + _LOOK_EVERY_S
        return self._look() or self._measure(now)

    def _look(self) -> str:
        if not (self.limits.memory_bytes or self.limits.processes):
            return ""
        found = descendants(self.leader)
        if 0 < self.limits.processes < len(found):
            return f"it started more than {self.limits.processes} processes"
        used = sum(_memory_bytes(pid) for pid in found)
        if 0 < self.limits.memory_bytes < used:
            return f"it used more than {self.limits.memory_bytes // MIB} MiB of memory"
        return ""

    def _measure(self, now: float) -> str:
        if self.folder is None or not self.limits.workspace_bytes or now < self._measure_at:
            return ""
        size = folder_bytes(self.folder, enough=self.limits.workspace_bytes)
        self._measure_at = now + max(_LOOK_EVERY_S, _DISK_SHARE * (time.monotonic() - now))
        return too_large(self.limits.workspace_bytes) if size > self.limits.workspace_bytes else ""


def too_large(limit_bytes: int) -> str:
    """Why a workspace goes no further."""
    return f"the workspace is larger than {limit_bytes // MIB} MiB"


def restrain(pid: int, limits: Limits, *, is_own_user: bool) -> None:
    """Resource limits of a process that has not begun yet; what it starts inherits them.

    `is_own_user`: its user id is the run's alone. Else the processes that its user has anyway are added to the bound.
    """
    bounds = {resource.RLIMIT_CORE: 0}
    if limits.memory_bytes:
        bounds[resource.RLIMIT_DATA] = limits.memory_bytes  # not RLIMIT_AS: Go reserves far more than it uses
    if limits.workspace_bytes:
        bounds[resource.RLIMIT_FSIZE] = limits.workspace_bytes
    if limits.processes:
        bounds[resource.RLIMIT_NPROC] = limits.processes + (0 if is_own_user else _tasks_of(os.geteuid()))
    for number, value in bounds.items():
        with suppress(OSError, ValueError):  # a hard limit below it holds already; gone: nothing to hold
            _, hard = resource.prlimit(pid, number)
            capped = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.prlimit(pid, number, (capped, capped))
    with suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(OOM_SCORE))


def descendants(leader: int) -> list[int]:
    """The leader, what hangs below it, and what else is in its session."""
    parents, sessions = dict[int, int](), dict[int, int]()
    for pid, fields in _stats():
        parents[pid], sessions[pid] = int(fields[1]), int(fields[3])
    found = {leader} | {pid for pid, session in sessions.items() if session == leader}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def group_members(group: int) -> list[int]:
    """Who is in a process group, its leader aside."""
    return [pid for pid, fields in _stats() if int(fields[2]) == group and pid != group]


def folder_bytes(folder: Path, *, enough: int) -> int:
    """The size of all files below a folder, counted until it is more than `enough`. Links are not followed. Folders
    nested so deep that they cannot be looked into count as more than enough."""
    size, waiting, seen = 0, [folder], set[int]()
    while waiting and size <= enough:
        here = waiting.pop()
        if len(os.fsencode(here)) >= _LONGEST_PATH:
            return enough + 1
        with suppress(OSError), os.scandir(here) as entries:
            for entry in entries:
                facts = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(facts.st_mode):
                    waiting.append(Path(entry.path))
                elif facts.st_nlink == 1 or facts.st_ino not in seen:
                    seen.add(facts.st_ino)
                    size += facts.st_size
    return size


def in_words(seconds: float) -> str:
    """`70 minutes`, `0.5 s`."""
    minutes = round(seconds / 60)
    if seconds < 60 or minutes * 60 != seconds:
        return f"{seconds:g} s"
    return f"{minutes} minutes" if minutes != 1 else "a minute"


def processes() -> list[int]:
    """Every process of this machine that this one sees."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _stats() -> Iterator[tuple[int, list[str]]]:
    """Every process, with the fields of its `stat` after the name: state, parent, group, session, …"""
    for pid in processes():
        with suppress(OSError):
            text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
            yield pid, text.rpartition(")")[2].split()


def _memory_bytes(pid: int) -> int:
    """What a process alone has of the memory: pages of files are shared, and can be given back."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * _PAGE_BYTES if len(fields) > 2 else 0


def _tasks_of(uid: int) -> int:
    """Threads that a user has now."""
    count = 0
    for pid, fields in _stats():
        with suppress(OSError):
            if os.stat(f"/proc/{pid}").st_uid == uid:
                count += int(fields[17])
    return count
