"""`trackside simulate` in a clone: which stacks an event would run, and why, without running anything."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from tests.github.payload_samples import PULL_REQUEST, PUSH

STACKS = """\
version: 1
stacks:
  - {name: network, project_root: infra/network}
  - {name: dns, project_root: infra/dns}
policies:
  - {name: only-tags, type: push, path: policies/only-tags.rego, attach: [dns]}
"""
POLICY = """\
package trackside

track if input.push.tag != ""

ignore if {
	print("branch", input.push.branch)
	input.push.tag == ""
}
"""
GIT = {
    "GIT_AUTHOR_NAME": "alice",
    "GIT_AUTHOR_EMAIL": "alice@acme.example",
    "GIT_COMMITTER_NAME": "alice",
    "GIT_COMMITTER_EMAIL": "alice@acme.example",
    "GIT_AUTHOR_DATE": "2026-03-01T12:00:00Z",
    "GIT_COMMITTER_DATE": "2026-03-01T12:00:00Z",
    "GIT_CONFIG_GLOBAL": os.devnull,
}
Commit = Callable[[dict[str, str], str], str]
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """An empty clone."""
    folder = tmp_path / "clone"
    subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)
    return folder


@pytest.fixture
def commit(clone: Path) -> Commit:
    """Writes files and commits them; the SHA."""

    def write(files: dict[str, str], message: str) -> str:
        for path, text in files.items():
            (clone / path).parent.mkdir(parents=True, exist_ok=True)
            (clone / path).write_text(text)
        env = os.environ | GIT
        subprocess.run(["git", "-C", str(clone), "add", "-A"], check=True, env=env)
        subprocess.run(["git", "-C", str(clone), "commit", "-q", "-m", message], check=True, env=env)
        found = subprocess.run(
            ["git", "-C", str(clone), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
        )
        return found.stdout.strip()

    return write


def simulate(clone: Path, event: object, *options: str) -> Done:
    """Somebody types `trackside simulate --event FILE` in the clone."""
    file = clone.parent / "event.json"
    file.write_text(event if isinstance(event, str) else json.dumps(event))
    argv = [sys.executable, "-m", "app.cli", "simulate", "--event", str(file), *options]
    env = {"PATH": os.environ["PATH"], "HOME": str(clone.parent), "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(argv, cwd=clone, env=env, capture_output=True, text=True, timeout=60, check=False)


def push(before: str, after: str, *, ref: str = "refs/heads/main") -> dict[str, Any]:
    return PUSH | {"ref": ref, "before": before, "after": after, "created": False, "forced": False}


def told(done: Done) -> dict[str, tuple[str | None, str]]:
    """Run and reason of each stack of a JSON answer."""
    assert (done.returncode, done.stderr) == (0, "")
    return {one["stack"]: (one["run"], one["reason"]) for one in json.loads(done.stdout)["stacks"]}


def test_a_push_is_told_with_each_stack_and_why(clone: Path, commit: Commit) -> None:
    """The files come from git in the clone, stacks and policies from its working tree; nothing is run; exit code 0."""
    first = commit({".trackside/stacks.yml": STACKS, "policies/only-tags.rego": POLICY}, "Stacks")
    second = commit({"infra/network/main.tf": "# one\n", "infra/dns/main.tf": "# one\n"}, "Two roots")

    done = simulate(clone, push(first, second))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.replace(second[:7], "SECOND7") == snapshot("""\
push to main by alice: SECOND7 Two roots
2 files changed
  infra/dns/main.tf
  infra/network/main.tf

network  tracked     infra/network/main.tf changed
dns      ignored     policy only-tags said ignore (line 5)
           only-tags printed 6: branch main

1 of 2 stacks would run; nothing was run
""")

    tag = simulate(clone, push("0" * 40, second, ref="refs/tags/v1"), "--json")
    assert told(tag) == snapshot(
        {
            "network": (None, "tag v1 ignored: no policy tracks tags"),
            "dns": ("tracked", "policy only-tags said track (line 3)"),
        }
    )


def test_what_is_not_committed_yet_counts_for_stacks_and_policies(clone: Path, commit: Commit) -> None:
    """That is what an author wants to know before pushing: a policy is tried out by editing it."""
    first = commit({".trackside/stacks.yml": STACKS, "policies/only-tags.rego": POLICY}, "Stacks")
    second = commit({"infra/dns/main.tf": "# one\n"}, "One root")
    (clone / "policies/only-tags.rego").write_text('package spacelift\n\ntrack { input.push.branch == "main" }\n')

    assert told(simulate(clone, push(first, second), "--json"))["dns"] == snapshot(
        ("tracked", "policy only-tags said track (line 3)")
    )


def test_a_pull_request_is_compared_with_where_it_left_its_base(clone: Path, commit: Commit) -> None:
    """As in the product: all that the pull request changes; `--base` compares with something else."""
    first = commit({".trackside/stacks.yml": STACKS, "policies/only-tags.rego": POLICY}, "Stacks")
    subprocess.run(["git", "-C", str(clone), "switch", "-q", "-c", "topic"], check=True)
    commit({"infra/network/main.tf": "# one\n"}, "One")
    head = commit({"README.md": "words\n"}, "Two")
    pull = PULL_REQUEST["pull_request"]
    event = PULL_REQUEST | {
        "pull_request": pull | {"head": pull["head"] | {"sha": head}, "base": pull["base"] | {"sha": first}}
    }

    assert told(simulate(clone, event, "--json"))["network"] == snapshot(
        ("proposed", "infra/network/main.tf changed; branch topic is not the tracked branch main")
    )
    assert told(simulate(clone, event, "--json", "--base", "HEAD~1"))["network"] == snapshot(
        (None, "outside infra/network")
    )


def test_an_input_document_is_taken_as_it_is(clone: Path, commit: Commit) -> None:
    """What a decision's record holds can be tried again."""
    commit({".trackside/stacks.yml": STACKS, "policies/only-tags.rego": POLICY}, "Stacks")
    document = {
        "push": {"branch": "main", "tag": "", "affected_files": ["infra/network/x.tf"]},
        "pull_request": None,
        "stack": {"branch": "main"},
    }
    assert told(simulate(clone, document, "--json")) == snapshot(
        {"network": ("tracked", "infra/network/x.tf changed"), "dns": (None, "policy only-tags said ignore (line 5)")}
    )


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("{", "reading event FILE: it is no JSON"),
        ("[]", "reading event FILE: it is no JSON object"),
        ({"hello": 1}, "reading event FILE: it is neither a payload of GitHub's"),
        (PUSH | {"after": "short"}, "reading event FILE: push"),
        (PUSH | {"before": "1" * 40, "after": "2" * 40}, "it is not in this clone; get it with `git fetch origin 222"),
    ],
)
def test_a_bad_event_is_one_clear_error(clone: Path, commit: Commit, event: object, said: str) -> None:
    """File and reason in one line, exit code 1, no stack trace."""
    commit({".trackside/stacks.yml": STACKS, "policies/only-tags.rego": POLICY}, "Stacks")
    done = simulate(clone, event)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("trackside: ")
    assert said in done.stderr.replace(str(clone.parent / "event.json"), "FILE")
    assert len(done.stderr.splitlines()) == 1


def test_a_broken_stacks_file_or_policy_is_named_with_its_line(clone: Path, commit: Commit) -> None:
    """The same words as on the commit; also where there is no stacks file, and outside of a clone."""
    first = commit({"README.md": "words\n"}, "Words")
    nothing = simulate(clone, push("0" * 40, first))
    assert (nothing.returncode, "there is none in" in nothing.stderr) == (1, True)
    second = commit(
        {".trackside/stacks.yml": STACKS, "policies/only-tags.rego": "package trackside\n\ntrack if {\n"}, "Broken"
    )
    broken = simulate(clone, push(first, second))
    assert broken.returncode == 1
    assert "policies/only-tags.rego" in broken.stderr
    assert broken.stderr.count("policies/only-tags.rego:4: ") == 1
    outside = clone.parent / "nowhere"
    outside.mkdir()
    assert "not a git repository" in simulate(outside, push(first, second)).stderr


def test_the_owners_settings_count_when_a_clone_of_them_is_named(clone: Path, commit: Commit, tmp_path: Path) -> None:
    """Policies and pools of `.trackside`'s working tree; its mistakes are named with file and line."""
    first = commit({".trackside/stacks.yml": STACKS, "policies/only-tags.rego": POLICY}, "Stacks")
    second = commit({"infra/network/main.tf": "# one\n"}, "One root")
    owners = tmp_path / "owners"
    subprocess.run(["git", "init", "-q", "-b", "main", str(owners)], check=True)
    (owners / "policies").mkdir()
    settings = "version: 1\npolicies:\n  - {name: calm, type: push, path: policies/calm.rego, attach: '*'}\n"
    (owners / "stacks.yml").write_text(settings)
    (owners / "policies/calm.rego").write_text('package trackside\n\nignore if input.push.branch == "main"\n')
    asked = push(first, second)

    done = simulate(clone, asked, "--organisation", str(owners), "--json")

    assert told(done)["network"] == (None, "policy .trackside/calm said ignore (line 3)")
    (owners / "stacks.yml").write_text(settings + "pools: {large: '*'}\n")
    done = simulate(clone, asked, "--organisation", str(owners))
    assert done.returncode == 1
    assert ".trackside/stacks.yml:3: the worker pool `default` of stack `network` does not serve" in done.stderr
    (owners / "stacks.yml").write_text("version: 1\npolices: []\n")
    done = simulate(clone, asked, "--organisation", str(owners))
    assert done.returncode == 1
    assert "stacks.yml:2: unknown key `polices`: did you mean `policies`?" in done.stderr


def test_stacks_that_would_run_after_others_are_told(clone: Path, commit: Commit) -> None:
    stacks = """\
version: 1
stacks:
  - {name: network, project_root: infra/network}
  - {name: app, project_root: app, depends_on: [{stack: network}]}
  - {name: web, project_root: web, depends_on: [{stack: app}]}
  - {name: dns, project_root: dns}
"""
    before = commit({".trackside/stacks.yml": stacks}, "Stacks")
    after = commit({"infra/network/main.tf": "# one\n", "web/main.tf": "# one\n"}, "Network and web")
    done = simulate(clone, PUSH | {"before": before, "after": after, "ref": "refs/heads/main"}, "--json")
    assert done.returncode == 0, done.stderr
    told = {one["stack"]: (one["run"], one["after"]) for one in json.loads(done.stdout)["stacks"]}
    assert told == {
        "network": ("tracked", []),
        "app": ("tracked", ["network"]),
        "web": ("tracked", ["app"]),
        "dns": (None, []),
    }
    lines = simulate(clone, PUSH | {"before": before, "after": after, "ref": "refs/heads/main"}).stdout.splitlines()
    assert [line for line in lines if line.startswith(("app", "web"))] == [
        "app      dependency  outside app; network runs, so it runs after it",
        "web      tracked     web/main.tf changed; it runs after app",
    ]
    assert lines[-1] == "3 of 4 stacks would run; nothing was run"
