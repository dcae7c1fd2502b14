"""An event in one form: whose commit it is about."""

from dataclasses import replace

import pytest

from app.core.event import PullChanged, Repository
from app.core.happening import of_pull
from app.core.names import InstallationId, RepositoryId, Sha
from app.core.pull import PullAction, PullFacts

REPOSITORY = Repository(
    id=RepositoryId(77),
    owner="acme",
    name="infra",
    default_branch="main",
    is_private=False,
    installation_id=InstallationId(5),
)
HEAD, LANDED, BASE = Sha("a" * 40), Sha("b" * 40), Sha("c" * 40)
FORKED = PullFacts(
    number=7,
    title="Mine",
    author="mallory",
    head_sha=HEAD,
    head_ref="main",
    head_owner="mallory",
    head_repository_id=RepositoryId(99),
    base_sha=BASE,
    base_ref="main",
    is_draft=False,
    is_closed=False,
    is_merged=False,
)


@pytest.mark.parametrize(
    ("pull", "after", "is_from_fork"),
    [
        (FORKED, HEAD, True),
        (replace(FORKED, is_closed=True), HEAD, True),
        (replace(FORKED, is_closed=True, is_merged=True, merge_commit_sha=LANDED), LANDED, False),
        (replace(FORKED, is_closed=True, is_merged=True), HEAD, True),
        (replace(FORKED, head_repository_id=None), HEAD, True),
        (replace(FORKED, head_repository_id=REPOSITORY.id), HEAD, False),
    ],
    ids=["open", "closed", "merged", "merged, and GitHub does not say as what", "gone", "a branch of ours"],
)
def test_a_commit_is_a_fork_s_until_it_is_known_what_it_landed_as(
    pull: PullFacts, after: Sha, is_from_fork: bool
) -> None:
    event = PullChanged(repository=REPOSITORY, action=PullAction.CLOSED, number=7, pull=pull, sender="alice")
    happening = of_pull(event)
    assert (happening.after, happening.is_from_fork) == (after, is_from_fork)
