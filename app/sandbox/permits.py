"""Who may do what: levels of an App's permission, roles of people, and how GitHub folds five roles into four words.

Source: https://docs.github.com/rest/collaborators/collaborators#get-repository-permissions-for-a-user
"""

from collections.abc import Mapping
from typing import Final

LEVELS: Final = {"none": 0, "read": 1, "write": 2, "admin": 3}
ROLES: Final = ("none", "read", "triage", "write", "maintain", "admin")
FOLDED: Final = {
    "none": "none",
    "read": "read",
    "triage": "read",
    "write": "write",
    "maintain": "write",
    "admin": "admin",
}
"""What `permission` says for each `role_name`."""

DEFAULT_PERMISSIONS: Final[Mapping[str, str]] = {
    "metadata": "read",
    "checks": "write",
    "contents": "read",
    "deployments": "write",
    "pull_requests": "write",
    "issues": "write",
    "merge_queues": "read",
    "actions": "read",
    "members": "read",
}
"""What an installation grants unless it is told otherwise."""

DEFAULT_EVENTS: Final = (
    "push",
    "pull_request",
    "pull_request_review",
    "issue_comment",
    "commit_comment",
    "merge_group",
    "repository",
    "check_run",
    "check_suite",
)
"""The events that the App subscribes to; installation events and ping come unasked."""

KNOWN_PERMISSIONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("metadata", "organization_plan", "organization_events"), "read"),
    **dict.fromkeys(("workflows",), "write"),
    **dict.fromkeys(
        (
            *("actions", "administration", "checks", "contents", "deployments", "environments", "issues", "packages"),
            *("merge_queues", "pages", "pull_requests", "repository_hooks", "secrets", "security_events", "statuses"),
            *("vulnerability_alerts", "members", "organization_administration", "organization_hooks"),
        ),
        "write",
    ),
}
"""The permissions that an App can have, and the most of each; those of enterprises, people and packages left out.
Source: https://docs.github.com/rest/authentication/permissions-required-for-github-apps"""

EVENTS_NEED: Final[Mapping[str, tuple[str, ...]]] = {
    "push": ("contents",),
    "pull_request": ("pull_requests",),
    "pull_request_review": ("pull_requests",),
    "merge_group": ("merge_queues",),
    "issue_comment": ("issues", "pull_requests"),
    "commit_comment": ("contents",),
    "check_run": ("checks",),
    "check_suite": ("checks",),
    "repository": ("metadata",),
    "deployment": ("deployments",),
    "deployment_status": ("deployments",),
}
"""One of these permissions is what each event takes. Source: https://docs.github.com/webhooks/webhook-events-and-payloads"""

UNASKED_EVENTS: Final = frozenset({"installation", "installation_repositories", "ping"})


def reaches(held: str | None, needed: str) -> bool:
    """True when a permission's level is at least the needed one."""
    return LEVELS.get(held or "none", 0) >= LEVELS[needed]


def role_flags(role: str) -> dict[str, bool]:
    """Shape: the five booleans that GitHub puts beside a repository or collaborator."""
    rank = ROLES.index(role)
    return {
        "admin": rank >= ROLES.index("admin"),
        "maintain": rank >= ROLES.index("maintain"),
        "push": rank >= ROLES.index("write"),
        "triage": rank >= ROLES.index("triage"),
        "pull": rank >= ROLES.index("read"),
    }
