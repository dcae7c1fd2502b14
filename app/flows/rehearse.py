"""What a pull request would make of the configuration: the `config` check of its head, before anything is in force.

Reads the head's stacks file and policies, runs the policies' own tests, and decides the last recorded events again,
with the configuration in force and with the proposed one. A fork's policies are read and checked, never run.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Protocol

import msgspec

from app.core.contract import MAX_POLICY_BYTES
from app.core.decision import Verdict
from app.core.errors import UserError
from app.core.event import PullChanged, Repository
from app.core.explanation import RecordedEvent
from app.core.names import RepositoryId, Sha
from app.core.pull import PullAction
from app.core.record import ReportKind
from app.core.reply import CheckReport
from app.core.report_rehearsal import Flip, RehearsalView, TestLine, rehearsal_report
from app.core.stack import CONFIG_PATH, MAX_CONFIG_BYTES, Stack
from app.flows.configure import GONE, Found, read_file, read_policies
from app.flows.ports import Mirror, Policies, Store
from app.flows.rejudge import Rejudge, decides_alike, imagined_stacks

MAX_EVENTS: Final = 200
"""Recorded events that are decided again."""
MAX_ASKED: Final = 5_000
"""Questions to stacks, all in all."""
REPLAY_S: Final = 30.0
TESTS_S: Final = 60.0
MAX_TEST_FILES: Final = 200
FORK: Final = "This pull request comes from a fork: its policies are checked, and not run"
_NEW_HEAD: Final = (PullAction.OPENED, PullAction.REOPENED, PullAction.SYNCHRONIZE, PullAction.EDITED)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearse:
    """The use case. `source_of` names the repository's mirror with the token that it needs."""

    store: Store
    events: RecordedEvents
    mirror: Mirror
    policies: Policies
    tests: PolicyTests
    source_of: Callable[[Repository], Any]
    web_url: str

    def want(self, event: PullChanged) -> None:
        """Have the check computed, apart from the repository's other deliveries, when the pull request has a new head.

        Only one into the default branch can bring a configuration into force.
        """
        pull, repository = event.pull, event.repository
        if event.action not in _NEW_HEAD or pull.is_closed or pull.base_ref != repository.default_branch:
            return
        wanted = Wanted(pull_number=pull.number, base_ref=pull.base_ref, is_fork=pull.is_from_fork(repository.id))
        document, subject = msgspec.json.encode(wanted), f"{pull.head_sha}/config"
        with self.store.begin() as tx:
            tx.save_repository(repository)
            tx.want_report(ReportKind.REHEARSAL, repository.id, subject, run_id=None, document=document)

    def rehearse(self, repository: Repository, head_sha: Sha, wanted: Wanted) -> CheckReport | None:
        """The check of that head; None when it edits neither the stacks file nor a policy."""
        source = self.source_of(repository)
        self.mirror.fetch(source, wants=[head_sha])
        with self.store.begin() as tx:
            stacks = [stack for stack in tx.list_stacks(repository.id) if not stack.is_detached]
            digests = {policy.digest for stack in stacks for policy in stack.push_policies if policy.digest}
            texts = tx.find_policy_texts(sorted(digests))
        found = self._found(repository, source, head_sha)
        edited = self._edited(source, head_sha, wanted)
        if not _concerns(edited, found, stacks):
            return None
        url = f"{self.web_url}/{repository.full_name}/blob/{head_sha}/{CONFIG_PATH}"
        problems = (GONE,) if found.is_missing and stacks else found.problems
        view = RehearsalView(head_sha=head_sha, problems=problems, details_url=url)
        if found.configuration is None:
            return rehearsal_report(view) if problems else None
        count = len(found.configuration.stacks)
        if wanted.is_fork:
            return rehearsal_report(
                RehearsalView(head_sha=head_sha, stack_count=count, replay_note=FORK, details_url=url)
            )
        tests, tests_note = self._test(source, head_sha, found)
        replay = self._replay(repository, found, stacks, texts)
        return rehearsal_report(
            RehearsalView(
                head_sha=head_sha,
                stack_count=count,
                tests=tests,
                tests_note=tests_note,
                flips=tuple(replay.flips),
                replayed=replay.replayed,
                left_out=replay.left_out,
                replay_note=replay.note,
                details_url=url,
            )
        )

    def _found(self, repository: Repository, source: Any, sha: Sha) -> Found:
        def read(path: str) -> bytes | None:
            return self.mirror.read_file(source, sha, path, max_bytes=MAX_POLICY_BYTES)

        text = self.mirror.read_file(source, sha, CONFIG_PATH, max_bytes=MAX_CONFIG_BYTES)
        return read_policies(read_file(sha, text, default_branch=repository.default_branch), read, self.policies)

    def _edited(self, source: Any, sha: Sha, wanted: Wanted) -> tuple[str, ...] | None:
        """What the pull request changes; None when that is not known."""
        try:
            left = self.mirror.merge_base(source, f"refs/heads/{wanted.base_ref}", sha)
        except UserError:
            return None
        return self.mirror.changed_files(source, left, sha) if left is not None else None

    def _test(self, source: Any, sha: Sha, found: Found) -> tuple[tuple[TestLine, ...], str]:
        """The tests beside the policies, run."""
        folders = {_folder(policy.path) for policy in found.configuration.policies} if found.configuration else set()
        files = [path for path in self.mirror.find_files(source, sha, (".rego",)) if _folder(path) in folders]
        if not any(path.endswith("_test.rego") for path in files):
            return (), ""
        if len(files) > MAX_TEST_FILES:
            return (), f"not run, more than {MAX_TEST_FILES} files beside the policies"
        texts: dict[str, str] = {}
        try:
            for path in files:
                raw = self.mirror.read_file(source, sha, path, max_bytes=MAX_POLICY_BYTES)
                if raw is not None:
                    texts[path] = raw.decode("utf-8", "replace")
            return self.tests.run(texts, timeout_s=TESTS_S)
        except UserError as error:
            return (), f"not run: {error}"

    def _replay(
        self, repository: Repository, found: Found, stacks: Sequence[Stack], texts: Mapping[str, str]
    ) -> "_Replay":
        """The last recorded events, decided with what is in force and with what is proposed."""
        if found.configuration is None:
            return _Replay()
        known = {stack.name: stack for stack in stacks}
        proposed = imagined_stacks(found.configuration, known, repository.id)
        pairs = list(_pairs(proposed, stacks))
        events = self.events.list_recorded_events(repository.id, limit=MAX_EVENTS)
        rejudge = Rejudge(policies=self.policies, repository=repository, web_url=self.web_url)
        replay = _Replay(deadline=monotonic() + REPLAY_S)
        both: dict[str, str] = {**texts, **found.texts}
        for event in events:
            if not event.is_whole or replay.is_spent(len(pairs)):
                replay.left_out += 1
                continue
            replay.replayed += 1
            for now, then in pairs:
                flip = _compare(rejudge, event, now, then, both)
                replay.asked += 2
                if flip is not None:
                    replay.flips.append(flip)
        return replay


class _Replay:
    """What a replay has found so far, within its bounds."""

    def __init__(self, deadline: float = 0.0) -> None:
        self.deadline = deadline
        self.flips: list[Flip] = []
        self.replayed = self.left_out = self.asked = 0
        self.note = ""

    def is_spent(self, more: int) -> bool:
        """True when there is no room for another event."""
        return self.asked + 2 * more > MAX_ASKED or monotonic() > self.deadline


def _pairs(proposed: Sequence[Stack], stacks: Sequence[Stack]) -> Iterator[tuple[Stack | None, Stack | None]]:
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


def _concerns(edited: tuple[str, ...] | None, found: Found, stacks: Sequence[Stack]) -> bool:
    """True when something that decides is edited: the stacks file, a policy, a test beside one."""
    if edited is None:
        return True
    policies = {policy.path for stack in stacks for policy in stack.policies}
    policies |= {policy.path for policy in found.configuration.policies} if found.configuration else set()
    folders = {_folder(path) for path in policies}
    return any(
        path == CONFIG_PATH or path in policies or (path.endswith(".rego") and _folder(path) in folders)
        for path in edited
    )


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
