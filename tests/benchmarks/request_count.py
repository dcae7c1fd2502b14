"""GitHub API requests of one tracked run, from push to applied, in the order in which GitHub answered.

The first run of a fresh installation pays for the installation's token; the next ones find it cached.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.core.run import Step
from app.sandbox import Repo
from app.sandbox.records import RequestRecord
from app.store.migrations import migrate
from tests.benchmarks.figures import table
from tests.benchmarks.product import PERSON, STACKS, Product, open_product, stack_files
from tests.database import made_database
from tests.flows.outbox import Outbox, open_outbox

AIM = 12
CROWDS = (1, 20, 200)
_SHA = re.compile(r"\b[0-9a-f]{40}\b")
_NUMBER = re.compile(r"/\d+")
KINDS = (
    ("access_tokens", "token"),
    ("/installation/token", "token revoked"),
    ("/permission", "permission"),
    ("check-runs", "check run"),
    ("deployments", "deployment"),
    ("reactions", "reaction"),
    ("comments", "comment"),
    ("/pulls", "pull request"),
)


@dataclass(frozen=True, slots=True)
class Counted:
    """One way from push to applied."""

    name: str
    requests: Sequence[RequestRecord]


def measure(server_url: str) -> str:
    """The tables. `server_url`: a PostgreSQL."""
    with open_product(server_url) as product:
        repo = product.repository("infra")
        counted = [
            Counted("first run of the installation, by button", _by_button(product, repo, "one")),
            Counted("next run, by button", _by_button(product, repo, "two")),
            Counted("next run, by comment on the merged pull request", _by_comment(product, repo, "three")),
        ]
    return _totals(counted) + "".join("\n" + _order(one) for one in counted) + "\n" + _crowds(server_url)


def _crowds(server_url: str) -> str:
    """Pushes of many stacks until somebody acts, and the life of a pull request: workers are played by hand."""
    rows = []
    for count in CROWDS:
        with _outbox(server_url) as outbox:
            outbox.world.push(outbox.repo, _many_files(count, "one"), "Everything")
            rows.append(_moved(outbox, f"push of {count} {'stack' if count == 1 else 'stacks'}"))
    with _outbox(server_url) as outbox:
        outbox.world.push(outbox.repo, _many_files(1, "one"), "Everything")
        _moved(outbox, "")
        for waiting in outbox.world.plane.store.list_waiting_runs():
            outbox.move(waiting, Step.DISCARD)  # the merged commit's run has its turn
        _moved(outbox, "")
        outbox.world.push(outbox.repo, _many_files(1, "two"), "Two", branch="change")
        number = outbox.repo.open_pull("change", title="Two", author=PERSON)
        rows.append(_moved(outbox, "pull request opened"))
        for value in ("three", "four", "five", "six", "seven"):
            outbox.world.push(outbox.repo, _many_files(1, value), value, branch="change")
            outbox.deliver()
            outbox.publish_once()
        rows.append(_moved(outbox, "pushed to five times"))
        outbox.repo.merge_pull(number, by=PERSON)
        rows.append(_moved(outbox, "merged"))
    return table("Requests until somebody acts, workers' clone tokens left out", ["event", "questions", "writes"], rows)


def _moved(outbox: Outbox, name: str) -> list[str]:
    """What happened is carried out, planned and told; the requests of it."""
    outbox.deliver()
    outbox.publish_once()
    outbox.plan_all()
    sent = [*outbox.world.github.requests]
    outbox.world.github.requests.clear()
    writes = sum(one.method != "GET" and "access_tokens" not in one.path for one in sent)
    return [name, str(len(sent) - writes), str(writes)]


def _many_files(count: int, value: str) -> dict[str, str]:
    names = [f"stack{number}" for number in range(count)]
    stacks = "".join(f"  - name: {name}\n    project_root: {name}\n" for name in names)
    return {".trackside/stacks.yml": f"version: 1\nstacks:\n{stacks}"} | {
        f"{name}/main.tf": f"# {value}\n" for name in names
    }


@contextmanager
def _outbox(server_url: str) -> Iterator[Outbox]:
    with tempfile.TemporaryDirectory(prefix="bench-outbox-") as folder, made_database(server_url) as url:
        migrate(url)
        with open_outbox(Path(folder), url) as outbox:
            yield outbox


def _by_button(product: Product, repo: Repo, value: str) -> list[RequestRecord]:
    files = {".trackside/stacks.yml": STACKS, **stack_files(value)}
    sha, start = product.hold_push(repo, files, f"Value {value}"), len(product.github.requests)
    product.github.post.release()
    repo.press(product.wait_check(repo, sha, "action_required"), "Confirm", by=PERSON)
    return _until_applied(product, repo, sha, start)


def _by_comment(product: Product, repo: Repo, value: str) -> list[RequestRecord]:
    repo.push("change", files=stack_files(value), message=f"Value {value}", author=PERSON)
    number = repo.open_pull("change", title=f"Value {value}", author=PERSON)
    product.settle()
    product.settle_runs()  # the pull request's own run is not what is counted
    start = len(product.github.requests)
    sha = repo.merge_pull(number, by=PERSON)
    product.wait_check(repo, sha, "action_required")
    product.settle()
    product.github.clock.advance(2)
    repo.comment_on_pull(number, "/trackside confirm", by=PERSON)
    return _until_applied(product, repo, sha, start)


def _until_applied(product: Product, repo: Repo, sha: str, start: int) -> list[RequestRecord]:
    product.wait_check(repo, sha, "success")
    product.wait(lambda: repo.deployments(sha)[0].state == "success", "the deployment succeeded", pause_s=0.02)
    product.settle()
    return product.github.requests[start:]


def _totals(counted: Sequence[Counted]) -> str:
    kinds = [*dict.fromkeys(_kind(request) for one in counted for request in one.requests)]
    rows = []
    for one in counted:
        counts = Counter(_kind(request) for request in one.requests)
        total = len(one.requests)
        said = f"{total} (aim: at most {AIM}; {'met' if total <= AIM else 'missed'})"
        rows.append([one.name, *(str(counts[kind]) for kind in kinds), said])
    return table("GitHub API requests from push to applied", ["way", *kinds, "together"], rows)


def _order(one: Counted) -> str:
    lines = [
        f"{number}. `{request.method} {_generic(request.path)}` {request.status}, as {request.auth}"
        for number, request in enumerate(one.requests, start=1)
    ]
    return f"In order, {one.name}:\n\n" + "\n".join(lines) + "\n"


def _generic(path: str) -> str:
    return _NUMBER.sub("/N", _SHA.sub("SHA", path))


def _kind(request: RequestRecord) -> str:
    return next((kind for part, kind in KINDS if part in request.path), "other")
