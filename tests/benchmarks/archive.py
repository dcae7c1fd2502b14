"""The handover of a 100 MB workspace: packed, encrypted, stored, fetched, restored; beside tar, zstd and openssl.

Both in processes of their own, in turns, on the same folder. Memory is the peak of the process above what it has idle.
"""

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from app.core.names import Secret
from app.engine.archive import pack, restore
from app.engine.workspace import Workspace, WorkspaceRoot
from app.store.artifacts_disk import DiskArtifacts
from app.vault.keys import new_data_key
from app.vault.stream import stream_cipher
from tests.benchmarks.figures import paired_ratio, table, verdict

MIB = 1024 * 1024
SIZE_BYTES = 100 * MIB
ROUNDS = 7
RUN = "01JABCDEFGHJKMNPQRSTVWXYZ0"
KEY_BYTES = 1024 * MIB


def measure(_server_url: str) -> str:
    """The section of docs/benchmarks.md."""
    folder = Path(tempfile.mkdtemp(prefix="bench-archive-"))
    try:
        workspace = WorkspaceRoot(folder / "runs").open(RUN)
        size, count = _fill(workspace)
        ours: list[dict[str, float]] = []
        floor: list[dict[str, float]] = []
        for number in range(ROUNDS + 1):
            if number % 2:
                floor.append(_by_hand(folder, workspace.path))
            ours.append(_product(folder))
            if not number % 2:
                floor.append(_by_hand(folder, workspace.path))
        return _page(ours[1:], floor[1:], size, count)  # the first round warms the disk's cache
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _page(ours: list[dict[str, float]], floor: list[dict[str, float]], size: int, count: int) -> str:
    rows = []
    for name, mine in (("product", ours), ("tar, zstd -1, openssl", floor)):
        parts = [f"{median(one[part] for one in mine) * 1000:.0f}" for part in ("there", "back", "both", "cpu")]
        stored = f"{median(one['stored'] for one in mine) / MIB:.1f}"
        rows.append([name, *parts, f"{min(one['both'] for one in mine) * 1000:.0f}", stored])
    title = f"Handover of {size / MIB:.0f} MiB in {count} files: medians of {len(ours)} pairs"
    page = table(
        title, ["way", "pack and store ms", "fetch and restore ms", "both ms", "CPU ms", "best", "stored MiB"], rows
    )
    ratio = paired_ratio([one["both"] for one in ours], [one["both"] for one in floor])
    cpu = paired_ratio([one["cpu"] for one in ours], [one["cpu"] for one in floor])
    peak = max(one["peak"] for one in ours) / MIB
    said = f"Ratio {verdict(ratio, 1.2, is_at_least=False)}; of processor time alone {cpu:.2f}."
    word = "met" if peak <= 64 else "missed"
    return f"{page}\n{said} Peak memory above idle: {peak:.0f} MiB (aim: at most 64; {word}).\n"


def _fill(workspace: Workspace) -> tuple[int, int]:
    """Much like a workspace with modules: text that compresses, and binaries that hardly do."""
    size = count = 0
    words = hashlib.shake_256(b"words").hexdigest(32 * 1024).encode()
    while size < SIZE_BYTES:
        path = workspace.source / f"module-{count % 40}" / f"file-{count}"
        path.parent.mkdir(exist_ok=True)
        seed = str(count).encode()
        data = hashlib.shake_256(seed).digest(2 * MIB) if count % 8 == 0 else (seed + words) * 6
        path.write_bytes(data)
        size, count = size + len(data), count + 1
    workspace.plan_file.write_bytes(hashlib.shake_256(b"plan").digest(64 * 1024))
    return size + 64 * 1024, count + 1


def _product(folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.archive", str(folder)], capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _by_hand(folder: Path, root: Path) -> dict[str, float]:
    stored, out = folder / "by-hand", folder / "by-hand-out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    key = "-aes-256-ctr -K " + "1f" * 32 + " -iv " + "2e" * 16
    spent = _spent_s(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    _shell(f"tar -C {root} -cf - source plan.tfplan | zstd -1 -q -T2 | openssl enc {key} > {stored}; sync {stored}")
    middle = time.perf_counter()
    _shell(f"openssl enc -d {key} < {stored} | zstd -d -q | tar -C {out} -xf -")
    end = time.perf_counter()
    found = {"there": middle - start, "back": end - middle, "both": end - start, "stored": stored.stat().st_size}
    return found | {"cpu": _spent_s(resource.RUSAGE_CHILDREN) - spent}


def _shell(command: str) -> None:
    subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], check=True)


def _once(folder: Path) -> dict[str, float]:
    """One round of the product's own way, in this process."""
    path = folder / "runs" / RUN
    workspace, artifacts = Workspace(path), DiskArtifacts(folder / "artifacts")
    cipher = stream_cipher(Secret(new_data_key().reveal()), {"run": RUN})
    with open(os.devnull, "wb") as nothing, cipher.encrypting(nothing) as warm:  # the libraries are loaded when idle
        warm.write(b"x")
    idle, spent = _peak_bytes(), _spent_s(resource.RUSAGE_SELF)
    packed = folder / "packed"
    start = time.perf_counter()
    with packed.open("wb") as out:
        info = pack(workspace, out, cipher=cipher, max_bytes=KEY_BYTES)
    with packed.open("rb") as source:
        artifacts.put("workspaces/one", source, max_bytes=KEY_BYTES)
    middle = time.perf_counter()
    target = Workspace(folder / "restored" / RUN)
    shutil.rmtree(target.path, ignore_errors=True)
    for part in (target.path, target.source, target.data_dir, target.tmp, target.home):
        part.mkdir(parents=True)
    again = time.perf_counter()
    with artifacts.open("workspaces/one") as archive, packed.open("wb") as fetched:
        shutil.copyfileobj(archive, fetched, MIB)
    # A plan is bound to its path: the folder is moved there, as another machine would have it.
    path.rename(folder / "planned")
    target.path.rename(path)
    with packed.open("rb") as archive:
        restore(workspace, archive, cipher=cipher)
    end = time.perf_counter()
    peak, cpu = _peak_bytes() - idle, _spent_s(resource.RUSAGE_SELF) - spent
    shutil.rmtree(path)
    (folder / "planned").rename(path)
    artifacts.delete("workspaces/one")
    there, back = middle - start, end - again
    return {"there": there, "back": back, "both": there + back, "stored": info.size_bytes, "peak": peak, "cpu": cpu}


def _spent_s(whose: int) -> float:
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    print(json.dumps(_once(Path(sys.argv[1]))))
