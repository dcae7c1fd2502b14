"""The table of what the App needs is app.yml, word for word: who registers the App reads one, `doctor` the other."""

import re
from pathlib import Path

from app.core.appform import EVENTS, PERMISSIONS

FORM = Path(__file__).parents[2] / "app.yml"
PERMISSION = re.compile(r"^  (?P<name>[a-z_]+): (?P<level>read|write) +# (?P<reason>.+)$", re.MULTILINE)
EVENT = re.compile(r"^  - (?P<name>[a-z_]+) +# (?P<reason>.+)$", re.MULTILINE)


def test_permissions_and_their_reasons_are_those_of_app_yml() -> None:
    text = FORM.read_text().partition("default_permissions:")[2].partition("default_events:")[0]
    assert [(one["name"], one["level"], one["reason"]) for one in PERMISSION.finditer(text)] == [
        (need.name, need.level, need.reason) for need in PERMISSIONS
    ]


def test_events_and_their_reasons_are_those_of_app_yml() -> None:
    text = FORM.read_text().partition("default_events:")[2]
    assert [(one["name"], one["reason"]) for one in EVENT.finditer(text)] == [
        (need.name, need.reason) for need in EVENTS
    ]


def test_a_higher_level_meets_a_lower_need_and_exceeds_it() -> None:
    read = next(need for need in PERMISSIONS if need.level == "read")
    assert [read.is_met_by(level) for level in ("", "none", "read", "write", "admin")] == [False, False, *[True] * 3]
    assert [read.is_exceeded_by(level) for level in ("", "read", "write")] == [False, False, True]
