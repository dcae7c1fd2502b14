"""Branches and tags whose push nobody told us of: one `git ls-remote` per repository, held against what is known.

What moved without an event becomes a delivery of our own making, in the repository's lane, once a second look finds it
still untold: so that an event on its way arrives first. The first sight of a repository runs nothing that is old.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from app.core.errors import RetryableError, TracksideError
from app.core.event import Push, Repository
from app.core.happening import QUEUE_REFS
from app.core.missed import FOUND_REF, MAX_REFS, FoundRef, KnownRef, Outcome, Path, Sight
from app.core.names import ZERO_SHA, DeliveryId, RepositoryId, Sha
from app.flows.look import Look
from app.flows.ports import Store, Transaction
from app.flows.ports_missed import RemoteRefs

HEADS: Final = "refs/heads/"
TAGS: Final = "refs/tags/"
AT_ONCE: Final = 20
"""Repositories of one round; the next one takes the next."""
MAX_FOUND: Final = 100
"""Refs of a repository that become events in one look; the rest wait for the next."""
AT_START_S: Final = 60.0
"""Over how long the looks of a start are spread."""
SOON_S: Final = 5.0
"""How long after a push its repository is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedHeads:
    """The use cases. `source_of` names a repository's mirror with the token that it needs."""

    store: Store
    mirror: RemoteRefs
    source_of: Callable[[Repository], Any]
    every_s: float
    grace: timedelta
    """How long an event may be on its way."""

    def start(self) -> None:
        """Have every repository looked at: something was down a moment ago."""
        with self.store.begin() as tx:
            tx.want_all_looks(within_s=min(AT_START_S, self.every_s))

    def look(self) -> int:
        """Look at the repositories that are due; how many refs turned out to have moved untold.

        Raises: RetryableError when GitHub said when to come again: what was not looked at is due then.
        """
        with self.store.begin() as tx:
            due = tx.take_due_looks(every_s=self.every_s, limit=AT_ONCE)
        found = 0
        for at, repository in enumerate(due):
            try:
                found += self._look_at(repository)
            except RetryableError as error:
                with self.store.begin() as tx:
                    for left in due[at:]:
                        tx.want_look(left.id, in_s=error.retry_after_s or self.every_s)
                raise
        return found

    def _look_at(self, repository: Repository) -> int:
        try:
            listed = self.mirror.ls_remote(self.source_of(repository))
        except TracksideError as error:
            with self.store.begin() as tx:
                tx.count_missed(Path.HEADS, Outcome.UNANSWERED)
            if isinstance(error, RetryableError) and error.retry_after_s is not None:
                raise
            return 0
        there = {ref: sha for ref, sha in listed.items() if not ref.startswith(QUEUE_REFS)}
        with self.store.begin() as tx:
            tx.lock_repository(repository.id)
            if tx.is_busy(repository.id):
                tx.want_look(repository.id, in_s=self.grace.total_seconds() + 1)
                return 0
            sight = tx.read_sight(repository.id)
            if len(there) > MAX_REFS:  # its tags cannot be remembered: it is never seen as a whole
                there = {ref: there[ref] for ref in _watched(tx, repository) & there.keys()}
            else:
                tx.forget_refs(repository.id, sorted(sight.refs.keys() - there.keys()))
                tx.mark_seen(repository.id)
            if sight.is_first:
                sight = Sight(is_first=True, refs=self._first_sight(tx, repository, there, sight))
                tx.save_refs(repository.id, list(sight.refs.values()))
            seen = self._compare(tx, repository, there, sight)
            tx.save_refs(repository.id, seen.saved)
            for one in seen.found:
                self._announce(tx, repository, one, seen.at)
            tx.count_missed(Path.HEADS, Outcome.FOUND, len(seen.found))
            if seen.is_waiting:
                tx.want_look(repository.id, in_s=max(self.grace.total_seconds(), 1.0))
        return len(seen.found)

    def _first_sight(
        self, tx: Transaction, repository: Repository, there: Mapping[str, Sha], sight: Sight
    ) -> dict[str, KnownRef]:
        """What is there counts as known: tags are old, branches are where they are. But a watched branch is where its
        newest decision was, and what was decided already stays."""
        known = {ref: KnownRef(ref=ref, sha=sha) for ref, sha in there.items()}
        for ref in _watched(tx, repository) & there.keys():
            decided = tx.find_newest_decided(repository.id, ref)
            if decided is not None:
                known[ref] = KnownRef(ref=ref, sha=decided)
        return {**known, **sight.refs}

    def _compare(self, tx: Transaction, repository: Repository, there: Mapping[str, Sha], sight: Sight) -> "_Seen":
        """What is there against what is known."""
        watched, seen = _watched(tx, repository), _Seen(at=tx.now())
        for ref, sha in sorted(there.items()):
            known = sight.refs.get(ref, KnownRef(ref=ref, sha=ZERO_SHA))
            if sha == known.sha:
                if known.new_sha is not None:
                    seen.saved.append(replace(known, new_sha=None, new_since=None))
            elif not ref.startswith(TAGS) and ref not in watched:
                seen.saved.append(KnownRef(ref=ref, sha=sha))
            elif known.new_sha != sha or known.new_since is None:
                seen.saved.append(replace(known, new_sha=sha, new_since=seen.at))
                seen.is_waiting = True
            elif seen.at - known.new_since < self.grace or len(seen.found) >= MAX_FOUND:
                seen.is_waiting = True
            else:
                seen.found.append(known)
                seen.saved.append(KnownRef(ref=ref, sha=sha, found_base=known.sha))
        return seen

    def _announce(self, tx: Transaction, repository: Repository, known: KnownRef, at: datetime) -> None:
        found = FoundRef(
            repository_id=repository.id, ref=known.ref, before=known.sha, after=known.new_sha or ZERO_SHA, found_at=at
        )
        announce(tx, found)


@dataclass(slots=True)
class _Seen:
    """What a look amounts to."""

    at: datetime
    saved: list[KnownRef] = field(default_factory=list)
    found: list[KnownRef] = field(default_factory=list)
    """As they were known."""
    is_waiting: bool = False
    """Some may still be told by their own event."""


def announce(tx: Transaction, found: FoundRef) -> None:
    """Make a delivery of what was found. The same move, found again, is the same delivery."""
    move = f"{found.repository_id}/{found.ref}/{found.before}/{found.after}/{found.found_at.isoformat()}"
    guid = DeliveryId(f"found-{hashlib.sha256(move.encode()).hexdigest()[:32]}")
    tx.add_delivery(guid, FOUND_REF, msgspec.json.encode(found), repository_id=RepositoryId(found.repository_id))


def note_decided(tx: Transaction, repository_id: RepositoryId, ref: str, sha: Sha) -> None:
    """Remember where a decided push left its ref, and have the repository looked at: more than was told may have moved.
    What was found by looking is remembered already."""
    tx.save_refs(repository_id, [KnownRef(ref=ref, sha=sha)])
    tx.want_look(repository_id, in_s=SOON_S)


def is_covered(look: Look, push: Push, known: KnownRef | None) -> bool:
    """True for a push that was part of a move that was found, and decided as one, before its own event came."""
    if known is None or known.found_base is None or push.is_deleted:
        return False
    if known.sha == push.after:
        return True
    if push.tag or not look.holds(push.repository, known.sha, push.after):
        return False
    return known.found_base == ZERO_SHA or not look.holds(push.repository, known.found_base, push.after)


def _watched(tx: Transaction, repository: Repository) -> set[str]:
    """The branches that stacks track, and the one that the configuration is read from."""
    branches = {stack.settings.branch for stack in tx.list_stacks(repository.id) if not stack.is_detached}
    return {HEADS + branch for branch in branches | {repository.default_branch}}
