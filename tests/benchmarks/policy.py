"""What deciding costs: the default policy over many stacks, Rego on some of them against OPA alone, the pool itself.

OPA alone is the same library in this process: the policy as it was written, the whole question as JSON, no pipe, and
nothing of ours but reading its answer.
"""

import gc
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own
import yaml

from app.core.contract import Dialect, Evaluated, PolicyQuestions, PolicyText, PolicyType
from app.core.decision import Verdict
from app.flows.judge import Judge
from app.policy.child import Library
from app.policy.pool import OpaPool, find_library
from app.policy.prepare import Prepared, prepare
from tests.benchmarks.figures import paired_ratio, table, verdict
from tests.flows.made import NoPolicies, case_of, stack
from tests.policy.asked import example, written

STACKS, FILES, TOUCHED, ROUNDS = 10_000, 200, 50, 40
_EVENTS = Path(__file__).parents[1] / "policy" / "decisions.yml"
_ENDLESS = "track if count([1 | numbers.range(1, 9000)[_]; numbers.range(1, 9000)[_]]) > 0"


def measure(_server_url: str) -> str:
    """The tables."""
    gc.collect()
    return "\n".join([_default(), _rego(), _pool()])


def _default() -> str:
    stacks = [stack(f"s{number}", root=f"infra/team{number % 100}/s{number}") for number in range(STACKS)]
    files = [f"infra/team1/s{100 * (number % TOUCHED) + 1}/f{number}.tf" for number in range(FILES)]
    judge, spent = Judge(policies=NoPolicies()), []
    for _ in range(9):
        case = case_of(stacks, files)
        began = time.process_time()
        rulings = judge.rule(case)
        spent.append((time.process_time() - began) * 1e3)
        if sum(ruling.answer.verdict is Verdict.TRACK for ruling in rulings) != TOUCHED:
            raise AssertionError("the default policy decided otherwise")
    rows = [["median of 9", verdict(statistics.median(spent), 50, is_at_least=False)], ["worst", f"{max(spent):.1f}"]]
    return table(f"Default policy: {STACKS:,} stacks, {FILES} files, {TOUCHED} touched", ["decision", "CPU ms"], rows)


def _rego() -> str:
    """The same policy on each stack, and a text of its own for each."""
    shared, owns = _questions()
    one = example("push-default", Dialect.V1)
    apart = [written(f"{one.text}\n# {number}") for number in range(TOUCHED)]
    rows = []
    with OpaPool() as pool:
        for name, asked in (
            ("one policy on all", [PolicyQuestions(policy=one, own=owns)]),
            ("one of its own each", [PolicyQuestions(policy=p, own=[o]) for p, o in zip(apart, owns, strict=True)]),
        ):
            alone = _alone([(each.policy, {**shared, **own}) for each in asked for own in each.own])
            ours, floor = _pairs(lambda asked=asked: _all_told(pool.evaluate_all(shared, asked)), alone)  # type: ignore[misc]
            each = _once(lambda asked=asked: _one_by_one(pool, shared, asked))  # type: ignore[misc]
            row = [statistics.median(floor), statistics.median(ours), each]
            ratio = verdict(paired_ratio(ours, floor), 1.5, is_at_least=False)
            rows.append([name, *(f"{value:.1f}" for value in row), ratio])
    columns = [f"{TOUCHED} evaluations", "OPA alone ms", "the pool ms", "asked one by one ms", "of OPA alone"]
    return table(
        f"Rego: medians of {ROUNDS} pairs, {len(json.dumps(shared | owns[0])):,} bytes a question", columns, rows
    )


def _questions() -> tuple[dict[str, object], list[dict[str, object]]]:
    """The push of 200 files, and 50 stacks that it touches."""
    question: dict[str, Any] = yaml.safe_load(_EVENTS.read_text())["events"]["push"]
    files = [f"infra/team1/s{number % TOUCHED}/f{number}.tf" for number in range(FILES)]
    shared = {key: value for key, value in question.items() if key not in ("stack", "in_progress")}
    shared["push"] = question["push"] | {"affected_files": files}
    own = [question["stack"] | {"id": f"s{n}", "project_root": f"infra/team1/s{n}"} for n in range(TOUCHED)]
    return shared, [{"stack": each, "in_progress": []} for each in own]


def _alone(asked: Sequence[tuple[PolicyText, Mapping[str, object]]]) -> Callable[[], object]:
    """OPA in this process, every policy compiled, every question written; what is left is asking and reading."""
    library, ready = Library(str(find_library())), []
    handles: dict[str, int] = {}
    with OpaPool(1) as pool:
        for policy, question in asked:
            if policy.text not in handles:
                prepared = prepare(policy, pool.backend)
                if not isinstance(prepared, Prepared):
                    raise AssertionError(f"policy refused: {prepared}")
                handles[policy.text] = library.c.OpaNew()
                for name, text in prepared.program.modules:
                    library.call(library.c.OpaAddPolicy, handles[policy.text], name.encode(), text.encode())
            ready.append((handles[policy.text], json.dumps(question).encode()))
    query = b"x := data.trackside_answer.values"
    return lambda: [json.loads(library.query(handle, query, body)) for handle, body in ready]


def _pairs(ours: Callable[[], object], floor: Callable[[], object]) -> tuple[list[float], list[float]]:
    """Milliseconds of both, taking turns, after a round that does not count."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS + 1):
        for call, found in zip((ours, floor), times, strict=True):
            spent = _once(call)
            if number:
                found.append(spent)
    return times


def _once(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e3


def _all_told(told: Sequence[Sequence[object]]) -> None:
    if not all(isinstance(said, Evaluated) for part in told for said in part):
        raise AssertionError("a policy gave no answer")


def _one_by_one(pool: OpaPool, shared: Mapping[str, object], asked: Sequence[PolicyQuestions]) -> None:
    _all_told([[pool.evaluate(each.policy, {**shared, **own}) for own in each.own] for each in asked])


def _pool() -> str:
    shared, owns = _questions()
    fine, question = example("push-default", Dialect.V1), {**shared, **owns[0]}
    with OpaPool(1, timeouts_s=dict.fromkeys(PolicyType, 0.3)) as pool:
        first = _once(lambda: pool.evaluate(fine, question))
        memory = psutil.Process(pool.backend.pids[0]).memory_info().rss / 2**20
        late, killed = [], []
        for number in range(7):
            pool.evaluate(written(f"{_ENDLESS}\n# {number}"), {})
            late.append(_once(lambda: pool.evaluate(fine, question)))
            child = psutil.Process(pool.backend.pids[0])
            child.kill()
            child.wait(5)
            killed.append(_once(lambda: pool.evaluate(fine, question)))
    rows = [
        ["first decision, nothing started, ms", f"{first:.0f}"],
        ["a child after it, MiB resident", f"{memory:.0f}"],
        ["next decision after a timeout, ms (median of 7)", f"{statistics.median(late):.0f}"],
        ["next decision after a killed child, ms (median of 7)", f"{statistics.median(killed):.0f}"],
    ]
    return table("The pool", ["what", "value"], rows)
