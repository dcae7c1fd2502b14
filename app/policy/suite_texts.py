"""Tests of policies that are not files here: texts of a commit, written into a folder of their own and run there.

The folder is gone afterwards. Bounded in time: what is not reached is said, never guessed.
"""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from app.core.errors import UserError
from app.core.report_rehearsal import TestLine, TestOutcome
from app.policy.pool import PoolBackend
from app.policy.suite import CaseResult, Suite
from app.policy.suite_files import is_test
from app.policy.worker import Limits


class TextSuite:
    """Runs the tests among some texts: `*_test.rego` beside their policies, and test rules in policies themselves."""

    __test__ = False

    def run(self, texts: Mapping[str, str], *, timeout_s: float) -> tuple[tuple[TestLine, ...], str]:
        """The results, in the order of files and rules, and why some are missing (empty: none is).

        Shape: texts: path from the repository's root to content. Raises: UserError when there is no engine to ask.
        """
        deadline = time.monotonic() + timeout_s
        found: list[TestLine] = []
        with tempfile.TemporaryDirectory(prefix="policy-tests-") as name:
            root = Path(name)
            _write(root, texts)
            files = [file for path in sorted(texts) if is_test(file := root / path)]
            if not files:
                return (), ""
            backend = PoolBackend(1, Limits())
            try:
                suite = Suite(backend)
                for path in files:
                    for result in suite.run(path):
                        found.append(_line(root, result))
                        if time.monotonic() > deadline:
                            break
                    if time.monotonic() > deadline:  # also when a file has no rule that is a test
                        return tuple(found), f"stopped after {timeout_s:g} s, not all were run"
            finally:
                backend.close()
        return tuple(found), ""


def _write(root: Path, texts: Mapping[str, str]) -> None:
    """Write the texts below the folder."""
    for path, text in texts.items():
        parts = PurePosixPath(path).parts
        if not parts or ".." in parts or PurePosixPath(path).is_absolute() or "\0" in path:
            raise UserError(f"testing policies: the path {path[:200]!r} leads out of the repository")
        file = root.joinpath(*parts)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except (OSError, UnicodeEncodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not a text"
            raise UserError(f"testing policies: writing {path[:200]!r}: {why}") from error


def _line(root: Path, result: CaseResult) -> TestLine:
    return TestLine(
        path=str(result.path.relative_to(root)),
        name=result.name.rpartition(".")[2],
        outcome=TestOutcome(result.outcome),
        message=result.message.replace(f"{root}/", ""),
        line=result.line,
        policy=str(result.policy.relative_to(root)) if result.policy is not None else "",
    )
