"""GitHub API requests of one tracked run, from push to applied, in the order in which GitHub answered.

The first run of a fresh installation pays for the installation's token; the next ones find it cached.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from app.sandbox import Repo
from app.sandbox.records import RequestRecord
from tests.benchmarks.figures import table
from tests.benchmarks.product import PERSON, STACKS, Product, open_product, stack_files

AIM = 12
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
    return _totals(counted) + "".join("\n" + _order(one) for one in counted)


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
