"""From a push to its plan on the commit, against the same commands by hand; and where the difference goes.

Pairs in changing order: the push is made, GitHub holds its tongue, and either the commands by hand or the product comes
first. The clock of the product runs from GitHub's first word to the check run `action_required`.
"""

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from time import perf_counter

from app.engine.tools import find_engine
from app.sandbox import Repo
from tests.benchmarks.figures import paired_ratio, table, verdict
from tests.benchmarks.product import OWNER, PERSON, STACK, STACKS, Product, open_product, stack_files
from tests.benchmarks.raw import PHASES, Raw, empty_state

PAIRS = 9
COLD_PAIRS = 7
AIM = 1.25
SEGMENTS = (
    ("GitHub's word to row stored", "told", "stored", ()),
    ("row stored to run made: job, mirror, decision", "stored", "create", ()),
    ("run made to claimed by a worker", "create", "claim", ()),
    ("claimed to initializing: token, workspace, fetch, checkout", "claim", "initialize", ("fetch", "checkout")),
    ("initializing to planning: init", "initialize", "plan", ("init",)),
    ("planning to plan handed in: plan, show", "plan", "planned", ("plan", "show")),
    ("plan handed in to unconfirmed: archive, hand-over", "planned", "await", ()),
    ("unconfirmed to check run on GitHub", "await", "shown", ()),
)
"""What, from which moment, to which, and the commands by hand that do the same."""


@dataclass(slots=True)
class Pairs:
    """What was measured of one kind. Units: seconds."""

    ours_s: list[float] = field(default_factory=list)
    raw_s: list[float] = field(default_factory=list)
    raw_phases: list[dict[str, float]] = field(default_factory=list)
    moments: list[dict[str, datetime]] = field(default_factory=list)

    def segment_ms(self, begin: str, end: str) -> float:
        """The median time between two moments."""
        return median((one[end] - one[begin]).total_seconds() for one in self.moments) * 1000

    def raw_ms(self, phases: Sequence[str]) -> float:
        """The median time of some of the commands by hand."""
        return median(sum(one[phase] for phase in phases) for one in self.raw_phases) * 1000


def measure(server_url: str) -> str:
    """The tables. `server_url`: a PostgreSQL with durable commits."""
    engine = find_engine("terraform", search_path=os.environ.get("PATH", os.defpath))
    with open_product(server_url) as product, empty_state() as address:
        by_hand = product.root / "by-hand"
        by_hand.mkdir()
        bench = Bench(product, Raw(by_hand, engine, address))
        warm, cold = bench.warm(), bench.cold()
    kinds = {"warm mirror": warm, "cold mirror, first push of a repository": cold}
    rows = [
        [
            kind,
            str(len(pairs.ours_s)),
            f"{median(pairs.ours_s) * 1000:.0f}",
            f"{min(pairs.ours_s) * 1000:.0f}",
            f"{median(pairs.raw_s) * 1000:.0f}",
            f"{min(pairs.raw_s) * 1000:.0f}",
            verdict(paired_ratio(pairs.ours_s, pairs.raw_s), AIM, is_at_least=False),
        ]
        for kind, pairs in kinds.items()
    ]
    columns = ["mirror", "pairs", "push to check ms", "best", "by hand ms", "best", "ratio"]
    said = table("Push to plan on the commit: medians of interleaved pairs", columns, rows)
    return said + "".join("\n" + _losses(kind, pairs) for kind, pairs in kinds.items())


def _losses(kind: str, pairs: Pairs) -> str:
    rows = []
    for what, begin, end, phases in SEGMENTS:
        ours_ms, raw_ms = pairs.segment_ms(begin, end), pairs.raw_ms(phases)
        rows.append([what, f"{ours_ms:.0f}", f"{raw_ms:.0f}" if phases else "", f"{ours_ms - raw_ms:+.0f}"])
    by_hand = ", ".join(f"{phase} {pairs.raw_ms([phase]):.0f}" for phase in PHASES)
    return (
        table(f"Where the time goes, {kind}", ["part", "ms", "by hand ms", "more"], rows)
        + f"\nBy hand: {by_hand} ms.\n"
    )


@dataclass(frozen=True, slots=True)
class Bench:
    """The product and the commands by hand."""

    product: Product
    raw: Raw

    def warm(self) -> Pairs:
        """Pushes to a repository that both sides know."""
        repo, pairs = self.product.repository("warm"), Pairs()
        self._pair(repo, {".trackside/stacks.yml": STACKS, **stack_files("zero")}, Pairs(), is_raw_first=True)
        for number in range(PAIRS):
            self._pair(repo, stack_files(f"value {number}"), pairs, is_raw_first=number % 2 == 0)
        return pairs

    def cold(self) -> Pairs:
        """First pushes: nobody has a mirror of the repository."""
        pairs = Pairs()
        for number in range(COLD_PAIRS):
            repo = self.product.repository(f"cold-{number}")
            files = {".trackside/stacks.yml": STACKS, **stack_files("first")}
            self._pair(repo, files, pairs, is_raw_first=number % 2 == 0)
        return pairs

    def _pair(self, repo: Repo, files: dict[str, str], pairs: Pairs, *, is_raw_first: bool) -> None:
        sha = self.product.hold_push(repo, files, "Change a value")
        if is_raw_first:
            self._by_hand(repo, sha, pairs)
        self._ours(repo, sha, pairs)
        if not is_raw_first:
            self._by_hand(repo, sha, pairs)

    def _by_hand(self, repo: Repo, sha: str, pairs: Pairs) -> None:
        token = self.product.github.installation_token(OWNER)
        took = self.raw.plan(repo.clone_url, token, sha, project_root=STACK)
        pairs.raw_phases.append(took)
        pairs.raw_s.append(sum(took.values()))

    def _ours(self, repo: Repo, sha: str, pairs: Pairs) -> None:
        """Tell the product, wait for the check run, and clear the stack for the next push."""
        told, start = datetime.now(UTC), perf_counter()
        self.product.github.post.release()
        check = self.product.wait_check(repo, sha, "action_required")
        pairs.ours_s.append(perf_counter() - start)
        shown = datetime.now(UTC)
        repo.press(check, "Discard", by=PERSON)
        self.product.wait_check(repo, sha, "neutral")
        self.product.settle()
        pairs.moments.append({**self.product.moments(sha), "told": told, "shown": shown})
        threading.Event().wait(0.1)  # what follows the last answer, such as a worker's next claim, is not measured
