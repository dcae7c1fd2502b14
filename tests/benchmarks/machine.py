"""What the numbers were measured on: cores, memory, load, and the versions of what was running.

Asks the machine; starts nothing but `terraform version` and `git version`.
"""

import os
import platform
from pathlib import Path

import psycopg

from app.engine.process import base_env, run
from app.engine.tools import find_engine
from app.store.url import conninfo

_GIB = 1024**3


def machine_facts(server_url: str) -> str:
    """One line of facts. `server_url`: a PostgreSQL that is asked for its version."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    engine = find_engine("terraform", search_path=os.environ.get("PATH", os.defpath))
    facts = [
        f"{len(os.sched_getaffinity(0))} cores",
        f"{memory:.0f} GB memory",
        f"load {os.getloadavg()[0]:.1f} at the start",
        f"Python {platform.python_version()}",
        f"PostgreSQL {postgres_version(server_url)}",
        engine.label,
        run(["git", "version"], env=base_env(Path.home())).stdout.decode().strip(),
    ]
    return ", ".join(facts)


def postgres_version(server_url: str) -> str:
    """The server's version."""
    with psycopg.connect(conninfo(server_url)) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return str(row[0]).split(" ")[0] if row else "unknown"
