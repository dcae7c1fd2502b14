"""Reads an organisation's settings from a commit of its `.trackside` repository, with their policies.

Asks whatever has the commit's files, and the policy engine whether a policy can be used. Keeps nothing.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from app.core.contract import MAX_POLICY_BYTES
from app.core.errors import UserError
from app.core.names import Digest, Sha
from app.core.organisation import ORGANISATION_PATH, Organisation
from app.core.organisationfile import read_organisation
from app.core.stack import MAX_CONFIG_BYTES, Problem
from app.flows.configure import digest_of, read_texts
from app.flows.ports import Policies, ReadFile

GONE: Final = Problem(
    line=1,
    path=ORGANISATION_PATH,
    message="the file is gone, but it is in force",
    remedy="bring it back; to give up everything that it says, keep the file with `version: 1` alone",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundOrganisation:
    """An organisation's stacks.yml of one commit, read: valid (settings), broken (problems), or not there."""

    sha: Sha
    digest: Digest
    organisation: Organisation | None
    problems: tuple[Problem, ...] = ()
    """Each with its path."""
    is_missing: bool = False
    texts: Mapping[str, str] = field(default_factory=dict)
    """The policies' texts, by the SHA-256 of their bytes."""


def read_settings(sha: Sha, read: ReadFile, policies: Policies) -> FoundOrganisation:
    """The settings of that commit."""
    try:
        text = read(ORGANISATION_PATH, max_bytes=MAX_CONFIG_BYTES)
    except UserError:
        return _broken(sha, b"", (_too_large(),))
    if text is None:
        return FoundOrganisation(sha=sha, digest=_digest(b""), organisation=None, is_missing=True)
    settings = read_organisation(text)
    if not isinstance(settings, Organisation):
        return _broken(sha, text, settings)
    specs, texts, problems = read_texts(
        settings.policies, lambda path: read(path, max_bytes=MAX_POLICY_BYTES), policies
    )
    if problems:
        return _broken(sha, text, problems)
    return FoundOrganisation(
        sha=sha,
        digest=digest_of(_digest(text), specs),
        organisation=replace(settings, policies=specs),
        texts=texts,
    )


def _broken(sha: Sha, text: bytes, problems: tuple[Problem, ...]) -> FoundOrganisation:
    placed = tuple(replace(problem, path=problem.path or ORGANISATION_PATH) for problem in problems)
    return FoundOrganisation(sha=sha, digest=_digest(text), organisation=None, problems=placed)


def _too_large() -> Problem:
    return Problem(line=1, message=f"the file is larger than {MAX_CONFIG_BYTES:,} bytes", remedy="shorten it")


def _digest(text: bytes) -> Digest:
    return Digest(hashlib.sha256(text).hexdigest())
