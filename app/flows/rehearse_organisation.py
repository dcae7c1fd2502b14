"""What a pull request in the owner's `.trackside` would make of the organisation's settings: the `config` check of its
head, before anything is in force.

The recorded events that are decided again are those of all the owner's repositories, newest first in each. A fork's
policies are read and checked, never run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from app.core.event import Repository
from app.core.names import Sha
from app.core.organisation import ORGANISATION_PATH, Organisation, effective, pool_problems
from app.core.organisationmodel import POLICY_FOLDER
from app.core.reply import CheckReport
from app.core.report_organisation import contents
from app.core.report_rehearsal import RehearsalView, rehearsal_report
from app.core.stack import Configuration, Stack
from app.flows.organisation import GONE, read_settings
from app.flows.ports import Mirror, Policies, Store
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
    pairs_of,
    policy_lines,
    run_tests,
)

MAX_REPOSITORIES: Final = 100
"""Repositories whose events are decided again."""
LEAST_EVENTS: Final = 5
"""Of each of them, however many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """A repository of the owner, as it is."""

    repository: Repository
    stacks: tuple[Stack, ...]
    own: Configuration
    """What its stacks file says by itself."""
    texts: Mapping[str, str]
    """The policies that stand at its stacks, and those of its file, by digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearseOrganisation:
    """The use case. `source_of` names the repository's mirror with the token that it needs."""

    store: Store
    events: RecordedEvents
    mirror: Mirror
    policies: Policies
    tests: PolicyTests
    source_of: Callable[[Repository], Any]
    web_url: str

    def rehearse(self, repository: Repository, head_sha: Sha, wanted: Wanted) -> CheckReport | None:
        """The check of that head; None when it edits neither the settings nor a policy."""
        source = self.source_of(repository)
        self.mirror.fetch(source, wants=[head_sha])
        edited = edited_by(self.mirror, source, head_sha, wanted.base_ref)
        if edited is not None and not any(_concerns(path) for path in edited):
            return None
        read = partial(self.mirror.read_file, source, head_sha)
        found = read_settings(head_sha, read, self.policies)
        with self.store.begin() as tx:
            accepted = tx.find_organisation(repository.owner_id)
        problems = (GONE,) if found.is_missing and accepted is not None else found.problems
        url = f"{self.web_url}/{repository.full_name}/blob/{head_sha}/{ORGANISATION_PATH}"
        if found.organisation is None:
            view = RehearsalView(head_sha=head_sha, problems=problems, details_url=url, path=ORGANISATION_PATH)
            return rehearsal_report(view) if problems else None
        held = contents(found.organisation)
        view = RehearsalView(
            head_sha=head_sha,
            details_url=url,
            path=ORGANISATION_PATH,
            contents=held,
            policies=policy_lines(found.organisation.policies, edited),
        )
        if wanted.is_fork:
            return rehearsal_report(replace(view, replay_note=FORK))
        files = [path for path in self.mirror.find_files(source, head_sha, ENDS) if path.startswith(POLICY_FOLDER)]
        tests, tests_note = run_tests(self.tests, files, read)
        concerned = self._concerned(repository)
        replay = self._replay(concerned, repository, found.organisation, found.texts)
        return rehearsal_report(
            replace(
                view,
                tests=tests,
                tests_note=tests_note,
                flips=tuple(replay.flips),
                replayed=replay.replayed,
                left_out=replay.left_out,
                unserved=_unserved(concerned, found.organisation),
            )
        )

    def _concerned(self, organisation: Repository) -> list[Concerned]:
        """The owner's repositories with a configuration in force."""
        found = []
        with self.store.begin() as tx:
            for repository in tx.list_owned_repositories(organisation.owner_id, limit=MAX_REPOSITORIES):
                accepted = tx.find_accepted_config(repository.id)
                own = tx.find_configuration(accepted.id) if accepted is not None else None
                if own is None:
                    continue
                stacks = tuple(stack for stack in tx.list_stacks(repository.id) if not stack.is_detached)
                specs = [policy for stack in stacks for policy in stack.push_policies] + list(own.policies)
                texts = tx.find_policy_texts(sorted({spec.digest for spec in specs if spec.digest}))
                found.append(Concerned(repository=repository, stacks=stacks, own=own, texts=texts))
        return found

    def _replay(
        self,
        concerned: Sequence[Concerned],
        organisation: Repository,
        proposed: Organisation,
        texts: Mapping[str, str],
    ) -> Replay:
        """The last recorded events of each repository, decided with what is in force and with what is proposed."""
        whole = Replay(rejudge=Rejudge(policies=self.policies, repository=organisation, web_url=self.web_url))
        share = max(LEAST_EVENTS, MAX_EVENTS // max(1, len(concerned)))
        for each in concerned:
            repository = each.repository
            known = {stack.name: stack for stack in each.stacks}
            then = imagined_stacks(effective(each.own, proposed), known, repository.id)
            pairs = list(pairs_of(then, each.stacks))
            whole.rejudge = Rejudge(policies=self.policies, repository=repository, web_url=self.web_url)
            whole.prefix = f"{repository.name}/"
            limit = min(share, MAX_EVENTS - whole.replayed)
            events = self.events.list_recorded_events(repository.id, limit=limit) if limit > 0 else []
            whole.play(events, pairs, {**each.texts, **texts})
        return whole


def _unserved(concerned: Sequence[Concerned], proposed: Organisation) -> tuple[str, ...]:
    """The stacks that could not run any more, as `repository/stack`: their pool would not serve their repository."""
    return tuple(
        f"{each.repository.name}/{spec.settings.name}"
        for each in concerned
        for spec in effective(each.own, proposed).stacks
        if pool_problems(Configuration(stacks=(spec,)), proposed, each.repository.name)
    )


def _concerns(path: str) -> bool:
    return path == ORGANISATION_PATH or (path.startswith(POLICY_FOLDER) and path.endswith(".rego"))
