"""From a person's yes to the engine's start: the plan that one assignment left is restored by another, and applied.

Also how long it takes until a worker that was killed is missed, with the settings' defaults.
"""

import os
import signal
from collections.abc import Callable
from datetime import datetime
from statistics import median

from app.sandbox import Repo
from tests.benchmarks.figures import percentile, table, verdict
from tests.benchmarks.product import CHECK, PERSON, STACK, STACKS, Product, open_product, stack_files

ROUNDS = 15
AIM_MS = 300.0
LOST_ROUNDS = 2
AIM_S = 30.0
APPLIES = """
resource "terraform_data" "one" {{
  triggers_replace = {number}
  provisioner "local-exec" {{ command = "exec sleep 600" }}
}}
"""
PLANS = """
locals {{ many = sum(flatten([for a in range(250) : [for b in range(250) : a * b]])) }}
resource "terraform_data" "one" {{ input = [{number}, local.many] }}
"""
"""Planning this takes long enough to be killed at."""


def measure(server_url: str) -> str:
    """The tables. `server_url`: a PostgreSQL with durable commits."""
    with open_product(server_url) as product:
        confirmed = _confirm(product)
    with open_product(server_url) as product:
        lost = _lose(product)
    return confirmed + "\n" + lost


def _confirm(product: Product) -> str:
    repo = product.repository("confirmed")
    parts: dict[str, list[float]] = {"confirmed to claimed": [], "claimed to applying": [], "together": []}
    for number in range(ROUNDS):
        files = stack_files(f"value {number}") | ({".trackside/stacks.yml": STACKS} if number == 0 else {})
        sha = _planned(product, repo, files)
        check = repo.check_run(sha, CHECK)
        assert check is not None
        repo.press(check, "Confirm", by=PERSON)
        product.wait_check(repo, sha, "success")
        product.settle_runs()
        at = product.moments(sha)
        parts["confirmed to claimed"].append(_ms(at["confirm"], at["claim"]))
        parts["claimed to applying"].append(_ms(at["claim"], at["apply"]))
        parts["together"].append(_ms(at["confirm"], at["apply"]))
    rows = [
        [name, f"{median(took):.0f}", f"{min(took):.0f}", f"{percentile(took, 0.99):.0f}"]
        for name, took in parts.items()
    ]
    said = table(
        f"Confirm to apply started, {ROUNDS} rounds of the smallest stack", ["part", "ms", "best", "worst"], rows
    )
    aim = verdict(median(parts["confirmed to claimed"]), AIM_MS, is_at_least=False)
    return said + f"\nUntil a worker has it, in ms: {aim}. The rest is the restore: archive, verification, `init`.\n"


def _lose(product: Product) -> str:
    repo = product.repository("lost")
    rows, worst = [], 0.0
    repo.push(files={".trackside/stacks.yml": STACKS}, message="Stacks", author=PERSON)
    product.settle()
    for state, code, brings in (("planning", PLANS, _begin), ("applying", APPLIES, _begin_apply)):
        took = []
        for number in range(LOST_ROUNDS):
            sha = brings(product, repo, code.format(number=number), state)
            took.append(_kill(product, sha))
        worst = max(worst, *took)
        becomes = "ready again" if state == "planning" else "failed, outcome unknown"
        rows.append([f"{state}: until {becomes}", f"{median(took):.1f}", f"{max(took):.1f}"])
    said = table(f"kill -9 of the worker, {LOST_ROUNDS} times each, default settings", ["run", "s", "worst"], rows)
    return said + f"\nThe worst, in s: {verdict(worst, AIM_S, is_at_least=False)}\n"


def _planned(product: Product, repo: Repo, files: dict[str, str]) -> str:
    sha = product.hold_push(repo, files, "Change a value")
    product.github.post.release()
    product.wait_check(repo, sha, "action_required")
    product.settle()
    return sha


def _begin(product: Product, repo: Repo, code: str, state: str) -> str:
    """A push whose run is in that state when this returns."""
    sha = product.hold_push(repo, {f"{STACK}/main.tf": code}, "Something that takes long")
    product.github.post.release()
    product.wait(_is_in(product, sha, state), f"the run is {state}", pause_s=0.01)
    return sha


def _begin_apply(product: Product, repo: Repo, code: str, state: str) -> str:
    sha = _planned(product, repo, {f"{STACK}/main.tf": code})
    check = repo.check_run(sha, CHECK)
    assert check is not None
    repo.press(check, "Confirm", by=PERSON)
    product.wait(_is_in(product, sha, state), f"the run is {state}", pause_s=0.01)
    return sha


def _is_in(product: Product, sha: str, state: str) -> Callable[[], bool]:
    question = "SELECT count(*) FROM runs WHERE head_sha = %s AND state = %s"
    return lambda: product.rows(question, sha, state) == [(1,)]


def _kill(product: Product, sha: str) -> float:
    """Kill the worker, wait until its run is given up, and make room for the next; in how many seconds it was."""
    ((killed,),) = product.rows("SELECT clock_timestamp()")
    os.kill(product.worker_pid(), signal.SIGKILL)
    lost = "SELECT at FROM run_steps JOIN runs ON runs.id = run_id WHERE head_sha = %s AND step = 'lose'"
    product.wait(lambda: bool(product.rows(lost, sha)), "the run is given up", pause_s=0.05)
    ((at,),) = product.rows(lost, sha)
    assert isinstance(at, datetime)
    assert isinstance(killed, datetime)
    product.database.execute("UPDATE stacks SET hold_reason = ''")
    if product.rows("SELECT 1 FROM runs WHERE head_sha = %s AND state NOT IN ('failed')", sha):
        repo = product.github.repo("acme/lost")
        check = product.wait_check(repo, sha, "action_required")
        repo.press(check, "Discard", by=PERSON)
        product.wait_check(repo, sha, "neutral")
    product.database.execute("DELETE FROM state_locks")
    product.settle()
    return (at - killed).total_seconds()


def _ms(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds() * 1000
