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
from app.policy.suite_files import TEST_SUFFIX, find_tests
from app.policy.worker import Limits


class TextSuite:
    """Runs `*_test.rego` texts beside their policies."""

    __test__ = False

    def run(self, texts: Mapping[str, str], *, timeout_s: float) -> tuple[tuple[TestLine, ...], str]:
        """The results, in the order of files and rules, and why some are missing (empty: none is).

        Shape: texts: path from the repository's root to content. Raises: UserError when there is no engine to ask.
        """
        deadline = time.monotonic() + timeout_s
        found: list[TestLine] = []
        with tempfile.TemporaryDirectory(prefix="policy-tests-") as name:
            root = Path(name)
            if not _write(root, texts):
                return (), ""
            backend = PoolBackend(1, Limits())
            try:
                suite = Suite(backend)
                for path in find_tests([root]):
                    for result in suite.run(path):
                        found.append(_line(root, result))
                        if time.monotonic() > deadline:
                            return tuple(found), f"stopped after {timeout_s:g} s, not all were run"
            finally:
                backend.close()
        return tuple(found), ""


def _write(root: Path, texts: Mapping[str, str]) -> bool:
    """Write the texts below the folder; whether there is a test among them."""
    for path, text in texts.items():
        parts = PurePosixPath(path).parts
        if not parts or ".." in parts or PurePosixPath(path).is_absolute() or "\0" in path:
            raise UserError(f"testing policies: the path {path[:200]!r} leads out of the repository")
        file = root.joinpath(*parts)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return any(path.endswith(TEST_SUFFIX) for path in texts)


def _line(root: Path, result: CaseResult) -> TestLine:
    return TestLine(
        path=str(result.path.relative_to(root)),
        name=result.name.rpartition(".")[2],
        outcome=TestOutcome(result.outcome),
        message=result.message.replace(f"{root}/", ""),
    )
