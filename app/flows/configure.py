"""Take in a repository's stacks file and its policies: keep the version, turn its entries into stacks, detach those
that are gone.

Knows the identity rules of the product (a name, `renamed_from`, a ULID that never changes); knows nothing of YAML.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from app.core.config import read_configuration
from app.core.contract import MAX_POLICY_BYTES, Dialect, PolicyText, PolicyType
from app.core.errors import RetryableError, UserError
from app.core.event import Repository
from app.core.names import ConfigVersionId, Digest, Sha
from app.core.organisation import OrganisationVersion, effective, pool_problems
from app.core.record import ConfigVersion
from app.core.run import RunState, Step, allowed
from app.core.stack import Configuration, PolicySpec, Problem, Stack, StackSpec
from app.flows.drift_turn import set_turn
from app.flows.ports import Policies, Transaction
from app.flows.schedule import retell, step


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The stacks file of one commit, read: valid (a configuration), broken (problems), or not there."""

    sha: Sha
    digest: Digest
    configuration: Configuration | None
    problems: tuple[Problem, ...] = ()
    is_missing: bool = False
    texts: Mapping[str, str] = field(default_factory=dict)
    """The policies' texts, by the SHA-256 of their bytes."""


MAX_TEXTS_BYTES: Final = 5_000_000
"""All policies of a configuration together."""
MAX_MISTAKES: Final = 10
"""Mistakes that are shown of one policy."""
ReadBytes = Callable[[str], bytes | None]
"""A file of the configuration's commit; None: there is none. Raises: UserError when it is too large."""

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


def read_policies(found: Found, read: ReadBytes, policies: Policies) -> Found:
    """The same configuration with its policies' texts, each checked; broken when one of them cannot be used."""
    if found.configuration is None or not found.configuration.policies:
        return found
    specs, texts, problems = read_texts(found.configuration.policies, read, policies)
    digest = digest_of(found.digest, specs)
    if problems:
        return replace(found, digest=digest, configuration=None, problems=problems)
    configuration = replace(found.configuration, policies=specs)
    return replace(found, digest=digest, configuration=configuration, texts=texts)


def digest_of(file: Digest, specs: Sequence[PolicySpec]) -> Digest:
    """What a file and its policies are known by: SHA-256 over both."""
    whole = "\n".join((file, *(f"{spec.path} {spec.digest}" for spec in specs)))
    return Digest(hashlib.sha256(whole.encode()).hexdigest())


def read_texts(
    wanted: Sequence[PolicySpec], read: ReadBytes, policies: Policies
) -> tuple[tuple[PolicySpec, ...], dict[str, str], tuple[Problem, ...]]:
    """The policies with their digests, their texts by digest, and what stops them from being used."""
    specs: list[PolicySpec] = []
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    for spec in wanted:
        text = _read_text(spec, read)
        if isinstance(text, Problem):
            problems.append(text)
            continue
        digest = Digest(hashlib.sha256(text.encode()).hexdigest())
        texts[digest] = text
        specs.append(replace(spec, digest=digest))
        problems.extend(_mistakes(spec, text, policies))
    if sum(len(text) for text in texts.values()) > MAX_TEXTS_BYTES:
        message = f"the policies are larger than {MAX_TEXTS_BYTES:,} bytes together"
        problems.append(Problem(line=wanted[0].line, message=message, remedy="shorten them"))
    return tuple(specs), texts, tuple(problems)


def text_of(spec: PolicySpec, text: str) -> PolicyText:
    """A policy as the engine is handed it."""
    return PolicyText(
        name=spec.name, type=PolicyType(spec.type), path=spec.path, text=text, dialect=Dialect(spec.dialect)
    )


def _read_text(spec: PolicySpec, read: ReadBytes) -> str | Problem:
    """The policy's text, or why there is none."""
    try:
        raw = read(spec.path)
    except UserError:
        message, remedy = f"{spec.path} is larger than {MAX_POLICY_BYTES:,} bytes", "shorten it"
        return Problem(line=spec.line, message=f"policy `{spec.name}`: {message}", remedy=remedy)
    if raw is None:
        message = f"policy `{spec.name}`: there is no file {spec.path} in this commit"
        return Problem(line=spec.line, message=message, remedy="add the file, mend its path, or take the policy away")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        message = f"policy `{spec.name}`: {spec.path} is not UTF-8 text"
        return Problem(line=spec.line, message=message, remedy="save it as UTF-8")


def _mistakes(spec: PolicySpec, text: str, policies: Policies) -> list[Problem]:
    """What stops the policy from being used, at its own lines."""
    try:
        mistakes = policies.check(text_of(spec, text))
    except UserError as error:
        message = f"policy `{spec.name}` cannot be checked: {error}"
        return [Problem(line=spec.line, message=message, remedy="the operator of this installation has to mend that")]
    return [
        Problem(
            line=mistake.line,
            path=spec.path,
            message=f"{spec.path}:{mistake.line}: {mistake.message}",
            remedy=f"mend policy `{spec.name}`; `trackside policy check {spec.path}` says the same",
        )
        for mistake in mistakes[:MAX_MISTAKES]
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a stacks file."""

    version: ConfigVersion | None
    """In force afterwards; None: nothing is."""
    problems: tuple[Problem, ...] = ()
    """Why the file that was looked at is not, or why some of its stacks cannot run."""


def take_in(tx: Transaction, repository: Repository, found: Found) -> Taken:
    """Keep the version; when it is valid and new it is in force from here on, under the organisation's settings.

    A file that is broken, or gone while there are stacks, is kept as invalid and changes nothing. Whatever is in force
    afterwards is so with the organisation's settings as they are now.
    """
    organisation = tx.hold_organisation(repository.owner_id)
    accepted = tx.find_accepted_config(repository.id)
    if found.is_missing and accepted is None:
        return Taken(version=None)
    problems = (GONE,) if found.is_missing else found.problems
    if found.configuration is not None:
        problems = unserved(found.configuration, organisation, repository)
        tx.save_policy_texts(found.texts)
    kept = tx.find_configuration(accepted.id) if accepted is not None and accepted.digest == found.digest else None
    if accepted is not None and accepted.digest == found.digest and not _is_moved(kept, found.configuration):
        if kept is None:
            tx.add_config_version(accepted, found.configuration)
        _refresh(tx, repository, accepted, organisation)
        return Taken(version=accepted, problems=problems)
    version = ConfigVersion(
        id=ConfigVersionId(tx.new_id()),
        repository_id=repository.id,
        sha=found.sha,
        digest=found.digest,
        is_valid=not problems,
        problems=problems,
    )
    tx.add_config_version(version, found.configuration)
    if problems or found.configuration is None:
        if accepted is not None:
            _refresh(tx, repository, accepted, organisation)
        return Taken(version=accepted, problems=problems)
    version = tx.find_config_version(repository.id, found.sha) or version
    _accept(tx, repository, found.configuration, version.id, organisation)
    return Taken(version=version)


def _is_moved(kept: Configuration | None, found: Configuration | None) -> bool:
    """True when the same file means other branches now: the repository has another default branch."""
    if kept is None or found is None:
        return False
    return [stack.settings.branch for stack in kept.stacks] != [stack.settings.branch for stack in found.stacks]


def refresh(tx: Transaction, repository: Repository) -> ConfigVersion | None:
    """The version in force, its stacks made of the organisation's settings as they are now; None: nothing is in force.

    Raises: RetryableError when the file has to be read again first (`flows.organise` does).
    """
    organisation = tx.hold_organisation(repository.owner_id)
    accepted = tx.find_accepted_config(repository.id)
    if accepted is not None:
        _refresh(tx, repository, accepted, organisation)
    return accepted


def renew(tx: Transaction, repository: Repository) -> tuple[Taken, bool]:
    """After the organisation's settings changed: what is in force, and whether that is a newer file than before: one
    that the settings before had refused.

    Raises: RetryableError when the file has to be read again first.
    """
    organisation = tx.hold_organisation(repository.owner_id)
    newest = tx.find_newest_config(repository.id)
    refused = tx.find_configuration(newest.id) if newest is not None and not newest.is_valid else None
    if newest is not None and refused is not None and not unserved(refused, organisation, repository):
        version = replace(newest, is_valid=True, problems=())
        tx.add_config_version(version, refused)
        _accept(tx, repository, refused, version.id, organisation)
        return Taken(version=version), True
    accepted = refresh(tx, repository)
    configuration = tx.find_configuration(accepted.id) if accepted is not None else None
    problems = unserved(configuration, organisation, repository) if configuration is not None else ()
    return Taken(version=accepted, problems=problems), False


def unserved(
    configuration: Configuration, organisation: OrganisationVersion | None, repository: Repository
) -> tuple[Problem, ...]:
    """The stacks of a repository's own configuration whose pool, as it comes out, does not serve it."""
    settings = organisation.organisation if organisation is not None else None
    return pool_problems(effective(configuration, settings), settings, repository.name)


def _refresh(
    tx: Transaction, repository: Repository, accepted: ConfigVersion, organisation: OrganisationVersion | None
) -> None:
    if not tx.has_outdated(repository.id):
        return
    configuration = tx.find_configuration(accepted.id)
    if configuration is None:
        raise RetryableError(f"taking in {repository.full_name} again: its stacks file has to be read first")
    _accept(tx, repository, configuration, accepted.id, organisation)


def _accept(
    tx: Transaction,
    repository: Repository,
    own: Configuration,
    version: ConfigVersionId,
    organisation: OrganisationVersion | None,
) -> None:
    """Make the repository's stacks what its configuration says under the organisation's settings."""
    configuration = effective(own, organisation.organisation if organisation is not None else None)
    # Of one name, the live one counts: another was given up before this one took its name.
    known = {stack.name: stack for stack in sorted(tx.list_stacks(repository.id), key=lambda one: not one.is_detached)}
    named = {spec.settings.name for spec in configuration.stacks}
    kept: set[str] = set()
    for spec in configuration.stacks:
        stack = _match(spec, known, named)
        is_new = stack is None
        if stack is None:
            stack = tx.add_stack(repository.id, spec, version)
        stack = tx.lock_stack(stack.id)
        kept.add(stack.id)
        policies = tuple(policy for policy in configuration.policies if policy.is_attached_to(spec.settings))
        tx.save_stack(
            replace(
                stack,
                settings=spec.settings,
                policies=policies,
                policy_id=spec.policy_id,
                config_version_id=version,
                organisation_version_id=organisation.id if organisation is not None else None,
                is_detached=False,
            )
        )
        set_turn(tx, None if is_new or stack.is_detached else stack.settings, stack.id, spec.settings)
        if stack.settings.digest() != spec.settings.digest():
            retell(tx, stack)
    for stack in known.values():
        if stack.id not in kept and not stack.is_detached:
            _detach(tx, stack)
    tx.wake_workers(repository.id)


def _match(spec: StackSpec, known: dict[str, Stack], named: set[str]) -> Stack | None:
    """The stack that an entry continues: by its name, else by the one it had, unless that is still in the file. One
    that goes by the old name goes on, state and all, before one that was given up comes back by the new name."""
    stack = known.get(spec.settings.name)
    before = known.get(spec.renamed_from) if spec.renamed_from not in named else None
    if before is not None and (stack is None or (stack.is_detached and not before.is_detached)):
        return before
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
