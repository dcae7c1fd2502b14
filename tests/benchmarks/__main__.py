"""`python -m tests.benchmarks [PART…]`: prints tables for docs/benchmarks.md; the parts are PARTS, below.

Never part of the tests' run. Every ratio is against a floor of the same run; the method is in docs/benchmarks.md.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.store.embedded import EmbeddedPostgres
from tests.benchmarks import archive, claims, confirm, door, large_plan, policy, polls, push, request_count
from tests.benchmarks.machine import machine_facts

PARTS: dict[str, Callable[[str], str]] = {
    "door": door.measure,
    "push": push.measure,
    "requests": request_count.measure,
    "policy": policy.measure,
    "archive": archive.measure,
    "plan": large_plan.measure,
    "polls": polls.measure,
    "claims": claims.measure,
    "confirm": confirm.measure,
}


@contextmanager
def durable_server() -> Iterator[str]:
    """The URL of an embedded PostgreSQL with its own defaults: every commit reaches the disk."""
    folder = Path(tempfile.mkdtemp(prefix="bench-postgres-"))
    folder.chmod(0o711)  # run by root, the server has an account of its own that passes through
    server = EmbeddedPostgres(folder)
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main(names: list[str]) -> int:
    """Measure the named parts, or all; the exit code."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"measuring {unknown[0]}: no such part; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    start = time.monotonic()
    with durable_server() as url:
        print(f"Measured on: {machine_facts(url)}\n", flush=True)
        for name in names or PARTS:
            print(f"### {name}\n\n{PARTS[name](url)}", flush=True)
    print(f"took {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
