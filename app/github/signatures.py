"""Who signed a commit or a tag, as far as GitHub could verify it.

REST says whether, GraphQL also who, but not for tags. Source: https://docs.github.com/graphql/reference/interfaces#gitsignature
"""

from typing import Final

import msgspec

from app.core.errors import UserError
from app.core.event import Repository
from app.core.names import Sha
from app.core.pull import Signature
from app.github.api import Ask, of_repository, read_answer
from app.github.caller import Caller
from app.github.queries import ask_query
from app.github.refusals import NotFoundError
from app.github.shapes import Login

QUERY: Final = """
query($owner: String!, $name: String!, $oid: GitObjectID!) {
  repository(owner: $owner, name: $name) {
    object(oid: $oid) {
      __typename
      ... on Commit { signature { isValid wasSignedByGitHub signer { login } } }
    }
  }
}
"""


class _Signer(msgspec.Struct, frozen=True):
    login: Login


class _Signature(msgspec.Struct, frozen=True):
    is_valid: bool = msgspec.field(name="isValid")
    is_by_github: bool = msgspec.field(name="wasSignedByGitHub")
    signer: _Signer | None = None


class _Object(msgspec.Struct, frozen=True):
    kind: str = msgspec.field(name="__typename")
    signature: _Signature | None = None


class _Answer(msgspec.Struct, frozen=True):
    object: _Object | None


class _Verification(msgspec.Struct, frozen=True):
    verified: bool


class _Verified(msgspec.Struct, frozen=True):
    verification: _Verification


def find_of_commit(caller: Caller, repository: Repository, sha: Sha) -> Signature | None:
    """The commit's signature, or None when there is no such commit. Where GraphQL is refused, REST is asked, and the
    signer stays unknown.
    """
    doing = f"reading the signature of commit {sha} of {repository.full_name}"
    try:
        answer = ask_query(caller, repository, doing, (QUERY, {"oid": sha}), _Answer)
    except UserError:
        return _find_by_rest(caller, repository, doing, "/repos/{owner}/{repo}/git/commits/{sha}", sha)
    if answer is None or answer.object is None or answer.object.kind != "Commit":
        return None
    found = answer.object.signature
    if found is None or not found.is_valid:
        return Signature(is_verified=False)
    signer = found.signer.login if found.signer else ""
    return Signature(is_verified=True, signer=signer, is_by_github=found.is_by_github)


def find_of_tag(caller: Caller, repository: Repository, tag_sha: Sha) -> Signature | None:
    """The signature of an annotated tag's object, or None when that is none: a lightweight tag has no object."""
    doing = f"reading the signature of tag {tag_sha} of {repository.full_name}"
    return _find_by_rest(caller, repository, doing, "/repos/{owner}/{repo}/git/tags/{sha}", tag_sha)


def _find_by_rest(caller: Caller, repository: Repository, doing: str, route: str, sha: Sha) -> Signature | None:
    values = of_repository(repository, sha=sha)
    ask = Ask(doing=doing, method="GET", route=route, values=values, needs="contents: read")
    try:
        answer = read_answer(ask, caller.as_installation(repository, ask), _Verified)
    except NotFoundError:
        return None
    return Signature(is_verified=answer.verification.verified)
