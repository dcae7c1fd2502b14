"""A plan's JSON becomes counts, numbered changes, masked values: plans of real terraform, and recorded ones."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.core.errors import UserError
from app.core.markdown import MAX_BYTES, size_bytes
from app.core.plan import MASK, UNKNOWN, Action, Change, Counts, Kind, PlanSummary
from app.core.plandiff import MAX_ATTRIBUTES, MAX_VALUE_CHARS
from app.core.planjson import MAX_CHANGES, read_plan
from app.core.protocol import MAX_BODY_BYTES, PlanReport
from app.core.report import check_report
from app.core.run import RunState
from app.engine.tools import find_engine
from tests.core.made import run_in, view_of

BEFORE = """
variable "password" {
  type      = string
  sensitive = true
  default   = "correct-horse-battery"
}
resource "terraform_data" "secretive" { input = { password = var.password, size = 1 } }
resource "terraform_data" "replaced" {
  input            = "same"
  triggers_replace = ["v1"]
}
resource "terraform_data" "many" {
  for_each = toset(["a", "b & <c>"])
  input    = each.key
}
resource "terraform_data" "old_name" { input = "stays" }
resource "terraform_data" "deleted" { input = "goes" }
resource "terraform_data" "forgotten" { input = "left alone" }
output "open" { value = nonsensitive(var.password) }
output "closed" {
  value     = var.password
  sensitive = true
}
"""
AFTER = """
variable "password" {
  type      = string
  sensitive = true
  default   = "correct-horse-battery"
}
resource "terraform_data" "secretive" { input = { password = var.password, size = 2 } }
resource "terraform_data" "replaced" {
  input            = "same"
  triggers_replace = ["v2"]
}
resource "terraform_data" "many" {
  for_each = toset(["b & <c>", "d"])
  input    = each.key
}
resource "terraform_data" "new_name" { input = "stays" }
resource "terraform_data" "imported" {}
moved {
  from = terraform_data.old_name
  to   = terraform_data.new_name
}
removed {
  from = terraform_data.forgotten
  lifecycle { destroy = false }
}
import {
  to = terraform_data.imported
  id = "import-me"
}
output "open" { value = "prefix-${nonsensitive(var.password)}" }
output "list" { value = [1, "two"] }
"""


class Bench:
    """A folder with real terraform in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.argv = find_engine("terraform", search_path=os.environ["PATH"]).argv
        (folder / "rc").touch()

    def run(self, *words: str) -> bytes:
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "CHECKPOINT_DISABLE": "1"}
        env["TF_CLI_CONFIG_FILE"] = str(self.folder / "rc")
        return subprocess.run([*self.argv, *words], cwd=self.folder, env=env, check=True, capture_output=True).stdout

    def plan(self, text: str) -> bytes:
        (self.folder / "main.tf").write_text(text)
        self.run("init", "-input=false")
        self.run("plan", "-input=false", "-out=plan")
        return self.run("show", "-json", "plan")

    def apply(self) -> None:
        self.run("apply", "-input=false", "plan")


@pytest.fixture(scope="module")
def raw_plans(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """The JSON of a first plan, and of one that changes what the first one made."""
    bench = Bench(tmp_path_factory.mktemp("bench"))
    first = bench.plan(BEFORE)
    bench.apply()
    return first, bench.plan(AFTER)


def _by_address(summary: PlanSummary) -> dict[str, Change]:
    return {change.address: change for change in summary.changes}


def test_a_first_plan_creates_everything_outputs_last(raw_plans: tuple[bytes, bytes]) -> None:
    summary = read_plan(raw_plans[0])
    assert summary.delta.resources == Counts(create=7)
    assert summary.delta.outputs == Counts(create=2)
    assert [change.number for change in summary.changes] == list(range(1, 10))
    assert [change.kind for change in summary.changes[-2:]] == [Kind.OUTPUT, Kind.OUTPUT]
    assert summary.terraform_version


def test_every_action_is_found_and_ordered(raw_plans: tuple[bytes, bytes]) -> None:
    summary = read_plan(raw_plans[1])
    assert [(change.action.value, change.address) for change in summary.changes] == [
        ("delete", "terraform_data.deleted"),
        ("delete", 'terraform_data.many["a"]'),
        ("replace", "terraform_data.replaced"),
        ("forget", "terraform_data.forgotten"),
        ("import", "terraform_data.imported"),
        ("create", 'terraform_data.many["d"]'),
        ("move", "terraform_data.new_name"),
        ("update", "terraform_data.secretive"),
        ("delete", "closed"),
        ("create", "list"),
        ("update", "open"),
    ]
    assert summary.delta.resources == Counts(create=1, update=1, replace=1, delete=2, import_=1, forget=1, move=1)
    assert summary.delta.outputs == Counts(create=1, update=1, delete=1)
    found = _by_address(summary)
    assert found["terraform_data.new_name"].previous_address == "terraform_data.old_name"
    assert found["terraform_data.imported"].import_id == "import-me"
    assert found["terraform_data.deleted"].reason == "delete_because_no_resource_config"


def test_what_forces_a_replacement_comes_first(raw_plans: tuple[bytes, bytes]) -> None:
    first, *others = _by_address(read_plan(raw_plans[1]))["terraform_data.replaced"].attributes
    assert (first.name, first.before, first.after, first.forces_replacement) == (
        "triggers_replace[0]",
        '"v1"',
        '"v2"',
        True,
    )
    assert [(other.name, other.after) for other in others] == [("id", UNKNOWN), ("output", UNKNOWN)]


def test_a_sensitive_value_is_nowhere_not_even_in_copies_that_lost_their_mark(raw_plans: tuple[bytes, bytes]) -> None:
    for raw in raw_plans:
        assert b"correct-horse-battery" in raw
        assert b"correct-horse" not in msgspec.json.encode(read_plan(raw))
    found = _by_address(read_plan(raw_plans[1]))
    values = {part.name: (part.before, part.after) for part in found["terraform_data.secretive"].attributes}
    assert values["input.size"] == ("1", "2")
    assert values["output"] == ('{"password": "(sensitive)", "size": 1}', UNKNOWN)
    assert found["open"].attributes[0].after == '"prefix-(sensitive)"'
    assert found["closed"].attributes[0].before == MASK


def test_known_secrets_are_masked_too(raw_plans: tuple[bytes, bytes]) -> None:
    summary = read_plan(raw_plans[1], secrets=["left alone", "goes", "b & <c>"])
    assert b"goes" in msgspec.json.encode(summary)  # four characters are too common to be looked for
    assert (
        _by_address(read_plan(raw_plans[0], secrets=["b & <c>"]))['terraform_data.many["b & <c>"]'].attributes[1].after
        == MASK
    )


def test_text_is_as_people_write_it_not_escaped_for_html(raw_plans: tuple[bytes, bytes]) -> None:
    assert '"b & <c>"' in [
        part.after for part in _by_address(read_plan(raw_plans[0]))['terraform_data.many["b & <c>"]'].attributes
    ]


def test_two_thousand_resources_of_real_terraform(tmp_path: Path) -> None:
    blocks = "\n".join(
        f'resource "terraform_data" "r{n}" {{\n  count = 100\n  input = "${{count.index}} of {n}"\n}}'
        for n in range(20)
    )
    summary = read_plan(Bench(tmp_path).plan(blocks))
    assert summary.delta.resources == Counts(create=2000)
    assert len(summary.changes) == 2000
    assert [change.address for change in summary.changes[8:12]] == [f"terraform_data.r0[{n}]" for n in range(8, 12)]


def _recorded(*changes: dict[str, Any], outputs: dict[str, Any] | None = None, **more: Any) -> bytes:
    document = {"format_version": "1.2", "terraform_version": "1.11.4", "resource_changes": changes, **more}
    return json.dumps(document | ({"output_changes": outputs} if outputs else {}), separators=(",", ":")).encode()


def _resource(address: str, actions: list[str], before: Any = None, after: Any = None, **more: Any) -> dict[str, Any]:
    resource: dict[str, Any] = {
        key: more.pop(key) for key in ("deposed", "previous_address", "action_reason") if key in more
    }
    return {"address": address, **resource, "change": {"actions": actions, "before": before, "after": after, **more}}


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        (["create", "delete"], Action.REPLACE),
        (["delete", "create"], Action.REPLACE),
        (["create", "forget"], Action.REPLACE),
        (["forget", "create"], Action.REPLACE),
        (["read"], Action.READ),
        (["forget"], Action.FORGET),
    ],
)
def test_actions_of_two_words_are_one(actions: list[str], expected: Action) -> None:
    assert [change.action for change in read_plan(_recorded(_resource("a.b", actions))).changes] == [expected]


def test_an_action_nobody_knows_is_refused_not_left_out() -> None:
    with pytest.raises(UserError, match=r"a\.b: unknown actions explode"):
        read_plan(_recorded(_resource("a.b", ["explode"])))


def test_an_import_that_also_updates_is_an_update_with_an_import_id() -> None:
    summary = read_plan(_recorded(_resource("a.b", ["update"], {"x": 1}, {"x": 2}, importing={"id": "i-1"})))
    assert summary.delta.resources == Counts(update=1)
    assert summary.changes[0].import_id == "i-1"


def test_an_import_by_identity_has_no_id() -> None:
    summary = read_plan(_recorded(_resource("a.b", ["no-op"], importing={"identity": {"name": "n"}})))
    assert summary.changes[0].action is Action.IMPORT


def test_moved_only_and_output_only_plans_have_their_changes() -> None:
    moved = read_plan(_recorded(_resource("a.new", ["no-op"], {"x": 1}, {"x": 1}, previous_address="a.old")))
    assert (moved.delta.resources, moved.changes[0].attributes) == (Counts(move=1), ())
    output = {"actions": ["create"], "before": None, "after": "v", "before_sensitive": False, "after_sensitive": False}
    only = read_plan(_recorded(outputs={"o": output, "same": output | {"actions": ["no-op"]}}))
    assert (only.delta.resources.total, only.delta.outputs, len(only.changes)) == (0, Counts(create=1), 1)


def test_a_deposed_object_is_deleted_and_says_what_it_is() -> None:
    change = read_plan(_recorded(_resource("a.b", ["delete"], {"x": 1}, deposed="c0ffee"))).changes[0]
    assert (change.action, change.reason) == (Action.DELETE, "deposed")


def test_marks_inside_lists_blocks_and_whole_objects_are_obeyed() -> None:
    raw = _recorded(
        _resource(
            "a.b",
            ["update"],
            {"rules": [{"port": 1, "key": "aaaaaaaaaa"}], "all": {"k": "bbbbbbbbbb"}, "gone": "cccccccccc"},
            {"rules": [{"port": 2, "key": "dddddddddd"}, {"key": None}], "all": {"k": "eeeeeeeeee"}},
            before_sensitive={"rules": [{"key": True}], "all": True, "gone": True},
            after_sensitive={"rules": [{"key": True}, {}], "all": True},
            after_unknown={"rules": [{}, {"key": True}], "new": True},
        )
    )
    values = {part.name: (part.before, part.after) for part in read_plan(raw).changes[0].attributes}
    assert values == {
        "all": (MASK, MASK),
        "gone": (MASK, None),
        "new": (None, UNKNOWN),
        "rules[0].key": (MASK, MASK),
        "rules[0].port": ("1", "2"),
        "rules[1].key": (None, UNKNOWN),
    }


def test_a_resource_that_is_sensitive_as_a_whole_shows_nothing() -> None:
    raw = _recorded(_resource("a.b", ["create"], None, {"x": "aaaaaaaa", "n": 7}, after_sensitive=True))
    assert {part.after for part in read_plan(raw).changes[0].attributes} == {MASK}


def test_a_copy_inside_json_inside_a_string_is_masked() -> None:
    awkward = 'quo"ted-value'
    raw = _recorded(
        _resource("a.b", ["create"], None, {"policy": json.dumps({"p": awkward})}),
        variables={"v": {"value": awkward}},
        configuration={"root_module": {"variables": {"v": {"sensitive": True}}}},
    )
    assert read_plan(raw).changes[0].attributes[0].after == f'{{"p": "{MASK}"}}'


def test_sensitive_values_of_data_sources_in_the_prior_state_are_masked() -> None:
    data = {"address": "data.a.b", "values": {"token": "data-source-token"}, "sensitive_values": {"token": True}}
    raw = _recorded(
        _resource("a.b", ["create"], None, {"x": "data-source-token"}),
        prior_state={"values": {"root_module": {"child_modules": [{"resources": [data]}]}}},
    )
    assert read_plan(raw).changes[0].attributes[0].after == MASK


def test_numbers_keep_every_digit() -> None:
    raw = b'{"format_version":"1.2","resource_changes":[{"address":"a.b","change":{"actions":["update"],'
    raw += b'"before":{"n":123456789012345678901234567890,"s":{"a":1}},"after":{"n":1.10,"s":{"a":2}}}}]}'
    values = {part.name: (part.before, part.after) for part in read_plan(raw).changes[0].attributes}
    assert values == {"n": ("123456789012345678901234567890", "1.10"), "s.a": ("1", "2")}


def test_long_values_and_many_attributes_are_cut_and_counted() -> None:
    after = {f"a{n:03}": "x" for n in range(100)} | {"a000": "y" * 5000}
    change = read_plan(_recorded(_resource("a.b", ["create"], None, after))).changes[0]
    assert (len(change.attributes), change.attributes_left_out) == (MAX_ATTRIBUTES, 60)
    assert change.attributes[0].after == '"' + "y" * (MAX_VALUE_CHARS - 1) + "… (3002 more characters)"


def test_a_secret_across_the_cut_does_not_leak_its_beginning() -> None:
    value = "x" * (MAX_VALUE_CHARS - 10) + "correct-horse-battery"
    raw = _recorded(_resource("a.b", ["create"], None, {"x": value}))
    assert "corr" not in (read_plan(raw, secrets=["correct-horse-battery"]).changes[0].attributes[0].after or "")


def test_beyond_the_bound_changes_are_counted_exactly() -> None:
    changes = [_resource(f"a.b[{n}]", ["create"], None, {"x": n}) for n in range(MAX_CHANGES + 7)]
    summary = read_plan(_recorded(*changes))
    assert (len(summary.changes), summary.changes_left_out) == (MAX_CHANGES, 7)
    assert summary.delta.resources == Counts(create=MAX_CHANGES + 7)


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{}", b'{"format_version":"1.2","resource_changes":5}', b"\xff", b'{"format_version":' * 10_000],
)
def test_what_is_no_plan_is_an_error_for_people(raw: bytes) -> None:
    with pytest.raises(UserError, match="reading the plan: not the JSON of a plan"):
        read_plan(raw)


def test_marks_nested_without_end_are_an_error_for_people() -> None:
    deep = b"[" * 100_000 + b"true" + b"]" * 100_000
    raw = b'{"format_version":"1","resource_changes":[{"address":"a","change":{"actions":["create"],"after":{"x":'
    with pytest.raises(UserError, match="reading the plan"):
        read_plan(raw + deep + b'},"after_sensitive":{"x":' + deep + b"}}}]}")


def test_the_report_of_any_plan_fits_into_a_body_and_counts_what_it_leaves_out() -> None:
    """Long values and long addresses of letters that JSON doubles: details end first, then the list, never a count."""
    value = {f"a{number:02}": '"' * 2_000 for number in range(45)}
    wide = [_created(f"x.wide[{number}]", value) for number in range(130)]
    long = [_created(f'x.y["{chr(0x1F680) * 700}{chr(92)}"{number}"]', {}) for number in range(5_500)]
    moved = [{**_created("x.z", {}), "previous_address": "x.before", "change": {"actions": ["no-op"]}}]
    raw = json.dumps({"format_version": "1.2", "resource_changes": [*wide, *long, *moved]}).encode()
    summary = read_plan(raw)
    report = PlanReport(fencing=1, digest="d" * 64, engine="terraform 1.11.4", has_changes=True, summary=summary)
    assert len(msgspec.json.encode(report)) < MAX_BODY_BYTES
    assert summary.delta.resources == Counts(create=5_630, move=1)
    assert len(summary.changes) + summary.changes_left_out == 5_631
    assert summary.changes_left_out > 0
    assert summary.moves_left_out == 1
    assert any(change.attributes_left_out == 45 for change in summary.changes)


PEAK = """
import sys
from pathlib import Path
from app.core import planjson, report

def peak():
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)

before = peak()
planjson.read_plan(Path(sys.argv[1]).read_bytes())
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from Linux's /proc")
def test_10_000_resources_are_read_in_150_mb_and_shown_within_the_limits(tmp_path: Path) -> None:
    """Everything that is made of 32 MB of JSON, that JSON included; and the check that comes of it."""
    text = "a value of some length, as the values of resources are: "
    after = {f"attribute_{number:02}": f"{text}{number}" for number in range(40)}
    resources = [_created(f"module.app.aws_thing.block_{n // 100}[{n % 100}]", after) for n in range(10_000)]
    raw = json.dumps({"format_version": "1.2", "resource_changes": resources}).encode()
    assert len(raw) > 32_000_000
    (tmp_path / "plan.json").write_bytes(raw)
    argv = [sys.executable, "-c", PEAK, str(tmp_path / "plan.json")]
    grown_kb = int(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    assert grown_kb < 150_000
    summary = read_plan(raw)
    assert (len(summary.changes), summary.changes_left_out) == (MAX_CHANGES, 5_000)
    report = check_report(view_of(run_in(RunState.UNCONFIRMED), summary=summary))
    assert size_bytes(report.text) <= MAX_BYTES
    assert size_bytes(report.summary) <= MAX_BYTES
    listed = report.text.count("create** `module.app")
    assert f"{10_000 - listed:,} more changes are not listed here" in report.text


def _created(address: str, after: dict[str, str]) -> dict[str, Any]:
    """A resource that is created, as the engine's JSON has it."""
    return {"address": address, "change": {"actions": ["create"], "before": None, "after": after}}


def test_a_path_that_begins_with_no_attribute_marks_nothing_as_forcing() -> None:
    """An element of a set has no name and no index: its path ends before it."""
    resource = _resource("a.b", ["delete", "create"], {"x": 1, "set": ["a"]}, {"x": 2, "set": ["b"]})
    resource["change"]["replace_paths"] = [[{"k": 1}], ["set", {"k": 1}]]
    found = {part.name: part.forces_replacement for part in read_plan(_recorded(resource)).changes[0].attributes}
    assert found == {"set[0]": True, "x": False}
