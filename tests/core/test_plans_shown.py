"""Plans of the real engine (tests/core/plans) as they stand on GitHub: each against a file that a person has read.

`SNAPSHOTS=write` writes the files anew; look at what changed before it is committed. tests/core/plans/make.py makes the
plans themselves.
"""

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

import msgspec
import pytest

from app.core.changelist import change_list
from app.core.markdown import MAX_BYTES, size_bytes
from app.core.plan import PlanSummary
from app.core.planjson import read_plan
from app.core.reply import CheckReport
from app.core.report import check_report
from tests.core.inert import assert_inert, assert_markdown_inert
from tests.core.made import PLAN, WAITING, view_of

HERE = Path(__file__).parent
PLANS = sorted(path.stem for path in (HERE / "plans").glob("*.json"))
SECRETS = ("correct-horse", "staple-battery", "MIIEvQIBADANBgkq")


def raw_plan(name: str) -> bytes:
    return (HERE / "plans" / f"{name}.json").read_bytes()


def report_of(summary: PlanSummary) -> CheckReport:
    """The check of a run whose plan waits for a person."""
    plan = replace(PLAN, delta=summary.delta, has_changes=bool(summary.changes))
    return check_report(view_of(replace(WAITING, plan=plan), summary=summary))


def as_file(report: CheckReport) -> str:
    return "\n\n".join(part for part in (f"# {report.title}", report.summary, report.text) if part) + "\n"


def check_file(name: str, text: str) -> None:
    """Hold a text against its file, or write that."""
    path = HERE / "snapshots" / f"{name}.md"
    if os.environ.get("SNAPSHOTS") == "write":
        path.write_text(text)
    assert path.read_text() == text


def test_there_are_enough_of_them_and_no_file_is_left_over() -> None:
    assert len(PLANS) >= 40
    assert {path.stem for path in (HERE / "snapshots").glob("*.md")} == {*PLANS, "huge"}


@pytest.mark.parametrize("name", PLANS)
def test_a_real_plan_reads_like_its_file(name: str) -> None:
    report = report_of(read_plan(raw_plan(name)))
    assert_inert(report)
    text = as_file(report)
    assert not any(secret in text for secret in SECRETS)
    check_file(name, text)


@pytest.mark.parametrize("name", ["everything_at_once", "hostile_text", "json_policy", "text_of_lines"])
@pytest.mark.parametrize("limit_bytes", [700, 1_000, 1_500, 3_000])
def test_a_small_room_is_never_exceeded_and_what_is_left_out_is_counted(name: str, limit_bytes: int) -> None:
    summary = read_plan(raw_plan(name))
    shown = change_list(summary, run_url="https://trackside.example/runs/01J", limit_bytes=limit_bytes)
    assert size_bytes(shown) <= limit_bytes
    assert_markdown_inert(shown)
    listed = len(re.findall(r"^\*\*\d+\. ", shown, re.MULTILINE))
    missing = len(summary.changes) - listed
    assert (f"**{missing:,} more change" in shown) is bool(missing)
    without = sum(bool(change.attributes) for change in summary.changes[:listed]) - len(
        re.findall("^`{3,}diff$", shown, re.MULTILINE)
    )
    assert (f"{without:,} listed without details" in shown) is bool(without)


def huge_plan(count: int) -> bytes:
    """A real plan whose one resource is there so many times, in a hundred modules."""
    document: dict[str, Any] = json.loads(raw_plan("wide_object"))
    (one,) = document["resource_changes"]
    document["resource_changes"] = [
        one | {"address": f"module.part[{at // 100}].terraform_data.wide[{at % 100}]"} for at in range(count)
    ]
    return json.dumps(document).encode()


def test_ten_thousand_changes_are_read_and_shown_quickly_and_counted_exactly() -> None:
    raw = huge_plan(10_000)
    began = process_time()
    summary = read_plan(raw)
    read = process_time()
    report = report_of(summary)
    shown = process_time()
    print(f"{len(raw):,} bytes read in {read - began:.2f} s, shown in {shown - read:.3f} s")
    assert shown - read < 1
    assert len(msgspec.json.encode(summary)) < 16_000_000
    assert_inert(report)
    assert size_bytes(report.text) <= MAX_BYTES
    listed = report.text.count("create** `module.part")
    detailed = report.text.count("```diff")
    assert f"**{10_000 - listed:,} more changes are not listed here; {listed - detailed:,} listed" in report.text
    check_file("huge", as_file(replace(report, text=report.text[-400:].partition("\n\n")[2])))
