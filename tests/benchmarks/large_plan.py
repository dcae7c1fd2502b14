"""A plan of 10,000 resources: read and summarised, against `terraform show -json` and msgspec's decode of its JSON.

The plan is made once, by the engine, from blocks of 100 instances; everything else is measured in turns.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import msgspec

from app.core.markdown import size_bytes
from app.core.planjson import read_plan
from app.core.protocol import MAX_BODY_BYTES
from app.core.report import check_report
from app.core.run import RunState
from app.engine.tools import find_engine
from tests.benchmarks.figures import paired_ratio, table, verdict
from tests.core.made import run_in, view_of

BLOCKS = 100
ROUNDS = 5
BLOCK = """
resource "terraform_data" "block_{number:03}" {{
  for_each = toset([for n in range(100) : format("item-%03d", n)])
  input = {{
    name   = "block-{number:03}-${{each.key}}"
    size   = 10
    labels = ["a", "b", each.key]
    tags   = {{ owner = "platform", note = "some text that is as long as a description is" }}
  }}
  triggers_replace = ["v1", each.key]
}}
"""
PEAK = """
import sys
from pathlib import Path
import app.core.planjson as planjson

def peak():  # not ru_maxrss: that begins with what the parent had
    return next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)

idle = peak()
planjson.read_plan(Path(sys.argv[1]).read_bytes())
print(idle, peak())
"""
"""Prints how many KB a process that reads a plan had at most, before it and afterwards."""


class _Change(msgspec.Struct):
    actions: tuple[str, ...]
    before: msgspec.Raw = msgspec.Raw(b"null")
    after: msgspec.Raw = msgspec.Raw(b"null")


class _Resource(msgspec.Struct):
    address: str
    change: _Change


class _Bare(msgspec.Struct):
    """The least that can be decoded of a plan."""

    resource_changes: tuple[_Resource, ...]


def measure(_url: str) -> str:
    """The tables."""
    with tempfile.TemporaryDirectory(prefix="bench-plan-") as name:
        return _measure(Path(name))


def _measure(folder: Path) -> str:
    engine = find_engine("terraform", search_path=os.environ["PATH"])
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}

    def run(*words: str) -> bytes:
        return subprocess.run([*engine.argv, *words], cwd=folder, env=env, check=True, capture_output=True).stdout

    (folder / "main.tf").write_text("".join(BLOCK.format(number=number) for number in range(BLOCKS)))
    run("init", "-input=false")
    run("plan", "-input=false", "-out=plan")
    shown, read, whole, bare = [], [], [], []
    raw = b""
    for _ in range(ROUNDS):
        start = perf_counter()
        raw = run("show", "-json", "plan")
        showed = perf_counter()
        read_plan(raw)
        was_read = perf_counter()
        msgspec.json.decode(raw)
        was_decoded = perf_counter()
        msgspec.json.decode(raw, type=_Bare)
        bare.append(perf_counter() - was_decoded)
        whole.append(was_decoded - was_read)
        shown.append(showed - start)
        read.append(was_read - showed)
    (folder / "plan.json").write_bytes(raw)
    rows = [
        [f"`{engine.label}`: show -json", f"{median(shown) * 1000:.0f}", "", ""],
        ["msgspec's decode of its JSON", f"{median(whole) * 1000:.0f}", f"{paired_ratio(whole, shown):.3f}", "1.0"],
        [
            "addresses and actions alone, values left as bytes",
            f"{median(bare) * 1000:.0f}",
            f"{paired_ratio(bare, shown):.3f}",
            f"{paired_ratio(bare, whole):.2f}",
        ],
        [
            "decoded and summarised",
            f"{median(read) * 1000:.0f}",
            verdict(paired_ratio(read, shown), 0.1, is_at_least=False),
            verdict(paired_ratio(read, whole), 3, is_at_least=False),
        ],
    ]
    columns = ["10,000 resources", "ms", "of show -json", "of msgspec's decode"]
    title = f"A plan of 10,000 resources, {len(raw) / 1e6:.1f} MB of JSON: medians of {ROUNDS} rounds"
    return f"{table(title, columns, rows)}\n{_sizes(folder, raw)}"


def _sizes(folder: Path, raw: bytes) -> str:
    """What of it is held, sent, and shown."""
    argv = [sys.executable, "-c", PEAK, str(folder / "plan.json")]
    idle, peak = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
    summary = read_plan(raw)
    start = perf_counter()
    report = check_report(view_of(run_in(RunState.UNCONFIRMED), summary=summary))
    took = perf_counter() - start
    grown = (int(peak) - int(idle)) / 1024
    rows = [
        ["memory for the JSON and all that is made of it, MB", verdict(grown, 150, is_at_least=False)],
        ["plan report to the control plane, bytes", f"{len(msgspec.json.encode(summary)):,} of {MAX_BODY_BYTES:,}"],
        ["changes listed, counted only", f"{len(summary.changes):,}, {summary.changes_left_out:,}"],
        ["the check's text, bytes", f"{size_bytes(report.text):,} of 65,535"],
        ["the check computed, ms", f"{took * 1000:.0f}"],
    ]
    return table("Its bounds", ["what", "measured"], rows)
