"""Payloads as GitHub documents them, cut to what matters plus some fields that nobody reads.

Source: https://docs.github.com/webhooks/webhook-events-and-payloads
"""

import copy
import json
from typing import Any, Final

MISSING: Final = object()
SHA_A: Final = "a" * 40
SHA_B: Final = "b" * 40
SHA_C: Final = "c" * 40
ZERO: Final = "0" * 40
APP_ID: Final = 4711

REPOSITORY: Final[dict[str, Any]] = {
    "id": 186853002,
    "node_id": "MDEwOlJlcG9zaXRvcnkxODY4NTMwMDI=",
    "name": "infra",
    "full_name": "acme/infra",
    "private": True,
    "owner": {"login": "acme", "id": 21031067, "type": "Organization", "site_admin": False},
    "default_branch": "main",
    "description": None,
    "topics": [],
    "created_at": 1557933565,
}
SENDER: Final[dict[str, Any]] = {"login": "alice", "id": 1, "type": "User"}
COMMON: Final[dict[str, Any]] = {
    "repository": REPOSITORY,
    "organization": {"login": "acme", "id": 21031067},
    "installation": {"id": 42, "node_id": "MDIzOkludGVncmF0aW9uSW5zdGFsbGF0aW9uNDI="},
    "sender": SENDER,
}
PUSH: Final[dict[str, Any]] = COMMON | {
    "ref": "refs/heads/main",
    "before": SHA_A,
    "after": SHA_B,
    "base_ref": None,
    "created": False,
    "deleted": False,
    "forced": False,
    "compare": "https://github.com/acme/infra/compare/aaa...bbb",
    "commits": [],
    "head_commit": {"id": SHA_B, "message": "Widen the net\n\nBecause.", "added": [], "removed": [], "modified": ["a"]},
    "pusher": {"name": "alice", "email": "alice@example.com"},
}
CHECK_RUN: Final[dict[str, Any]] = COMMON | {
    "action": "requested_action",
    "requested_action": {"identifier": "c0123456789abcdef"},
    "check_run": {
        "id": 128620228,
        "head_sha": SHA_B,
        "external_id": "RUN/1",
        "status": "completed",
        "conclusion": "action_required",
        "name": "deploy/net",
        "output": None,
        "check_suite": {"id": 1, "head_branch": None, "app": {"id": APP_ID}},
        "app": {"id": APP_ID, "slug": "trackside"},
        "pull_requests": [],
    },
}
CHECK_SUITE: Final[dict[str, Any]] = COMMON | {
    "action": "rerequested",
    "check_suite": {"id": 1, "head_branch": None, "head_sha": SHA_B, "app": {"id": APP_ID, "slug": "trackside"}},
}
ISSUE_COMMENT: Final[dict[str, Any]] = COMMON | {
    "action": "created",
    "issue": {"number": 7, "title": "Net", "state": "closed", "pull_request": {"url": "https://api.github.com/x"}},
    "comment": {
        "id": 492700400,
        "user": SENDER,
        "created_at": "2026-05-15T15:20:21Z",
        "updated_at": "2026-05-15T15:20:21Z",
        "author_association": "MEMBER",
        "body": "/trackside confirm net",
        "performed_via_github_app": None,
    },
}
COMMIT_COMMENT: Final[dict[str, Any]] = COMMON | {
    "action": "created",
    "comment": {
        "id": 33548674,
        "user": SENDER,
        "position": None,
        "line": None,
        "path": None,
        "commit_id": SHA_B,
        "created_at": "2026-05-15T15:20:39+02:00",
        "body": "/trackside why",
    },
}
PULL_REQUEST: Final[dict[str, Any]] = COMMON | {
    "action": "opened",
    "number": 7,
    "pull_request": {
        "id": 279147437,
        "number": 7,
        "state": "open",
        "title": "Widen the net",
        "body": None,
        "user": {"login": "bob", "id": 2, "type": "User"},
        "draft": False,
        "merged": False,
        "merged_at": None,
        "merge_commit_sha": SHA_C,
        "mergeable": None,
        "mergeable_state": "unknown",
        "labels": [{"id": 1, "name": "prod", "color": "ededed", "default": False, "description": None}],
        "head": {
            "label": "acme:topic",
            "ref": "topic",
            "sha": SHA_B,
            "user": {"login": "acme", "id": 21031067},
            "repo": REPOSITORY,
        },
        "base": {
            "label": "acme:main",
            "ref": "main",
            "sha": SHA_A,
            "user": {"login": "acme", "id": 21031067},
            "repo": REPOSITORY,
        },
        "author_association": "MEMBER",
    },
}
REVIEW: Final[dict[str, Any]] = PULL_REQUEST | {
    "action": "submitted",
    "review": {
        "id": 237895671,
        "user": {"login": "carol", "id": 3, "type": "User"},
        "body": "Fine.",
        "commit_id": SHA_B,
        "submitted_at": "2026-05-15T15:20:38Z",
        "state": "approved",
        "author_association": "MEMBER",
    },
}
MERGE_GROUP: Final[dict[str, Any]] = COMMON | {
    "action": "checks_requested",
    "merge_group": {
        "head_sha": SHA_B,
        "head_ref": f"refs/heads/gh-readonly-queue/main/pr-7-{SHA_A}",
        "base_sha": SHA_A,
        "base_ref": "refs/heads/main",
        "head_commit": {"id": SHA_B, "message": "Merge pull request #7 from acme/topic"},
    },
}
RENAMED: Final[dict[str, Any]] = COMMON | {
    "action": "renamed",
    "changes": {"repository": {"name": {"from": "infrastructure"}}},
}
INSTALLATION: Final[dict[str, Any]] = {
    "action": "created",
    "installation": {
        "id": 42,
        "account": {"login": "acme", "id": 21031067, "type": "Organization"},
        "app_id": APP_ID,
        "permissions": {"checks": "write"},
        "suspended_at": None,
    },
    "repositories": [{"id": 1, "name": "infra", "full_name": "acme/infra", "private": True}],
    "requester": None,
    "sender": SENDER,
}


def changed(payload: dict[str, Any], **changes: Any) -> bytes:
    """The payload as raw JSON, with values put at paths (`repository__id=1`) or taken away (MISSING)."""
    made = copy.deepcopy(payload)
    for path, value in changes.items():
        *above, last = path.split("__")
        at = made
        for name in above:
            at = at[name]
        if value is MISSING:
            del at[last]
        else:
            at[last] = value
    return json.dumps(made).encode()


OURS = json.loads(
    changed(
        ISSUE_COMMENT,
        comment__performed_via_github_app={"id": APP_ID},
        comment__user={"login": "trackside[bot]", "type": "Bot"},
    )
)
"""A comment of the App's, about which alice, who sent the sample, does something."""
