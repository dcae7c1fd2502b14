"""Which commit a pull request stands for, in the repository that it goes into."""

from dataclasses import replace

import pytest

from app.core.names import RepositoryId, Sha
from app.core.pull import PullFacts

OURS, FORK = RepositoryId(77), RepositoryId(78)
HEAD, LANDED = Sha("a" * 40), Sha("b" * 40)
OPEN = PullFacts(
    number=7,
    title="Work",
    author="alice",
    head_sha=HEAD,
    head_ref="work",
    head_owner="acme",
    head_repository_id=OURS,
    base_sha=Sha("c" * 40),
    base_ref="main",
    is_draft=False,
    is_closed=False,
    is_merged=False,
)
MERGED = replace(OPEN, is_closed=True, is_merged=True, merge_commit_sha=LANDED)


@pytest.mark.parametrize(
    ("pull", "commit"),
    [
        (OPEN, HEAD),
        (replace(OPEN, head_repository_id=FORK), HEAD),
        (replace(OPEN, is_closed=True), HEAD),
        (replace(OPEN, merge_commit_sha=LANDED), HEAD),
        (MERGED, LANDED),
        (replace(MERGED, head_repository_id=FORK), LANDED),
        (replace(MERGED, merge_commit_sha=None), HEAD),
        (replace(MERGED, head_repository_id=FORK, merge_commit_sha=None), None),
        (replace(MERGED, head_repository_id=None, merge_commit_sha=None), None),
    ],
)
def test_a_pull_request_stands_for_what_landed_of_it_and_never_for_a_merged_forks_head(
    pull: PullFacts, commit: Sha | None
) -> None:
    assert pull.own_sha(OURS) == commit
