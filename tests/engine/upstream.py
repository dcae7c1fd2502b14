"""A repository somewhere else that git's tests fetch from, and what lies in a folder."""

import os
import subprocess
from pathlib import Path

from app.core.names import Secret
from app.engine.git import Source


class Upstream:
    """A repository somewhere else, with a person who commits to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "uploadpack.allowFilter", "true")
        self.source = Source(7, f"file://{path}", Secret(""))

    def git(self, *arguments: str, stdin: str = "", date: str = "1700000000 +0200") -> str:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.path.parent),
            "GIT_CONFIG_NOSYSTEM": "1",  # where git-lfs is installed, the system's configuration has its filter
            "GIT_AUTHOR_NAME": "Åsa",
            "GIT_AUTHOR_EMAIL": "asa@example.org",
            "GIT_COMMITTER_NAME": "Åsa",
            "GIT_COMMITTER_EMAIL": "asa@example.org",
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_DATE": date,
        }
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env=env,
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, message: str = "a change", **files: str) -> str:
        """Write the files (`__` is a slash, `_tf` the suffix) and commit everything."""
        for name, content in files.items():
            path = self.path / name.replace("__", "/").replace("_tf", ".tf")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def commit_tree(self, listing: str) -> str:
        """A commit of a tree as it stands in the listing, however odd; a branch of its own holds it."""
        sha = self.git("commit-tree", "-m", "odd", self.git("mktree", "--missing", stdin=listing))
        self.git("update-ref", f"refs/heads/{sha}", sha)
        return sha

    def blob(self, content: str) -> str:
        return self.git("hash-object", "-w", "--stdin", stdin=content)


def names_in(folder: Path) -> set[str]:
    """Everything below a folder, by its path from there."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
