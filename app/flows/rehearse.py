"""What a pull request would make of the configuration: the `config` check of its head, before anything is in force.

Reads the head's stacks file and policies, runs the policies' own tests, and decides the last recorded events again,
with the configuration in force and with the proposed one. A fork's policies are read and checked, never run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import msgspec

from app.core.contract import MAX_POLICY_BYTES
from app.core.event import PullChanged, Repository
from app.core.names import Sha
from app.core.organisation import effective, is_organisation_repository
from app.core.pull import PullAction
from app.core.record import ReportKind
from app.core.reply import CheckReport
from app.core.report_rehearsal import RehearsalView, TestLine, rehearsal_report
from app.core.stack import CONFIG_PATH, MAX_CONFIG_BYTES, Configuration, Stack
from app.flows.configure import GONE, Found, read_file, read_policies, unserved
from app.flows.ports import Mirror, Policies, Store
from app.flows.rehearse_organisation import RehearseOrganisation
from app.flows.rejudge import Rejudge, imagined_stacks
from app.flows.replay import (
    ENDS,
    FORK,
    MAX_EVENTS,
    PolicyTests,
    RecordedEvents,
    Replay,
    Wanted,
    edited_by,
    is_beside,
    pairs_of,
    policy_lines,
    run_tests,
)

_NEW_HEAD: Final = (PullAction.OPENED, PullAction.REOPENED, PullAction.SYNCHRONIZE, PullAction.EDITED)


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
    organisation: RehearseOrganisation

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
        if is_organisation_repository(repository.name):
            return self.organisation.rehearse(repository, head_sha, wanted)
        source = self.source_of(repository)
        self.mirror.fetch(source, wants=[head_sha])
        with self.store.begin() as tx:
            stacks = [stack for stack in tx.list_stacks(repository.id) if not stack.is_detached]
            organisation = tx.find_organisation(repository.owner_id)
            settings = organisation.organisation if organisation is not None else None
            policies = [policy for stack in stacks for policy in stack.push_policies]
            policies += settings.policies if settings is not None else ()
            texts = tx.find_policy_texts(sorted({policy.digest for policy in policies if policy.digest}))
        found = self._found(repository, source, head_sha)
        edited = edited_by(self.mirror, source, head_sha, wanted.base_ref)
        if not _concerns(edited, found, stacks):
            return None
        url = f"{self.web_url}/{repository.full_name}/blob/{head_sha}/{CONFIG_PATH}"
        problems = (GONE,) if found.is_missing and stacks else found.problems
        if found.configuration is not None:
            problems = unserved(found.configuration, organisation, repository)
        view = RehearsalView(head_sha=head_sha, problems=problems, details_url=url)
        if problems or found.configuration is None:
            return rehearsal_report(view) if problems else None
        count = len(found.configuration.stacks)
        told = policy_lines(found.configuration.policies, edited)
        view = replace(view, stack_count=count, policies=told)
        if wanted.is_fork:
            return rehearsal_report(replace(view, replay_note=FORK))
        tests, tests_note = self._test(source, head_sha, found)
        replay = self._replay(repository, effective(found.configuration, settings), stacks, {**texts, **found.texts})
        return rehearsal_report(
            replace(
                view,
                tests=tests,
                tests_note=tests_note,
                flips=tuple(replay.flips),
                replayed=replay.replayed,
                left_out=replay.left_out,
            )
        )

    def _found(self, repository: Repository, source: Any, sha: Sha) -> Found:
        def read(path: str) -> bytes | None:
            return self.mirror.read_file(source, sha, path, max_bytes=MAX_POLICY_BYTES)

        text = self.mirror.read_file(source, sha, CONFIG_PATH, max_bytes=MAX_CONFIG_BYTES)
        return read_policies(read_file(sha, text, default_branch=repository.default_branch), read, self.policies)

    def _test(self, source: Any, sha: Sha, found: Found) -> tuple[tuple[TestLine, ...], str]:
        """The tests beside the policies, run."""
        policies = {policy.path for policy in found.configuration.policies} if found.configuration else set()
        there = self.mirror.find_files(source, sha, ENDS)
        files = [path for path in there if is_beside(path, policies)]
        return run_tests(self.tests, files, partial(self.mirror.read_file, source, sha))

    def _replay(
        self,
        repository: Repository,
        proposed: Configuration,
        stacks: Sequence[Stack],
        texts: Mapping[str, str],
    ) -> Replay:
        """The last recorded events, decided with what is in force and with what is proposed."""
        known = {stack.name: stack for stack in stacks}
        pairs = list(pairs_of(imagined_stacks(proposed, known, repository.id), stacks))
        replay = Replay(rejudge=Rejudge(policies=self.policies, repository=repository, web_url=self.web_url))
        replay.play(self.events.list_recorded_events(repository.id, limit=MAX_EVENTS), pairs, texts)
        return replay


def _concerns(edited: tuple[str, ...] | None, found: Found, stacks: Sequence[Stack]) -> bool:
    """True when something that decides is edited: the stacks file, a policy, a test beside one."""
    if edited is None:
        return True
    policies = {policy.path for stack in stacks for policy in stack.policies if not policy.is_of_organisation}
    policies |= {policy.path for policy in found.configuration.policies} if found.configuration else set()
    return any(
        path == CONFIG_PATH or path in policies or (path.endswith(".rego") and is_beside(path, policies))
        for path in edited
    )
