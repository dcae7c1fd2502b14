"""A push becomes decisions: for each stack of the repository, does it get a tracked run, and why (not)?

Reads the mirror first, then does everything in one transaction: configuration, decisions, heads, runs, the delivery's
last word. Fails closed: a question that cannot be answered starts nothing and says so on the commit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import msgspec

from app.core.config import suggest_configuration
from app.core.decision import Answer, Decision, PushInput, Verdict
from app.core.event import Push, Repository
from app.core.names import ZERO_SHA, DecisionId, DeliveryId, RunId, Sha, StackId
from app.core.pushpolicy import default_policy
from app.core.record import ConfigVersion, DeliveryOutcome, ReportKind
from app.core.reply import CheckReport
from app.core.report import ConfigView, config_report, failed_decision_report
from app.core.run import Run, RunState, RunType, Trigger
from app.core.stack import CONFIG_PATH, MAX_CONFIG_BYTES, Stack
from app.flows.configure import GONE, Found, read_file, take_in
from app.flows.ports import GitHub, Mirror, Store, Transaction
from app.flows.schedule import retell, schedule

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""git's empty tree: the base of a root commit."""
MAX_RECORDED_FILES = 300
MAX_PREFILLED = 4000
"""Characters of a suggested file that an address may carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What the head is compared with, and what a reader must know about that."""

    sha: str | None
    """None: cannot be had, so everything counts as changed."""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What git said about a push, before the transaction."""

    head: Sha
    message: str
    base: Base | None
    """None for a tag: each stack has its own, its head."""
    changed: Mapping[str, tuple[str, ...] | None]
    """Shape: base SHA to the paths that differ from it; None: the base could not be had."""
    found: Found | None
    """The stacks file at the head, for a push to the default branch."""
    terraform_files: tuple[str, ...] = ()
    """Where a repository without a stacks file has Terraform."""

    def since(self, base: Base) -> tuple[str, ...] | None:
        """The paths that changed since a base, or None when everything counts as changed."""
        return None if base.sha is None else self.changed.get(base.sha)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A stack and the record that speaks for it."""

    stack_id: StackId
    decision_id: DecisionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Decide:
    """The use case. `source_of` names the repository's mirror with the token that it needs."""

    store: Store
    github: GitHub
    mirror: Mirror
    source_of: Callable[[Repository], Any]
    web_url: str
    """Where GitHub's pages are: the new-file link of a repository without a stacks file."""

    def push(self, push: Push, guid: DeliveryId) -> str:
        """Decide one push and close its delivery; what became of it, in words."""
        if push.is_deleted:
            return self._ignore(push, guid, f"{push.ref} was deleted")
        source = self.source_of(push.repository)
        facts = self._look(push, source)
        with self.store.begin() as tx:
            tx.save_repository(push.repository)
            tx.lock_repository(push.repository.id)
            said = self._decide(tx, push, facts)
            tx.close_delivery(guid, DeliveryOutcome.EVENT, said)
        return said

    def _ignore(self, push: Push, guid: DeliveryId, reason: str) -> str:
        with self.store.begin() as tx:
            tx.save_repository(push.repository)
            tx.close_delivery(guid, DeliveryOutcome.IGNORED, reason)
        return reason

    def _look(self, push: Push, source: Any) -> Facts:
        """Ask git everything that the decision needs, before any transaction."""
        after = push.after
        self.mirror.fetch(source, wants=[after])
        # An annotated tag's push names the tag's own object, not the commit that it stands for.
        commit = self.mirror.commit(source, self.mirror.resolve_tag(source, after) if push.tag else after)
        head = Sha(commit.sha)
        found: Found | None = None
        files: tuple[str, ...] = ()
        if push.branch and push.branch == push.repository.default_branch:
            text = self.mirror.read_file(source, head, CONFIG_PATH, max_bytes=MAX_CONFIG_BYTES)
            found = read_file(head, text, default_branch=push.repository.default_branch)
            if found.is_missing:
                files = tuple(self.mirror.find_files(source, head, (".tf", ".tofu", ".tf.json")))
        base = None if push.tag else self._base(push, source, head)
        bases = {base.sha} if base is not None else self._heads(push.repository)
        return Facts(
            head=head,
            message=commit.message.splitlines()[0][:200] if commit.message else "",
            base=base,
            changed={sha: self.mirror.changed_files(source, sha, head) for sha in bases if sha is not None},
            found=found,
            terraform_files=files,
        )

    def _heads(self, repository: Repository) -> set[Sha | None]:
        """The heads of the repository's stacks: the bases of a tag."""
        with self.store.begin() as tx:
            return {stack.head_sha for stack in tx.list_stacks(repository.id) if not stack.is_detached}

    def _base(self, push: Push, source: Any, head: Sha) -> Base:
        """What a branch's head is compared with. Source: the rules on changed files in docs/architecture.md."""
        if push.before != ZERO_SHA:
            return Base(sha=push.before, note="forced push" if push.is_forced else "")
        default = push.repository.default_branch
        if push.branch == default:
            return Base(sha=EMPTY_TREE, note="first push of the branch")
        ref = f"refs/heads/{default}"
        merge_base = self.mirror.merge_base(source, ref, head)
        if merge_base is None:
            return Base(
                sha=None, note=f"new branch with no commit in common with {default}: everything counts as changed"
            )
        return Base(sha=merge_base, note=f"new branch, compared with where it left {default}")

    def _decide(self, tx: Transaction, push: Push, facts: Facts) -> str:
        config = self._configure(tx, push.repository, facts)
        if config is None:
            return "the repository has no stacks"
        stacks = [stack for stack in tx.list_stacks(push.repository.id) if not stack.is_detached]
        counts = dict.fromkeys(Verdict, 0)
        for stack in stacks:
            verdict = self._decide_stack(tx, push, facts, stack)
            if verdict is not None:
                counts[verdict] += 1
        said = ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count)
        return f"decided for {len(stacks)} stacks: {said or 'nothing new'}"

    def _configure(self, tx: Transaction, repository: Repository, facts: Facts) -> ConfigVersion | None:
        """The configuration that decides this push; a broken or missing file is said on the commit."""
        if facts.found is None:
            return tx.find_accepted_config(repository.id)
        config = take_in(tx, repository, facts.found)
        view = ConfigView(head_sha=facts.head, details_url=self._file_url(repository, facts.head))
        if facts.found.problems or (facts.found.is_missing and config is not None):
            problems = facts.found.problems or (GONE,)
            want_check(
                tx, repository, config_report(replace(view, problems=problems, has_last_good=config is not None))
            )
        elif facts.found.is_missing and facts.terraform_files:
            suggestion = suggest_configuration(facts.terraform_files)
            url = self._new_file_url(repository, suggestion)
            want_check(tx, repository, config_report(replace(view, suggestion=suggestion, new_file_url=url)))
        return config

    def _new_file_url(self, repository: Repository, suggestion: str) -> str:
        """GitHub's page for a new file, filled in when the suggestion is short enough for an address."""
        query = {"filename": CONFIG_PATH} | ({"value": suggestion} if len(suggestion) <= MAX_PREFILLED else {})
        return f"{self.web_url}/{repository.full_name}/new/{repository.default_branch}?{urlencode(query)}"

    def _file_url(self, repository: Repository, sha: Sha) -> str:
        return f"{self.web_url}/{repository.full_name}/blob/{sha}/{CONFIG_PATH}"

    def _decide_stack(self, tx: Transaction, push: Push, facts: Facts, stack: Stack) -> Verdict | None:
        """One decision record, and what follows from it; None when this push was decided for the stack before."""
        base = facts.base or _tag_base(stack)
        files = facts.since(base)
        note = base.note
        if files is None and base.sha is not None:
            note = f"{base.sha[:7]}, the commit before, could not be had: everything counts as changed"
        asked = PushInput(
            branch=push.branch,
            tag=push.tag,
            affected_files=files,
            project_root=stack.settings.project_root,
            additional_project_globs=stack.settings.additional_project_globs,
            stack_branch=stack.settings.branch,
        )
        policy, answer = _answer(stack, asked)
        decision = Decision(
            stack_id=stack.id,
            stack_name=stack.name,
            ref=push.ref,
            head_sha=facts.head,
            before=push.before,
            config_version_id=stack.config_version_id,
            policy=policy,
            input=_recorded(asked, push, facts.head),
            answer=answer,
            note=note,
        )
        decision_id = tx.add_decision(decision)
        if decision_id is None:
            return None
        match answer.verdict:
            case Verdict.TRACK:
                self._track(tx, push, facts, Decided(stack_id=stack.id, decision_id=decision_id))
            case Verdict.FAIL:
                url = self._file_url(push.repository, facts.head)
                report = failed_decision_report(stack.name, facts.head, answer.reason, details_url=url)
                want_check(tx, push.repository, report)
            case Verdict.PROPOSE | Verdict.IGNORE:
                pass
        return answer.verdict

    def _track(self, tx: Transaction, push: Push, facts: Facts, decided: Decided) -> None:
        """Move the stack's head and make the tracked run."""
        stack = tx.lock_stack(decided.stack_id)
        is_moved = stack.head_sha != facts.head
        stack = replace(stack, head_sha=facts.head, head_seq=stack.head_seq + 1)
        tx.save_stack(stack)
        now = tx.now()
        run = Run(
            id=RunId(tx.new_id()),
            stack_id=stack.id,
            stack_name=stack.name,
            repository_id=stack.repository_id,
            type=RunType.TRACKED,
            state=RunState.QUEUED,
            head_sha=facts.head,
            source_sha=facts.head,
            ref=push.ref,
            head_seq=stack.head_seq,
            stack_digest=stack.settings.digest(),
            config_version_id=stack.config_version_id,
            decision_id=decided.decision_id,
            trigger=Trigger.TAG if push.tag else Trigger.PUSH,
            triggered_by=push.sender,
            message=facts.message,
            created_at=now,
            updated_at=now,
        )
        key = f"{stack.id}/{facts.head}/{run.type.value}/{push.ref}"
        if not tx.add_run(run, event_key=key) and is_moved:
            # The head came back to an older commit, by a forced push: its run was of another time.
            tx.add_run(run, event_key=f"{key}/{stack.head_seq}")
        schedule(tx, stack)
        retell(tx, stack)


def _tag_base(stack: Stack) -> Base:
    """A tag is compared with the stack's own head."""
    if stack.head_sha is None:
        return Base(sha=None, note="the stack has no head yet: everything counts as changed")
    return Base(sha=stack.head_sha)


def want_check(tx: Transaction, repository: Repository, report: CheckReport) -> None:
    """Ask for a check run with a fixed content, once per commit and name."""
    subject = f"{report.head_sha}/{report.name}"
    tx.want_report(ReportKind.CHECK, repository.id, subject, run_id=None, document=msgspec.json.encode(report))


def _answer(stack: Stack, asked: PushInput) -> tuple[str, Answer]:
    """Who decided, and what. A stack with a Rego push policy starts nothing: closed by default."""
    attached = [policy.name for policy in stack.policies if policy.type == "push"]
    if not attached:
        return "default", default_policy(asked)
    reason = (
        f"push policy {attached[0]} is attached, and this version of Trackside does not run Rego policies: "
        "nothing was started"
    )
    return attached[0], Answer(verdict=Verdict.FAIL, reason=reason, rules={})


def _recorded(asked: PushInput, push: Push, head: Sha) -> dict[str, object]:
    """The policy's input as its record keeps it, with the file list cut and counted."""
    files = asked.affected_files
    return {
        "push": {
            "branch": asked.branch,
            "tag": asked.tag,
            "hash": head,
            "author": push.sender,
            "affected_files": list(files[:MAX_RECORDED_FILES]) if files is not None else None,
            "affected_files_count": len(files) if files is not None else None,
        },
        "stack": {
            "branch": asked.stack_branch,
            "project_root": asked.project_root,
            "additional_project_globs": list(asked.additional_project_globs),
        },
    }
