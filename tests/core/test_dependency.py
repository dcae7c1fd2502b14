"""Dependencies between stacks: what may be written, the order, what an end means below, and what is passed."""

import json

import pytest

from app.core.config import read_configuration
from app.core.dependency import MAX_DEPENDENCIES, MAX_REFERENCES, Dependency, find_cycle, graph_of, stacks_below
from app.core.inputs import KeptOutput, Passed, passed
from app.core.upstream import Upstream, UpstreamState, Verdict, ended, verdict
from app.core.words_depend import skipped, waits_for

DIAMOND = {"left": ("vpc",), "right": ("vpc",), "app": ("left", "right"), "other": ("dns",)}
VPC_ID = Dependency(stack="vpc", outputs={"vpc_id": "TF_VAR_vpc_id"})
ORDER = Dependency(stack="vpc")
NEWS, NO_NEWS, BROKEN, WAITING = (
    UpstreamState.NEWS,
    UpstreamState.NO_NEWS,
    UpstreamState.BROKEN,
    UpstreamState.WAITING,
)


def problems(*lines: str) -> list[str]:
    """The mistakes of a file whose stack `app`, in line 4, has these lines."""
    text = "\n".join(("version: 1", "stacks:", "  - {name: vpc}", "  - name: app", *(f"    {line}" for line in lines)))
    found = read_configuration(text.encode(), default_branch="main")
    return [f"{one.line}: {one.message} -> {one.remedy}" for one in found] if isinstance(found, tuple) else []


def above(*states: UpstreamState, word: str = "finished") -> dict[str, Upstream]:
    """Runs above, in these states."""
    return {
        f"01RUN{number}": Upstream(stack_id=f"01S{number}", stack="vpc", state=state, word=word)
        for number, state in enumerate(states)
    }


def test_what_is_written_is_read_with_its_defaults() -> None:
    text = (
        b"version: 1\nstacks:\n  - {name: vpc}\n  - {name: app, depends_on: [{stack: vpc, outputs: {a-b: TF_VAR_a}}]}"
    )
    found = read_configuration(text, default_branch="main")
    assert not isinstance(found, tuple), found
    assert found.stacks[1].settings.depends_on == (Dependency(stack="vpc", outputs={"a-b": "TF_VAR_a"}),)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{stack: vcp}", "7: `vcp` is no stack of this file; dependencies are between stacks of this file -> did you"),
        ("{stack: acme/net/vpc}", "7: `acme/net/vpc` is no stack of this file; dependencies are between stacks of"),
        ("{stack: app}", "7: `app` depends on itself -> take it away"),
        ("{stack: vpc}\n      - {stack: vpc}", "8: `vpc` is a dependency already -> put its outputs into one entry"),
        ("{outputs: {a: TF_VAR_a}}", "7: the key `stack` is missing -> name the stack that comes before"),
        ("{stack: vpc, output: {a: b}}", "7: unknown key `output` -> did you mean `outputs`?"),
        ("{stack: vpc, outputs: {a: A, b: A}}", "7: `A` gets the value of `vpc.a` already -> give each output"),
        ("{stack: vpc, outputs: {o: SET}}", "7: `SET` is set by `SET` of `environment`, too -> keep one of them"),
        ("{stack: vpc, outputs: {o: PREFIXED}}", "7: `PREFIXED` is set by `ro_PREFIXED` of `environment`, too"),
        ("{stack: vpc, outputs: {o: PATH}}", "7: `o`: the variable `PATH` must not be set: the worker sets it"),
        ("{stack: vpc, outputs: {o: wo_A}}", "7: `o`: `wo_A` has a prefix, and an apply keeps the values of its plan"),
        ("{stack: vpc, outputs: {o: SKIP_APPLYING}}", "7: `o`: the variable `SKIP_APPLYING` is a setting of the stack"),
        ("{stack: vpc, outputs: {o: TF_VAR_trackside_run_id}}", "7: `o`: the variable `TF_VAR_trackside_run_id` tells"),
        ("{stack: vpc, outputs: {1a: A}}", "7: `1a` is no name of an output -> write it as its `output` block does"),
        ("{stack: vpc, outputs: {a: [A]}}", "7: `a` must be text, not a list"),
        ("{stack: vpc, trigger_always: 1}", "7: `trigger_always` must be true or false"),
        (
            f"{{stack: vpc, outputs: {{{', '.join(f'a{at}: A{at}' for at in range(MAX_REFERENCES + 1))}}}}}",
            "7: `outputs` of all dependencies together are more than 100 -> pass one output that is an object",
        ),
        (
            "\n      - ".join(["{stack: vpc}"] * (MAX_DEPENDENCIES + 1)),
            "6: `depends_on` has too many entries: at most 50 -> shorten it",
        ),
    ],
)
def test_a_mistake_is_named_at_its_line_with_the_way_out(entry: str, expected: str) -> None:
    found = problems("environment: {SET: a, ro_PREFIXED: b}", f"depends_on:\n      - {entry}")
    found = [one.replace("5: `depends_on`", "7: `depends_on`") for one in found]  # a list's own line is its key's
    assert any(one.startswith(expected) for one in found), found


def test_stacks_in_a_circle_are_named_in_the_order_of_what_each_depends_on() -> None:
    entries = (("c", "a"), ("a", "b"), ("b", "c"))
    lines = [f"  - {{name: {name}, depends_on: [{{stack: {upper}}}]}}" for name, upper in entries]
    text = "\n".join(("version: 1", "stacks:", *lines))
    (found,) = read_configuration(text.encode(), default_branch="main")  # type: ignore[misc]
    assert found.line == 4
    assert found.message == "stacks depend on each other in a circle: `a -> b -> c -> a`"
    assert find_cycle(DIAMOND) == ()


@pytest.mark.parametrize(
    ("roots", "expected"),
    [
        (["vpc"], ("left", "right", "app")),
        (["left"], ("app",)),
        (["app"], ()),
        (["vpc", "app"], ("left", "right", "app")),
        (["dns"], ("other",)),
        (["vpc", "dns"], ("left", "other", "right", "app")),
        (["gone"], ()),
    ],
)
def test_below_is_everything_that_comes_after_once_and_in_order(roots: list[str], expected: tuple[str, ...]) -> None:
    found = stacks_below(DIAMOND, roots)
    assert sorted(found) == sorted(expected)
    assert all(found.index(upper) < found.index(name) for name in found for upper in DIAMOND[name] if upper in found)
    assert graph_of({"app": [VPC_ID], "vpc": []}) == {"app": ("vpc",)}


@pytest.mark.parametrize(
    ("ending", "dependency", "changed", "expected"),
    [
        ("finished", VPC_ID, ["vpc_id"], NEWS),
        ("finished", VPC_ID, ["other"], NO_NEWS),
        ("finished", VPC_ID, [], NO_NEWS),
        ("finished", ORDER, [], NEWS),
        ("finished", Dependency(stack="vpc", outputs={"a": "A"}, trigger_always=True), [], NEWS),
        ("finished", None, ["vpc_id"], NO_NEWS),
        ("skipped", ORDER, [], NO_NEWS),
        ("failed", ORDER, ["vpc_id"], BROKEN),
        ("discarded", VPC_ID, [], BROKEN),
        ("stopped", VPC_ID, [], BROKEN),
        ("canceled", VPC_ID, [], BROKEN),
    ],
)
def test_what_an_end_means_below(
    ending: str, dependency: Dependency | None, changed: list[str], expected: UpstreamState
) -> None:
    assert ended(ending, dependency, changed, is_broken=False) is expected
    assert ended("skipped", dependency, changed, is_broken=True) is BROKEN


@pytest.mark.parametrize(
    ("states", "is_own", "expected"),
    [
        ([WAITING], False, Verdict.WAIT),
        ([NEWS, WAITING], False, Verdict.WAIT),
        ([WAITING, BROKEN], True, Verdict.SKIP),
        ([NEWS, BROKEN], False, Verdict.SKIP),
        ([NEWS, NO_NEWS], False, Verdict.GO),
        ([NO_NEWS, NO_NEWS], False, Verdict.SKIP),
        ([NO_NEWS], True, Verdict.GO),
        ([], True, Verdict.GO),
    ],
)
def test_what_a_run_does_that_waits(states: list[UpstreamState], is_own: bool, expected: Verdict) -> None:
    assert verdict(above(*states), is_own=is_own) is expected


def test_the_reasons_are_said() -> None:
    assert skipped(above(BROKEN, word="failed"), [VPC_ID]) == "vpc failed"
    assert skipped(above(BROKEN, word="discarded"), [VPC_ID]) == "vpc was discarded"
    assert skipped(above(NO_NEWS), [VPC_ID]) == "nothing that it takes has changed: vpc.vpc_id"
    assert skipped(above(NO_NEWS), []) == "it does not depend on vpc any more"
    assert skipped(above(NO_NEWS, word="skipped"), [ORDER]) == "vpc had nothing to run for"
    assert waits_for([("dns", "01A"), ("vpc", "01B")]) == "dns (run 01A) and vpc (run 01B)"


def test_values_are_passed_as_text_and_what_is_no_text_as_json() -> None:
    given = {"text": 'a "b" ${c}', "number": 7, "yes": True, "list": ["a", "${b}"], "map": {"k": 1}}
    known = {("vpc", name): KeptOutput(value=json.dumps(value)) for name, value in given.items()}
    variables = {name: f"TF_VAR_{name}" for name in given}
    found = passed([Dependency(stack="vpc", outputs=variables)], known)
    assert isinstance(found, Passed)
    assert found.environment == {
        "TF_VAR_text": 'a "b" ${c}',
        "TF_VAR_number": "7",
        "TF_VAR_yes": "true",
        "TF_VAR_list": '["a", "$${b}"]',
        "TF_VAR_map": '{"k": 1}',
    }
    plain = passed([Dependency(stack="vpc", outputs={"list": "LIST"})], known)
    assert isinstance(plain, Passed)
    assert plain.environment == {"LIST": '["a", "${b}"]'}
    assert (found.secret_names, found.redacted) == ((), ())


def test_a_sensitive_value_is_passed_where_that_is_said_with_all_that_must_not_be_printed() -> None:
    known = {("vpc", "keys"): KeptOutput(value='{"a": ["first-key"], "b": 1}', is_sensitive=True)}
    found = passed([Dependency(stack="vpc", outputs={"keys": "TF_VAR_keys"}, sensitive=True)], known)
    assert isinstance(found, Passed)
    assert (found.secret_names, found.redacted) == (("TF_VAR_keys",), ("first-key",))
    assert "first-key" not in repr(found) + repr(known)


@pytest.mark.parametrize(
    ("kept", "sensitive", "expected"),
    [
        (
            None,
            False,
            "these inputs are missing: vpc.x => X. Outputs are kept when a tracked run is applied: deploy vpc",
        ),
        (KeptOutput(value='"long-enough"', is_sensitive=True), False, "the output x of vpc is sensitive, and is not"),
        (
            KeptOutput(value=None, is_sensitive=True),
            True,
            "the sensitive output vpc.x was not kept when it was applied",
        ),
        (KeptOutput(value='"abc"', is_sensitive=True), True, "the sensitive output vpc.x is so short"),
        (KeptOutput(value=None), False, "the output vpc.x is too long to be passed: 128 kB"),
        (KeptOutput(value='"a\\u0000b"'), False, "the output vpc.x has a NUL"),
        (KeptOutput(value='"half of a pair: \\ud800"'), False, "the output vpc.x is too long"),
        (KeptOutput(value='["half of a pair: \\ud800"]', is_sensitive=True), True, "the output vpc.x is too long"),
    ],
)
def test_why_nothing_can_be_passed_is_said_with_the_way_on(
    kept: KeptOutput | None, sensitive: bool, expected: str
) -> None:
    known = {("vpc", "x"): kept} if kept is not None else {}
    found = passed([Dependency(stack="vpc", outputs={"x": "X"}, sensitive=sensitive)], known)
    assert isinstance(found, tuple)
    assert found[0].startswith(expected), found


def test_what_is_escaped_in_a_value_counts_for_how_long_it_is() -> None:
    """One variable of a process holds 131,072 bytes, and no worker could start anything with a longer one."""
    known = {("vpc", "x"): KeptOutput(value=json.dumps(["${" * 50_000]))}
    assert passed([Dependency(stack="vpc", outputs={"x": "TF_VAR_x"})], known) == (
        "the output vpc.x is too long to be passed: 128 kB a value, and 1 MB for all of a stack, are the most",
    )
    assert isinstance(passed([Dependency(stack="vpc", outputs={"x": "X"})], known), Passed), "nothing is escaped there"


def test_values_that_are_too_long_together_are_refused() -> None:
    known = {("vpc", f"o{at}"): KeptOutput(value=json.dumps("x" * 127_000)) for at in range(9)}
    found = passed([Dependency(stack="vpc", outputs={f"o{at}": f"O{at}" for at in range(9)})], known)
    assert found == ("the outputs that are passed are longer than 1 MB together, which is the most",)
