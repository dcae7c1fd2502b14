"""What GitHub alone knows of an event: signatures, reviews, whether a pull request can be merged; asked outside of any
transaction, and only for what some policy's text mentions.

An answer that does not come is never guessed: the delivery is tried again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from app.core.decision import EventKind, Verdict
from app.core.errors import UserError
from app.core.event import Repository
from app.core.happening import Happening
from app.core.names import Sha
from app.core.pull import PullFacts
from app.core.pushinput import CommitFacts, EventAsked, PullAsked, PushAsked
from app.flows.judge import Case, Ruling
from app.flows.look import Look, Looked
from app.flows.ports import GitHub

_SIGNATURE: Final = re.compile(r"\b(?:verified|signer|tag_verified)\b")
_REVIEWS: Final = re.compile(r"\bapproved\b")
_MERGEABLE: Final = re.compile(r"\bmergeable\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a proposed run checks out."""

    sha: Sha
    note: str = ""
    """Which commit that is, where there was a choice."""
    pull_number: int | None = None
    """The pull request that a pushed branch belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enquire:
    """Asks GitHub."""

    github: GitHub
    look: Look
    web_url: str

    def event(self, happening: Happening, looked: Looked, *, at: datetime, texts: Sequence[str]) -> EventAsked:
        """The event as all stacks are asked about it. `texts`: the policies that will see it."""
        return EventAsked(
            repository=happening.repository,
            push=self._push(happening, looked, texts),
            pull=self._pull(happening, looked, texts),
            at=at,
            web_url=self.web_url,
        )

    def source(self, case: Case, rulings: Sequence[Ruling]) -> Source:
        """What proposed runs of the event check out: the merge that GitHub tried, where it is of the right commits."""
        head = Source(sha=case.looked.head)
        happening = case.happening
        is_proposed = any(one.answer.verdict is Verdict.PROPOSE and one.is_run_wanted for one in rulings)
        if not is_proposed or happening.is_from_fork:
            return head
        pull = happening.pull if happening.pull is not None else self._open_pull(happening, head.sha)
        if pull is None or pull.is_closed:
            return head
        return source_of_pull(self.look, happening.repository, pull, head.sha)

    def _open_pull(self, happening: Happening, head: Sha) -> PullFacts | None:
        """The one open pull request that a pushed branch is the head of, if GitHub knows of its new head already."""
        if happening.kind is not EventKind.PUSH:
            return None
        try:
            pulls = self.github.list_open_pulls(happening.repository, happening.branch)
        except UserError:
            return None
        of_head = [pull for pull in pulls if pull.head_sha == head]
        return of_head[0] if len(of_head) == 1 else None

    def find_pull(self, repository: Repository, number: int) -> PullFacts | None:
        """A pull request as it is now."""
        detail = self.github.read_pull(repository, number)
        return detail.facts if detail is not None else None

    def _push(self, happening: Happening, looked: Looked, texts: Sequence[str]) -> PushAsked:
        """What was pushed. What GitHub refuses to tell counts as not verified."""
        repository = happening.repository
        if not _mention(texts, _SIGNATURE):
            return PushAsked(commit=looked.commit)
        try:
            signature = self.github.find_signature(repository, looked.head)
            is_tag_object = bool(happening.tag) and happening.after != looked.head
            of_tag = self.github.find_tag_signature(repository, happening.after) if is_tag_object else None
        except UserError:
            return PushAsked(commit=looked.commit)
        return PushAsked(
            commit=looked.commit,
            is_verified=signature is not None and signature.is_verified,
            signer=signature.signer if signature is not None else "",
            is_tag_verified=of_tag is not None and of_tag.is_verified,
        )

    def _pull(self, happening: Happening, looked: Looked, texts: Sequence[str]) -> PullAsked | None:
        pull, repository = happening.pull, happening.repository
        if pull is None:
            return None
        detail = self.github.read_pull(repository, pull.number) if _mention(texts, _MERGEABLE) else None
        reviews = self.github.read_reviews(repository, pull.number) if _mention(texts, _REVIEWS) else None
        head = CommitFacts(
            sha=pull.head_sha,
            author=pull.author,
            branch=pull.head_ref,
            message=looked.commit.message if pull.head_sha == looked.head else "",
            created_at=looked.commit.created_at if pull.head_sha == looked.head else None,
            pull_number=pull.number,
        )
        base = looked.pull_base or CommitFacts(sha=pull.base_sha)
        return PullAsked(
            action=happening.action,
            initiator=happening.sender,
            number=pull.number,
            title=pull.title,
            author=pull.author,
            base=replace(base, branch=pull.base_ref),
            head=head,
            head_owner=pull.head_owner,
            is_closed=pull.is_closed,
            is_draft=pull.is_draft,
            labels=pull.labels,
            diff=looked.pull_files,
            comment=happening.comment,
            is_approved=reviews is not None and reviews.is_approved,
            is_mergeable=detail is not None and bool(detail.may_be_merged),
            is_undiverged=looked.is_undiverged,
        )


def source_of_pull(look: Look, repository: Repository, pull: PullFacts, head: Sha) -> Source:
    """What a proposed run of an open pull request's head checks out: the merge that GitHub tried, else the head."""
    merge, base = look.merge_of(repository, pull)
    if merge is None:
        note = f"planned {head[:7]} itself: GitHub has no merge of it with {pull.base_ref} at {base[:7]}"
        return Source(sha=head, note=note, pull_number=pull.number)
    note = f"planned the merge of {head[:7]} into {pull.base_ref} at {base[:7]}"
    return Source(sha=merge, note=note, pull_number=pull.number)


def _mention(texts: Sequence[str], words: re.Pattern[str]) -> bool:
    return any(words.search(text) for text in texts)
