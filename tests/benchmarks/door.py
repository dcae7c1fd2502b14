"""The webhook's door against a bare Starlette app: requests a second, latencies, and what a kill -9 loses.

Three servers and the product's web process stand side by side on one database with durable commits; a client process
loads one after the other, round by round in changing order. The faster bare app is the floor.
"""

import base64
import secrets
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psycopg

from app.demo import free_port
from app.sandbox import SandboxGitHub
from app.sandbox.keys import make_private_key
from app.store.migrations import migrate
from app.store.url import conninfo
from tests.benchmarks import floor, load
from tests.benchmarks.figures import paired_ratio, percentile, table, verdict
from tests.benchmarks.processes import Server, child_env, running
from tests.database import made_database

OURS = "trackside web"
BARE = ("async", "threads")
AIM = 0.8
AIM_P99_MS = 50.0
ROUNDS = 7
BUDGET_S = 40.0
"""Of the rounds at one number of connections; a busy machine gets fewer of them, but LEAST_ROUNDS."""
LEAST_ROUNDS = 3
CONNECTIONS = (16, 32)
COUNT = 1000
"""Requests of one round."""
RATE, PACED_COUNT, PACED_ROUNDS = 200.0, 800, 3
KILL_AFTER = 1500
"""Rows after which the web process is killed."""


@dataclass(frozen=True, slots=True)
class Doors:
    """What is loaded: ports by name, one database, one signed body."""

    ports: dict[str, int]
    web: Server
    url: str
    secret: str
    body_file: Path

    def load(self, name: str, *, connections: int, count: int, rate: float = 0.0) -> load.Measured:
        """One round of one server. Raises: AssertionError when an answer was not 202."""
        order = load.Order(
            port=self.ports[name],
            secret=self.secret,
            body_file=str(self.body_file),
            connections=connections,
            count=count,
            rate=rate,
        )
        measured = load.finish(load.start(order))
        assert measured.statuses == {"202": count}, f"{name} answered {measured.statuses}, {measured.broken} broke off"
        return measured


def measure(server_url: str) -> str:
    """The tables. `server_url`: a PostgreSQL with durable commits."""
    with _open_doors(server_url) as doors:
        for name in doors.ports:
            doors.load(name, connections=16, count=200)
        said = _rates(doors)
        said += _kill(doors)
    return said


def _rates(doors: Doors) -> str:
    names, rows, ratios = list(doors.ports), [], []
    fastest, taken = BARE[0], ROUNDS
    for connections in CONNECTIONS:
        rounds = _rounds(doors, names, connections)
        taken = min(taken, len(rounds[OURS]))
        rates = {name: [COUNT / one.took_s for one in rounds[name]] for name in names}
        fastest = max(BARE, key=lambda name: median(rates[name]))
        for name in names:
            ratio = paired_ratio(rates[name], rates[fastest])
            latencies = [value for one in rounds[name] for value in one.latencies_s]
            figures = (percentile(latencies, 0.5), percentile(latencies, 0.99))
            label = f"{_label(name)}{' (the floor)' if name == fastest else ''}"
            times = [f"{value * 1000:.1f}" for value in figures]
            rows.append([label, str(connections), f"{median(rates[name]):.0f}", *times, f"{ratio:.2f}"])
            ratios += [verdict(ratio, AIM, is_at_least=True)] if name == OURS else []
    title = f"Door: medians of {taken} interleaved rounds of {COUNT} requests of {doors.body_file.stat().st_size} bytes"
    columns = ["server", "connections", "requests/s", "p50 ms", "p99 ms", "of the floor's rate"]
    said = f"Of the floor's rate, at {' and '.join(map(str, CONNECTIONS))} connections: {'; '.join(ratios)}"
    return table(title, columns, rows) + f"\n{said}\n\n" + _paced(doors, fastest)


def _rounds(doors: Doors, names: list[str], connections: int) -> dict[str, list[load.Measured]]:
    found: dict[str, list[load.Measured]] = defaultdict(list)
    end = time.monotonic() + BUDGET_S
    for number in range(ROUNDS):
        if number >= LEAST_ROUNDS and time.monotonic() > end:
            break
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            found[name].append(doors.load(name, connections=connections, count=COUNT))
    return found


def _paced(doors: Doors, fastest: str) -> str:
    """Latencies at a rate that is far from the limit."""
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(PACED_ROUNDS):
        for name in (OURS, fastest) if number % 2 else (fastest, OURS):
            measured = doors.load(name, connections=32, count=PACED_COUNT, rate=RATE)
            found[name] += measured.latencies_s
    rows = [
        [_label(name), *(f"{percentile(values, share) * 1000:.1f}" for share in (0.5, 0.9, 0.99, 1.0))]
        for name, values in found.items()
    ]
    p99_ms = percentile(found[OURS], 0.99) * 1000
    said = f"p99 {p99_ms:.1f} ms (aim: under {AIM_P99_MS:g}; {'met' if p99_ms < AIM_P99_MS else 'missed'})"
    title = f"Door at {RATE:g} requests/s: {PACED_ROUNDS} rounds of {PACED_COUNT}, counted from when each was due"
    return table(title, ["server", "p50 ms", "p90 ms", "p99 ms", "worst ms"], rows) + f"\n{said}\n\n"


def _kill(doors: Doors) -> str:
    """kill -9 of the web process under load: every 202 has its row, and every row that waits has its one job."""
    guid_file = doors.body_file.with_name("guids")
    order = load.Order(
        port=doors.ports[OURS],
        secret=doors.secret,
        body_file=str(doors.body_file),
        connections=32,
        count=1_000_000,
        guid_file=str(guid_file),
    )
    with psycopg.connect(conninfo(doors.url), autocommit=True) as connection:
        connection.execute("TRUNCATE deliveries, procrastinate_jobs CASCADE")
        child = load.start(order)
        pause = threading.Event()
        while _count(connection, "SELECT count(*) FROM deliveries") < KILL_AFTER:
            assert child.poll() is None, "the client ended before the web process was killed"
            pause.wait(0.02)
        doors.web.kill()
        measured = load.finish(child)
        answered = guid_file.read_text().split()
        stored = _count(connection, "SELECT count(*) FROM deliveries")
        kept = _count(connection, "SELECT count(*) FROM deliveries WHERE guid = ANY(%s)", answered)
        jobs = _count(
            connection,
            "SELECT count(*) FROM deliveries d"
            " WHERE (SELECT count(*) FROM procrastinate_jobs WHERE args->>'guid' = d.guid) = 1",
        )
    assert measured.statuses.get("202", 0) == len(answered), "the client lost count"
    lost, without_job = len(answered) - kept, stored - jobs
    return (
        f"kill -9 of the web process under load: {len(answered)} answered with 202, {lost} of them lost; "
        f"{stored} rows stored, {without_job} of them without their job\n"
    )


def _count(connection: "psycopg.Connection[tuple[object, ...]]", statement: str, *values: object) -> int:
    row = connection.execute(statement.encode(), values or None).fetchone()
    return int(str(row[0])) if row else 0


def _label(name: str) -> str:
    return {"async": "bare, asynchronous", "threads": "bare, threads", "job": "bare, threads, row with its job"}.get(
        name, name
    )


@contextmanager
def _open_doors(server_url: str) -> Iterator[Doors]:
    """Every server on one fresh database."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-door-")))
        url = stack.enter_context(made_database(server_url))
        migrate(url)
        with psycopg.connect(conninfo(url), autocommit=True) as connection:
            connection.execute(floor.TABLE)
        secret = secrets.token_hex(32)
        body_file = root / "push.json"
        body_file.write_bytes(_push_payload(root / "github"))
        ports, servers = {}, {}
        for name in (*floor.KINDS, OURS):
            ports[name] = port = free_port()
            module = ("app.cli", "web") if name == OURS else ("tests.benchmarks.floor", name)
            env = _environ(root, url, secret, port)
            log_file = root / f"{name.replace(' ', '-')}.log"
            servers[name] = stack.enter_context(running(module, env, port=port, log_file=log_file))
        yield Doors(ports, servers[OURS], url, secret, body_file)


def _environ(root: Path, url: str, secret: str, port: int) -> dict[str, str]:
    return child_env(
        {
            "DATABASE_URL": url,
            "GITHUB_WEBHOOK_SECRET": secret,
            "PORT": str(port),
            "GITHUB_APP_ID": "4711",
            "GITHUB_PRIVATE_KEY": make_private_key(),
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
            "DATA_DIR": str(root / "data"),
            "ENCRYPTION_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
            "LOG_LEVEL": "warning",
        }
    )


def _push_payload(root: Path) -> bytes:
    """The body of a push of two commits, as the stand-in GitHub sends it."""
    github = SandboxGitHub(root)
    repo = github.create_repository("acme", "infrastructure", files={"README.md": "# infrastructure\n"})
    github.webhook_url = f"http://127.0.0.1:{free_port()}/"  # nobody is there: its log keeps the body all the same
    changes = [
        repo.change({f"stacks/{name}/main.tf": "", f"stacks/{name}/outputs.tf": ""}, f"Release {name}")
        for name in ("network", "storage")
    ]
    repo.push_commits("main", changes)
    github.wait_deliveries()
    body = next(one.body for one in github.deliveries if one.event == "push")
    github.post.close()
    return body
