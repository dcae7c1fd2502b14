"""What a rehearsal is made of, whatever it is about: policy tests that are run, recorded events decided again.

Asks the policy engine, the mirror and the records; writes nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, Final, Protocol

import msgspec

from app.core.contract import MAX_POLICY_BYTES, TEST_FOLDERS
from app.core.decision import Verdict
from app.core.errors import UserError
from app.core.explanation import RecordedEvent
from app.core.names import RepositoryId, Sha
from app.core.report_rehearsal import Flip, PolicyLine, TestLine
from app.core.stack import PolicySpec, Stack
from app.flows.ports import Mirror, ReadFile
from app.flows.rejudge import Rejudge, decides_alike

MAX_EVENTS: Final = 200
"""Recorded events that are decided again."""
MAX_ASKED: Final = 5_000
"""Questions to stacks, all in all."""
REPLAY_S: Final = 30.0
TESTS_S: Final = 60.0
MAX_TEST_FILES: Final = 200
DATA_ENDS: Final = (".json", ".yaml", ".yml")
"""Of files that a test may use as data."""
ENDS: Final = (".rego", *DATA_ENDS)
"""Of files that tests are made of."""
FORK: Final = "This pull request comes from a fork: its policies are checked, and not run"


class RecordedEvents(Protocol):
    """What the store is asked."""

    def list_recorded_events(self, repository_id: RepositoryId, *, limit: int) -> list[RecordedEvent]:
        """The newest events that were decided, newest first."""
        ...


class PolicyTests(Protocol):
    """What runs the tests beside policies."""

    def run(self, texts: Mapping[str, str], *, timeout_s: float) -> tuple[tuple[TestLine, ...], str]:
        """The results, and why some are missing. Raises: UserError when there is no engine to ask."""
        ...


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The document of a REHEARSAL report."""

    pull_number: int
    base_ref: str
    """The branch's name."""
    is_fork: bool


def edited_by(mirror: Mirror, source: Any, sha: Sha, base_ref: str) -> tuple[str, ...] | None:
    """What a pull request into that branch changes; None when that is not known."""
    try:
        left = mirror.merge_base(source, f"refs/heads/{base_ref}", sha)
    except UserError:
        return None
    return mirror.changed_files(source, left, sha) if left is not None else None


def is_beside(path: str, policies: Iterable[str]) -> bool:
    """True for Rego and data in the folder of one of those policies, or in a folder of tests below it."""
    folder, _, last = path.rpartition("/")[0].rpartition("/")
    here = {path.rpartition("/")[0], *([folder] if last in TEST_FOLDERS else [])}
    return path.endswith(ENDS) and any(policy.rpartition("/")[0] in here for policy in policies)


def policy_lines(specs: Sequence[PolicySpec], edited: Sequence[str] | None) -> tuple[PolicyLine, ...]:
    """The policies as the check tells of them. `edited`: what the pull request changes; None: not known."""
    return tuple(
        PolicyLine(name=spec.name, type=spec.type, path=spec.path, is_edited=spec.path in (edited or ()))
        for spec in specs
    )


def run_tests(tests: PolicyTests, files: Sequence[str], read: ReadFile) -> tuple[tuple[TestLine, ...], str]:
    """The results of the tests among those files, and why some are missing."""
    rego = [path for path in files if path.endswith(".rego")]
    if not rego:
        return (), ""
    if len(rego) > MAX_TEST_FILES:
        is_tested = any(path.endswith("_test.rego") for path in rego)
        return (), f"not run, more than {MAX_TEST_FILES} files beside the policies" if is_tested else ""
    data = [path for path in files if path.endswith(DATA_ENDS)]
    left_out = f"without data beyond {MAX_TEST_FILES} files beside the policies" if len(data) > MAX_TEST_FILES else ""
    texts: dict[str, str] = {}
    try:
        for path in (*rego, *data[:MAX_TEST_FILES]):
            raw = _read(read, path)
            if raw is not None:
                texts[path] = raw.decode("utf-8", "replace")
        results, missing = tests.run(texts, timeout_s=TESTS_S)
    except UserError as error:
        return (), f"not run: {error}"
    return results, missing or left_out


def _read(read: ReadFile, path: str) -> bytes | None:
    """A file; None for what is too long to be data."""
    try:
        return read(path, max_bytes=MAX_POLICY_BYTES)
    except UserError:
        if path.endswith(DATA_ENDS):
            return None
        raise


@dataclass(slots=True, kw_only=True)
class Replay:
    """What a replay has found so far, within its bounds."""

    rejudge: Rejudge
    deadline: float = field(default_factory=lambda: monotonic() + REPLAY_S)
    prefix: str = ""
    """Before the names of stacks, where several repositories are told of."""
    flips: list[Flip] = field(default_factory=list)
    replayed: int = 0
    left_out: int = 0
    asked: int = 0

    def play(
        self,
        events: Sequence[RecordedEvent],
        pairs: Sequence[tuple[Stack | None, Stack | None]],
        texts: Mapping[str, str],
    ) -> None:
        """Decide the events for each stack as it is and as it would be. `texts`: policies by digest."""
        for event in events:
            if not event.is_whole or self._is_spent(len(pairs)):
                self.left_out += 1
                continue
            self.replayed += 1
            for now, then in pairs:
                flip = _compare(self.rejudge, event, now, then, texts)
                self.asked += 2
                if flip is not None:
                    self.flips.append(replace(flip, stack_name=f"{self.prefix}{flip.stack_name}"))

    def _is_spent(self, more: int) -> bool:
        """True when there is no room for another event."""
        return self.asked + 2 * more > MAX_ASKED or monotonic() > self.deadline


def pairs_of(proposed: Sequence[Stack], stacks: Sequence[Stack]) -> Iterator[tuple[Stack | None, Stack | None]]:
    """Each stack as it is and as it would be; those that decide alike are left out."""
    by_id = {stack.id: stack for stack in stacks}
    for stack in proposed:
        before = by_id.pop(stack.id, None)
        if before is None or not decides_alike(before, stack):
            yield before, stack
    for stack in by_id.values():
        yield stack, None


def _compare(
    rejudge: Rejudge, event: RecordedEvent, now: Stack | None, then: Stack | None, texts: Mapping[str, str]
) -> Flip | None:
    """The flip of one event for one stack, or None."""
    before = rejudge.ask(now, event.document, texts, is_everything=event.is_everything) if now else None
    after = rejudge.ask(then, event.document, texts, is_everything=event.is_everything) if then else None
    verdicts = tuple(said.verdict if said is not None else Verdict.IGNORE for said in (before, after))
    if verdicts[0] is verdicts[1]:
        return None
    named = then or now
    return Flip(
        event=event.words,
        head_sha=event.head_sha,
        stack_name=named.name if named is not None else "",
        now=before.verdict if before is not None else None,
        then=after.verdict if after is not None else None,
        reason=after.reason if after is not None else "",
    )
