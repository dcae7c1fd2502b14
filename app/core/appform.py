"""What the GitHub App needs, each with its reason: permissions and events, as app.yml registers them.

app.yml is for people and for GitHub's form; this is the same for the program, which is installed without that file. A
test holds both equal, word for word.
"""

from dataclasses import dataclass
from typing import Final

LEVELS: Final = {"": 0, "none": 0, "read": 1, "write": 2, "admin": 3}
"""How much each word grants."""


@dataclass(frozen=True, slots=True)
class Need:
    """One permission or event."""

    name: str
    """As GitHub spells it: `pull_requests`."""
    level: str
    """`read` or `write`; empty for an event."""
    reason: str
    """What it is for, as app.yml says."""
    since: tuple[int, int] = (0, 0)
    """The first version of GitHub Enterprise Server that has it."""

    def is_met_by(self, level: str) -> bool:
        """True when that much is enough."""
        return LEVELS.get(level, 0) >= LEVELS[self.level]

    def is_exceeded_by(self, level: str) -> bool:
        """True when that is more than is used."""
        return LEVELS.get(level, 0) > LEVELS[self.level]


MERGE_QUEUE_SINCE: Final = (3, 12)
"""Older servers have no merge queue. Source: https://github.com/github/docs/pull/31946"""

PERMISSIONS: Final = (
    Need("metadata", "read", "names, default branches, and what a person may do there; GitHub demands it of every App"),
    Need("checks", "write", "the check runs that carry plans and their buttons"),
    Need("contents", "read", "fetch commits, read stacks.yml and policies, look at signatures; never write"),
    Need("deployments", "write", "deployments and their statuses for applied runs"),
    Need(
        "pull_requests",
        "write",
        "read pull requests and their reviews; comment on them and react to their commands",
    ),
    Need("issues", "write", "GitHub keeps a pull request's comments and their reactions under issues"),
    Need(
        "merge_queues",
        "read",
        "the event merge_group, so that a queued merge is planned on its own commit",
        since=MERGE_QUEUE_SINCE,
    ),
    Need("actions", "read", "the rules of the environments that `github_environment` names"),
    Need(
        "members",
        "read",
        "whether who confirms is an active member of the team that `confirm:` names",
    ),
)
EVENTS: Final = (
    Need("push", "", "the main thing: a branch or a tag moved"),
    Need("pull_request", "", "opened, synchronised, labelled, merged: proposed runs, and push policies"),
    Need("pull_request_review", "", "for push policies"),
    Need("issue_comment", "", "commands in comments on pull requests; push policies see them too"),
    Need("commit_comment", "", "commands in comments on commits"),
    Need("merge_group", "", "the merge queue asks for a check", since=MERGE_QUEUE_SINCE),
    Need("repository", "", "renames, transfers and new default branches"),
    Need("check_run", "", "a button was pressed"),
    Need("check_suite", "", '"re-run all checks"'),
)
