"""Makes the plans of this folder with the real engine, from cases.yml: `python -m tests.core.plans.make [NAME…]`.

They are committed, so that the tests need no run of the engine for each. What differs from one making to the next
(identifiers, the time) is made the same.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import yaml

HERE: Final = Path(__file__).parent
UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
CHANGES: Final = 2


class Folder:
    """A folder with a local state, in which one case is played."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "rc").touch()

    def run(self, *words: str, expected: tuple[int, ...] = (0,)) -> str:
        """What a command of the engine prints."""
        env = {"PATH": os.environ["PATH"], "HOME": str(self.path), "CHECKPOINT_DISABLE": "1"}
        env["TF_CLI_CONFIG_FILE"] = str(self.path / "rc")
        argv = ["terraform", *words]
        done = subprocess.run(argv, cwd=self.path, env=env, check=False, capture_output=True, text=True)
        if done.returncode not in expected:
            raise SystemExit(f"terraform {' '.join(words)} exited {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def play(self, step: dict[str, Any]) -> str:
        """Do one step; the plan as JSON when it is one that is kept."""
        for name, text in step.get("files", {}).items():
            (self.path / name).parent.mkdir(exist_ok=True)
            (self.path / name).write_text(text)
        if "state" in step:
            self._write_state(step["state"])
        if "run" in step:
            self.run(*step["run"])
        text = step.get("apply") or step.get("fails") or step.get("plan")
        if text is None:
            return ""
        (self.path / "main.tf").write_text(text)
        self.run("init", "-input=false")
        if "plan" not in step:
            self.run("apply", "-input=false", "-auto-approve", expected=(1,) if "fails" in step else (0,))
            return ""
        expected = (step["exit"],) if "exit" in step else (0, CHANGES)
        self.run("plan", "-input=false", "-detailed-exitcode", "-out=plan", *step.get("options", ()), expected=expected)
        return self.run("show", "-json", "plan")

    def _write_state(self, changes: list[list[str]]) -> None:
        """Change attributes of the one resource in the state, as somebody else would."""
        path = self.path / "terraform.tfstate"
        state = json.loads(path.read_text())
        for pointer, value in changes:
            part = state["resources"][0]["instances"][0]["attributes"]
            *steps, last = pointer.split("/")
            for step in steps:
                part = part[step]
            part[last] = value
        path.write_text(json.dumps(state))


def make(name: str, steps: list[dict[str, Any]]) -> None:
    """Play a case, and keep its plan."""
    with tempfile.TemporaryDirectory() as path:
        folder = Folder(Path(path))
        shown = [folder.play(step) for step in steps][-1]
    known: dict[str, str] = {}
    shown = UUID.sub(lambda found: known.setdefault(found[0], f"00000000-0000-4000-8000-{len(known):012}"), shown)
    document = json.loads(shown)
    document["timestamp"] = "2026-11-27T12:00:00Z"
    (HERE / f"{name}.json").write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n")


def main() -> None:
    """Make those that are named; all of them without a name."""
    cases = yaml.safe_load((HERE / "cases.yml").read_text())
    for name in sys.argv[1:] or cases:
        print(name)
        make(name, cases[name])


if __name__ == "__main__":
    main()
