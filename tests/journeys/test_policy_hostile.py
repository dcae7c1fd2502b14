"""Policies that attack: through a whole event each ends, starts nothing, is named on the commit, and harms no other."""

import time

from app.core.run import RunState
from tests.driver import World

DEEP = "[" * 4900 + "]" * 4900
RUNNING = {
    "endless": ("track if count([1 | numbers.range(1, 30000)[_]; numbers.range(1, 30000)[_] == -1]) >= 0", "timeout"),
    "cartesian": (
        "l := numbers.range(1, 3000)\n\ntrack if {\n\tsome a in l\n\tsome b in l\n\tsome c in l\n\ta + b + c == -1\n}",
        "timeout",
    ),
    "range": ("track if count(numbers.range(1, 1000000000)) > 0", ""),
    "regex": (
        "track := true\n\nignore if regex.match(`((a{1,100}){1,100}){1,100}`, input.push.message)",
        "rule ignore, line 5: eval_builtin_error",
    ),
    "deep": ('track := true\n\nlock := json.unmarshal(split(input.push.message, "\\n")[1])', "contract"),
}
REFUSED = {
    "send": (
        'track if http.send({"method": "get", "url": "http://192.0.2.1"}).status_code == 200',
        "http.send may not",
    ),
    "spelled": ('track if http["send"]({"method": "get", "url": "http://192.0.2.1"})', "http.send may not"),
    "replaced": ('track if count({"method": "get"}) with count as http.send', "http.send may not"),
    "recursive": ("f(x) := f(x - 1)\n\ntrack if f(10) == 1", "recursi"),
    "large": ("# " + "x" * 1_000_000, "larger than 1,000,000 bytes"),
}


def stacks_of(*names: str) -> str:
    """A stacks file: a stack for each name, with a policy of that name, and one that no policy decides about."""
    stacks = "".join(
        f"  - {{name: {name}, project_root: {name}, worker_pool: elsewhere}}\n" for name in (*names, "fine")
    )
    policies = "".join(f"  - {{name: p-{n}, type: push, path: {n}.rego, attach: [{n}]}}\n" for n in names)
    return f"version: 1\nstacks:\n{stacks}policies:\n{policies}"


def decided(world: World, sha: str) -> dict[str, tuple[str, str]]:
    """Verdict and reason by stack."""
    rows = world.sql(f"SELECT stack_name, verdict, reason FROM decisions WHERE head_sha = '{sha}'")  # noqa: S608 - ours
    return {str(stack): (str(verdict), str(reason)) for stack, verdict, reason in rows}


def test_policies_that_attack_the_engine_start_nothing_and_the_next_push_is_right(world: World) -> None:
    """Time, memory, expressions and depth: the commit names each; the stack beside them runs, and mended so do they."""
    files = {".trackside/stacks.yml": stacks_of(*RUNNING), "fine/main.tf": "# nothing yet\n"}
    files |= {f"{name}.rego": f"package trackside\n\n{text}\n" for name, (text, _) in RUNNING.items()}
    files |= {f"{name}/main.tf": "# nothing yet\n" for name in RUNNING}
    repo = world.repository()
    began = time.monotonic()
    sha = world.push(repo, files, f"Attack\n{DEEP}")
    world.wait_carried_out()
    spent_s = time.monotonic() - began
    for name, (_, why) in RUNNING.items():
        verdict, reason = decided(world, sha)[name]
        assert (verdict, f"policy p-{name} gave no answer: " in reason, why in reason) == ("fail", True, True), reason
    assert spent_s < 10 * len(RUNNING) + 20
    assert [run.stack_name for run in world.runs()] == ["fine"]

    mended = {f"{name}.rego": "package trackside\n\ntrack := true\n" for name in RUNNING}
    next_sha = world.push(repo, mended, "Mended")
    world.wait_carried_out()
    for name in RUNNING:
        check = repo.check_run(sha, f"deploy/{name}")
        assert check is not None
        assert (check.conclusion, check.title) == ("failure", "not decided: nothing was started")
        assert f"policy p-{name} gave no answer" in (check.summary or "")
    newest = {run.stack_name: run for run in world.runs() if run.head_sha == next_sha}
    assert {name: newest[name].state for name in RUNNING} == dict.fromkeys(RUNNING, RunState.READY)


def test_policies_that_reach_out_never_come_into_force(world: World) -> None:
    """The check `config` names every one of them with its file; the push is decided by what was in force before."""
    good = dict.fromkeys(REFUSED, "package trackside\n\nignore := true\n")
    files = {".trackside/stacks.yml": stacks_of(*REFUSED)} | {f"{name}/main.tf": "# a\n" for name in (*REFUSED, "fine")}
    repo = world.repository(files | {f"{name}.rego": text for name, text in good.items()})
    world.wait_carried_out()
    bad = {f"{name}.rego": f"package trackside\n\n{text}\n" for name, (text, _) in REFUSED.items()}
    sha = world.push(repo, bad | {f"{name}/main.tf": "# b\n" for name in REFUSED}, "Reach out")
    world.wait_carried_out()
    check = repo.check_run(sha, "config")
    assert check is not None
    assert check.conclusion == "failure"
    text = check.text or ""
    for name, (_, words) in REFUSED.items():
        assert any(f"{name}.rego" in line and words in line for line in text.splitlines()), text[:3000]
        verdict, reason = decided(world, sha)[name]
        assert (verdict, reason) == ("ignore", f"policy p-{name} said ignore (line 3)")
