"""Take in a repository's stacks file: keep the version, turn its entries into stacks, detach those that are gone.

Knows the identity rules of the product (a name, `renamed_from`, a ULID that never changes); knows nothing of YAML.
"""

import hashlib
from dataclasses import dataclass, replace

from app.core.config import read_configuration
from app.core.event import Repository
from app.core.names import ConfigVersionId, Digest, Sha
from app.core.record import ConfigVersion
from app.core.run import RunState, Step, allowed
from app.core.stack import Configuration, Problem, Stack, StackSpec
from app.flows.ports import Transaction
from app.flows.schedule import retell, schedule, step


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The stacks file of one commit, read: valid (a configuration), broken (problems), or not there."""

    sha: Sha
    digest: Digest
    configuration: Configuration | None
    problems: tuple[Problem, ...] = ()
    is_missing: bool = False


GONE = Problem(
    line=1,
    message="the file is gone, but the repository has stacks",
    remedy="bring it back; to give up every stack, keep the file with `stacks: []`",
)


def read_file(sha: Sha, text: bytes | None, *, default_branch: str) -> Found:
    """What the file's bytes say; None for a file that is not there."""
    digest = Digest(hashlib.sha256(text or b"").hexdigest())
    if text is None:
        return Found(sha=sha, digest=digest, configuration=None, is_missing=True)
    read = read_configuration(text, default_branch=default_branch)
    if isinstance(read, Configuration):
        return Found(sha=sha, digest=digest, configuration=read)
    return Found(sha=sha, digest=digest, configuration=None, problems=read)


def take_in(tx: Transaction, repository: Repository, found: Found) -> ConfigVersion | None:
    """Keep the version; when it is valid and new it is in force from here on. The version in force afterwards, or None.

    A file that is broken, or gone while there are stacks, is kept as invalid and changes nothing.
    """
    accepted = tx.find_accepted_config(repository.id)
    if found.is_missing and accepted is None:
        return None
    if accepted is not None and accepted.digest == found.digest:
        return accepted
    problems = (GONE,) if found.is_missing else found.problems
    version = ConfigVersion(
        id=ConfigVersionId(tx.new_id()),
        repository_id=repository.id,
        sha=found.sha,
        digest=found.digest,
        is_valid=found.configuration is not None,
        problems=problems,
    )
    tx.add_config_version(version)
    if found.configuration is None:
        return accepted
    version = tx.find_config_version(repository.id, found.sha) or version
    _accept(tx, repository, found.configuration, version.id)
    return version


def _accept(tx: Transaction, repository: Repository, configuration: Configuration, version: ConfigVersionId) -> None:
    """Make the repository's stacks what the configuration says."""
    known = {stack.name: stack for stack in tx.list_stacks(repository.id)}
    named = {spec.settings.name for spec in configuration.stacks}
    kept: set[str] = set()
    for spec in configuration.stacks:
        stack = _match(spec, known, named)
        if stack is None:
            stack = tx.add_stack(repository.id, spec, version)
        stack = tx.lock_stack(stack.id)
        kept.add(stack.id)
        policies = tuple(policy for policy in configuration.policies if policy.is_attached_to(spec.settings))
        tx.save_stack(
            replace(stack, settings=spec.settings, policies=policies, config_version_id=version, is_detached=False)
        )
        if stack.settings.digest() != spec.settings.digest():
            retell(tx, stack)
    for stack in known.values():
        if stack.id not in kept and not stack.is_detached:
            _detach(tx, stack)


def _match(spec: StackSpec, known: dict[str, Stack], named: set[str]) -> Stack | None:
    """The stack that an entry continues: by its name, else by the one it had, unless that is still in the file."""
    stack = known.get(spec.settings.name)
    if stack is None and spec.renamed_from not in named:
        stack = known.get(spec.renamed_from)
    return stack


def _detach(tx: Transaction, stack: Stack) -> None:
    """Take a stack out of service: queued runs canceled, waiting ones discarded, state kept; it may come back."""
    locked = tx.lock_stack(stack.id)
    tx.save_stack(replace(locked, is_detached=True))
    cause = "the stack is no longer in .trackside/stacks.yml"
    for run in tx.list_live_runs(stack.id):
        if run.state in (RunState.QUEUED, RunState.READY):
            step(tx, run, Step.CANCEL, cause=cause)
        elif Step.DISCARD in allowed(run):
            step(tx, run, Step.DISCARD, cause=cause)


def reattach(tx: Transaction, stack: Stack) -> None:
    """Let a stack that came back go on with what is queued."""
    schedule(tx, tx.lock_stack(stack.id))
