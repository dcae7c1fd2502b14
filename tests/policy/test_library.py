"""Policies as people bring them: written for Spacelift, asked as they are, and as `policy upgrade` prints them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from app.core.contract import Dialect, PolicyText, PolicyType
from app.policy.pool import OpaPool
from app.policy.upgrade import upgrade
from tests.policy.asked import notable, told

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "library.yml").read_text())["cases"]
ASKS = [
    pytest.param(case, ask, id=f"{case['name']}, {number}")
    for case in CASES
    for number, ask in enumerate(case["asks"], start=1)
]


def test_there_are_enough_of_them_of_every_type() -> None:
    assert len(CASES) >= 40
    assert {case["type"] for case in CASES} == {type_.value for type_ in PolicyType}


@pytest.mark.parametrize(("case", "ask"), ASKS)
def test_a_policy_says_the_same_in_every_form(pool: OpaPool, case: dict[str, Any], ask: dict[str, Any]) -> None:
    forms = []
    if "v0" in case:
        forms += [(case["v0"], Dialect.AUTO), (case["v0"], Dialect.V0), (upgrade(case["v0"]), Dialect.V1)]
    if "v1" in case:
        forms += [(case["v1"], Dialect.AUTO), (case["v1"], Dialect.V1)]
    for text, dialect in forms:
        type_ = PolicyType(case["type"])
        policy = PolicyText(name="p", type=type_, path="p.rego", text=text, dialect=dialect)
        said = told(pool, policy, ask["input"])
        assert notable(said, type_) == ask["says"], dialect
        assert sorted(said.errors_by_rule) == ask.get("errors", []), dialect
