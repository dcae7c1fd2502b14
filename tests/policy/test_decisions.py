"""Decisions as data: what each example policy says to each event, in its v0 and in its v1 form."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.core.contract import Dialect
from app.core.contract_push import PolicyReceipt, combine
from app.policy.pool import OpaPool
from tests.policy.asked import EXAMPLES, example, notable, told

TABLE = yaml.safe_load((Path(__file__).parent / "decisions.yml").read_text())
OTHERS = yaml.safe_load((Path(__file__).parent / "other_types.yml").read_text())


def _event(case: dict[str, Any]) -> dict[str, Any]:
    event: dict[str, Any] = copy.deepcopy(TABLE["events"][case["event"]])
    for path, value in case.get("with", {}).items():
        place = event
        *folders, last = path.split(".")
        for folder in folders:
            place = place[folder]
        place[last] = value
    return event


def _name(case: dict[str, Any]) -> str:
    changed = " ".join(f"{path}={value}" for path, value in case.get("with", {}).items())
    return f"{case['policy']}: {case.get('event', '')} {changed}"[:90]


def test_the_table_is_long_enough_and_names_every_push_example() -> None:
    assert len(TABLE["cases"]) >= 60
    named = {case["policy"] for case in [*TABLE["cases"], *OTHERS["cases"]]}
    assert named == {path.name.split(".")[0] for path in EXAMPLES.glob("*.rego")}


@pytest.mark.parametrize("dialect", [Dialect.V0, Dialect.V1])
@pytest.mark.parametrize("case", TABLE["cases"], ids=_name)
def test_a_push_policy_decides_as_written_down(pool: OpaPool, case: dict[str, Any], dialect: Dialect) -> None:
    policy = example(case["policy"], dialect)
    event = _event(case)
    said = told(pool, policy, event)
    assert notable(said) == case["says"]
    assert sorted(said.errors_by_rule) == sorted(case.get("errors", []))
    answer = combine([PolicyReceipt(policy.name, said)], tag=event["push"]["tag"])
    assert answer.verdict.value == case["verdict"]
    is_started = case["verdict"] in ("track", "propose")
    assert answer.is_run_wanted == case.get("run", is_started)
    assert answer.is_reported == case.get("reported", case["verdict"] == "fail")


@pytest.mark.parametrize("dialect", [Dialect.V0, Dialect.V1])
@pytest.mark.parametrize("case", OTHERS["cases"], ids=lambda case: f"{case['policy']} {case['input']}"[:90])
def test_a_policy_of_another_type_says_what_is_written_down(
    pool: OpaPool, case: dict[str, Any], dialect: Dialect
) -> None:
    policy = example(case["policy"], dialect)
    assert notable(told(pool, policy, case["input"]), policy.type) == case["says"]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.rego")), ids=lambda path: path.name)
def test_every_example_is_accepted(pool: OpaPool, path: Path) -> None:
    name, dialect, _ = path.name.split(".")
    assert pool.check(example(name, Dialect(dialect))) == ()
