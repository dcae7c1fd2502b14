"""`trackside simulate`: which stacks an event would run, and why, told from a clone on the author's own machine.

Puts the same pieces together as the product does (git's answers, default policy, Rego), around the working tree's
stacks file and policies. Runs nothing, asks GitHub nothing, needs no server and no database.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from app.core import words_depend
from app.core.contract import MAX_POLICY_BYTES
from app.core.decision import Verdict
from app.core.dependency import graph_of, stacks_below
from app.core.errors import UserError
from app.core.event import (
    MAX_DELIVERY_BYTES,
    Event,
    Ignored,
    Malformed,
    MergeGroup,
    PullChanged,
    PullReviewed,
    Push,
    Repository,
)
from app.core.happening import Happening, of_group, of_pull, of_push, of_review
from app.core.markdown import shortened
from app.core.names import InstallationId, RepositoryId, Sha
from app.core.organisation import ORGANISATION_PATH, effective, pool_problems
from app.core.pushinput import CommitFacts, EventAsked, PullAsked, PushAsked, event_document, with_files
from app.core.stack import CONFIG_PATH, MAX_CONFIG_BYTES, Problem, Stack
from app.engine.clone import Clone
from app.flows.configure import Found, read_file, read_policies
from app.flows.look import Base, Look, Looked
from app.flows.organisation import FoundOrganisation, read_settings
from app.flows.ports import Policies
from app.flows.rejudge import Rejudge, Rejudged, imagined_stacks
from app.github.payloads import make_reader
from app.policy.engine import PolicyEngine
from app.policy.pool import OpaPool, find_library
from app.policy.server import OpaServer

MAX_SHOWN_FILES: Final = 20
_WEB_URL: Final = "https://github.com"
_HEAD: Final = Sha("0" * 40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One event as a question about every stack."""

    title: str
    """The event in words."""
    repository: Repository
    document: Mapping[str, object]
    files: tuple[str, ...] | None
    """What changed; None: not known, so everything counts as changed."""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What the event would mean."""

    asked: Asked
    stacks: tuple[tuple[str, Rejudged], ...]
    """Shape: stack name and what it would do, in the stacks file's order."""
    after: Mapping[str, tuple[str, ...]]
    """The stacks that would run after others. Shape: name to the names of those directly above that would run."""

    @property
    def running(self) -> int:
        """How many stacks would run."""
        return sum(said.is_run_wanted or name in self.after for name, said in self.stacks)


class BrokenConfiguration(UserError):
    """The working tree's stacks file or a policy cannot be used; `problems` says why."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(_shown(problem) for problem in problems))
        self.problems = problems


def simulate(
    clone: Clone, event: Path, policies: Policies, *, base: str = "", organisation: Clone | None = None
) -> Simulated:
    """What the event of a file would mean for each stack of the clone's working tree.

    `base`: a name that the event's commit is compared with, instead of what the event says. `organisation`: a clone of
    the owner's `.trackside`, whose settings count as well.
    Raises: UserError for an event, a commit or a configuration that cannot be used.
    """
    document = _read_document(event)
    name = _payload_name(document)
    if name:
        asked = _of_payload(clone, _read_event(event, name, document), policies, base)
    elif isinstance(document.get("push"), dict):
        asked = _of_input(document)
    else:
        raise UserError(
            f"reading event {event}: it is neither a payload of GitHub's (push, pull_request, pull_request_review, "
            "merge_group: each has `repository`) nor a push policy's input document (which has `push`)"
        )
    found = _configuration(clone, asked.repository, policies)
    if found.configuration is None:
        raise BrokenConfiguration(found.problems)
    rejudge = Rejudge(policies=policies, repository=asked.repository, web_url=_WEB_URL)
    settings = _settings(organisation, policies) if organisation is not None else None
    own = found.configuration
    configuration = effective(own, settings.organisation) if settings is not None else own
    if settings is not None:
        problems = pool_problems(configuration, settings.organisation, asked.repository.name)
        if problems:
            raise BrokenConfiguration(problems)
    stacks = imagined_stacks(configuration, {}, asked.repository.id)
    texts: dict[str, str] = {**found.texts, **(settings.texts if settings is not None else {})}
    told = [
        (stack.name, rejudge.ask(stack, asked.document, texts, is_everything=asked.files is None)) for stack in stacks
    ]
    return Simulated(asked=asked, stacks=tuple(told), after=_after(stacks, told))


def engine_here(environ: Mapping[str, str]) -> PolicyEngine:
    """What runs Rego on this machine: the embedded engine, or the OPA at OPA_URL where that is not installed.

    Asking it raises UserError where there is neither: a clone without policies never asks.
    """
    url = environ.get("OPA_URL", "").strip()
    try:
        find_library()
    except UserError:
        if url:
            return OpaServer(url)
    return OpaPool(1)


def lines_of(simulated: Simulated) -> list[str]:
    """The outcome for a terminal."""
    asked = simulated.asked
    if asked.files is None:
        changed = "what changed is not known: everything counts as changed"
    else:
        changed = f"{len(asked.files):,} {'file' if len(asked.files) == 1 else 'files'} changed"
    lines = [asked.title, changed + (f" ({_plain(asked.note)})" if asked.note else "")]
    lines += [f"  {_plain(path)}" for path in (asked.files or ())[:MAX_SHOWN_FILES]]
    if len(asked.files or ()) > MAX_SHOWN_FILES:
        lines.append(f"  and {len(asked.files or ()) - MAX_SHOWN_FILES:,} more")
    lines.append("")
    width = max((len(name) for name, _ in simulated.stacks), default=0)
    for name, said in simulated.stacks:
        uppers = simulated.after.get(name, ())
        after = words_depend.comes_after(uppers) if _is_for_others(said) else words_depend.waits_in_order(uppers)
        word = "dependency" if uppers and _run_type(said) is None else _word(said)
        reason = "; ".join((said.reason, after)) if uppers else said.reason
        lines.append(f"{name:{width}}  {word:10}  {_plain(reason)}")
        for outcome in said.outcomes:
            lines += [f"{'':{width}}    {outcome.name} printed {_plain(line)}" for line in outcome.prints]
    total = len(simulated.stacks)
    lines += [
        "",
        f"{simulated.running:,} of {total:,} {'stack' if total == 1 else 'stacks'} would run; nothing was run",
    ]
    return lines


def document_of(simulated: Simulated) -> dict[str, object]:
    """The outcome for programs. Shape: the event, what changed (null: not known), one object a stack."""
    return {
        "event": simulated.asked.title,
        "repository": simulated.asked.repository.full_name,
        "changed_files": list(simulated.asked.files) if simulated.asked.files is not None else None,
        "note": simulated.asked.note,
        "stacks": [
            {
                "stack": name,
                "verdict": said.verdict.value,
                "run": _run_type(said) or ("tracked" if name in simulated.after else None),
                "reason": said.reason,
                "after": list(simulated.after.get(name, ())),
                "policies": [
                    {
                        "name": outcome.name,
                        "rules": dict(outcome.rules),
                        "fired": [{"rule": rule, "line": line} for rule, line in outcome.fired],
                        "prints": list(outcome.prints),
                        "failure": outcome.failure,
                    }
                    for outcome in said.outcomes
                ],
            }
            for name, said in simulated.stacks
        ],
    }


def _after(stacks: Sequence[Stack], told: Sequence[tuple[str, Rejudged]]) -> dict[str, tuple[str, ...]]:
    """The stacks that would run after others that are tracked, each with those directly above it."""
    roots = {name for name, said in told if said.is_run_wanted and said.verdict is Verdict.TRACK}
    above = graph_of({stack.name: stack.settings.depends_on for stack in stacks})
    below = stacks_below(above, roots)
    return {name: tuple(upper for upper in above[name] if upper in roots or upper in below) for name in below}


def _is_for_others(said: Rejudged) -> bool:
    """True when the stack would have no tracked run but for what it depends on."""
    return not (said.is_run_wanted and said.verdict is Verdict.TRACK)


def _read_document(event: Path) -> dict[str, object]:
    try:
        if event.stat().st_size > MAX_DELIVERY_BYTES:
            raise UserError(f"reading event {event}: more than {MAX_DELIVERY_BYTES:,} bytes")
        document = json.loads(event.read_bytes())
    except OSError as error:
        raise UserError(f"reading event {event}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"reading event {event}: it is no JSON: {str(error)[:200]}") from error
    if not isinstance(document, dict):
        raise UserError(f"reading event {event}: it is no JSON object")
    return document


def _payload_name(document: Mapping[str, object]) -> str:
    """The event that GitHub would name beside such a payload; empty for what is none."""
    if not isinstance(document.get("repository"), dict):
        return ""
    marks = (
        ("review", "pull_request_review"),
        ("pull_request", "pull_request"),
        ("merge_group", "merge_group"),
        ("ref", "push"),
    )
    return next((name for key, name in marks if key in document), "")


def _read_event(path: Path, name: str, document: Mapping[str, object]) -> Event:
    """The payload as an event. `installation` is put in where a payload of an author's own hook has none."""
    whole = {"installation": {"id": 1}, **document}
    read = make_reader(0)(name, json.dumps(whole).encode())
    match read:
        case Ignored(reason):
            raise UserError(f"reading event {path}: nothing is decided about it: {reason}")
        case Malformed(reason):
            raise UserError(f"reading event {path}: {reason}")
        case _:
            return read


def _happening(event: Event) -> Happening:
    match event:
        case Push():
            if event.is_deleted:
                raise UserError(f"simulating: {event.ref} was deleted by this push, so nothing is decided about it")
            return of_push(event)
        case PullChanged():
            return of_pull(event)
        case PullReviewed():
            return of_review(event)
        case MergeGroup():
            return of_group(event)
        case _:
            raise UserError("simulating: nothing is decided about an event of this kind")


def _of_payload(clone: Clone, event: Event, policies: Policies, base: str) -> Asked:
    """The event of a payload, with what git says in the clone."""
    happening = _happening(event)
    looked = Look(mirror=clone, policies=policies, source_of=lambda _: None).at(happening)
    if base:
        looked = _compared_with(clone, looked, clone.resolve(base))
    at = looked.base or Base(sha=None, note="a tag is compared with each stack's head, which is not known here")
    files = looked.since(at)
    is_known = files is not None and looked.pull_files is not None
    listed = files if files is not None else clone.find_files(None, looked.head, ("",))
    asked = EventAsked(
        repository=happening.repository,
        push=PushAsked(commit=looked.commit),
        pull=_pull_asked(happening, looked),
        at=datetime.now(UTC),
        web_url=_WEB_URL,
    )
    whole = files if happening.pull is None else tuple(dict.fromkeys((*(looked.pull_files or ()), *(files or ()))))
    return Asked(
        title=f"{_title(happening)}: {looked.head[:7]} {_plain(looked.commit.message.partition(chr(10))[0])}".rstrip(),
        repository=happening.repository,
        document=with_files(event_document(asked), listed),
        files=whole if is_known else None,
        note=at.note,
    )


def _compared_with(clone: Clone, looked: Looked, base: Sha) -> Looked:
    left = clone.merge_base(None, base, looked.head) or base
    is_pull = looked.pull_base is not None
    return replace(
        looked,
        base=Base(sha=base, note=f"compared with {base[:7]}"),
        changed={base: clone.changed_files(None, base, looked.head)},
        pull_files=clone.changed_files(None, left, looked.head) if is_pull else looked.pull_files,
    )


def _pull_asked(happening: Happening, looked: Looked) -> PullAsked | None:
    """The pull request as policies see it; what GitHub alone knows (reviews, mergeability) is taken as not so."""
    pull = happening.pull
    if pull is None:
        return None
    base = looked.pull_base or CommitFacts(sha=pull.base_sha)
    return PullAsked(
        action=happening.action,
        initiator=happening.sender,
        number=pull.number,
        title=pull.title,
        author=pull.author,
        base=replace(base, branch=pull.base_ref),
        head=replace(looked.commit, sha=pull.head_sha, branch=pull.head_ref),
        head_owner=pull.head_owner,
        is_closed=pull.is_closed,
        is_draft=pull.is_draft,
        labels=pull.labels,
        diff=looked.pull_files,
        is_undiverged=looked.is_undiverged,
    )


def _of_input(document: Mapping[str, object]) -> Asked:
    """A push policy's input document: taken as it is, but for its stack."""
    stack, push = document.get("stack"), document.get("push")
    named = stack if isinstance(stack, dict) else {}
    owner, name = str(named.get("namespace") or "owner")[:100], str(named.get("repository") or "name")[:100]
    files = push.get("affected_files") if isinstance(push, dict) else None
    is_pull = isinstance(document.get("pull_request"), dict)
    return Asked(
        title=f"{'pull request' if is_pull else 'push'} of an input document",
        repository=Repository(
            id=RepositoryId(0),
            owner=owner,
            name=name,
            default_branch=str(named.get("branch") or "main")[:200],
            is_private=True,
            installation_id=InstallationId(0),
        ),
        document=document,
        files=tuple(str(path) for path in files) if isinstance(files, list) else (),
    )


def _configuration(clone: Clone, repository: Repository, policies: Policies) -> Found:
    """The working tree's stacks file with its policies."""

    def read(path: str) -> bytes | None:
        return clone.read_file(None, _HEAD, path, max_bytes=MAX_POLICY_BYTES)

    text = clone.read_file(None, _HEAD, CONFIG_PATH, max_bytes=MAX_CONFIG_BYTES)
    if text is None:
        raise UserError(f"reading {CONFIG_PATH}: there is none in {clone.root}")
    return read_policies(read_file(_HEAD, text, default_branch=repository.default_branch), read, policies)


def _settings(organisation: Clone, policies: Policies) -> FoundOrganisation:
    """The settings of the working tree of a `.trackside` clone, with their policies."""
    found = read_settings(_HEAD, partial(organisation.read_file, None, _HEAD), policies)
    if found.is_missing:
        raise UserError(f"reading {ORGANISATION_PATH}: there is none in {organisation.root}")
    if found.organisation is None:
        raise BrokenConfiguration(found.problems)
    return found


def _title(happening: Happening) -> str:
    by = f" by {_plain(happening.sender)}" if happening.sender else ""
    if happening.pull is not None:
        return f"pull request {happening.pull.number}, {happening.action.replace('_', ' ')}{by}"
    what = f"tag {happening.tag}" if happening.tag else f"push to {happening.branch}"
    return f"{_plain(what)}{by}"


def _word(said: Rejudged) -> str:
    run = _run_type(said)
    if run is not None:
        return run
    return {Verdict.TRACK: "head moves", Verdict.FAIL: "fails"}.get(said.verdict, "ignored")


def _run_type(said: Rejudged) -> str | None:
    """The type of the run that would be made; None: no run."""
    if not said.is_run_wanted:
        return None
    return "tracked" if said.verdict is Verdict.TRACK else "proposed"


def _shown(problem: Problem) -> str:
    place = f"{problem.path or CONFIG_PATH}:{problem.line}: "
    return f"{place}{_plain(problem.message.removeprefix(place))}: {_plain(problem.remedy)}"


def _plain(text: str) -> str:
    """Foreign text in one visible line."""
    return shortened(text, 300)
