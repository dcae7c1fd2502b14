"""GitHub's JSON for pull requests, comments, reactions, checks and deployments.

Shape: of every function here: the schema of the same name in GitHub's OpenAPI description (2022-11-28).
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote

from app.sandbox import opinions, permits, shapes_git
from app.sandbox.clock import iso, iso_or_none
from app.sandbox.records import (
    CheckRun,
    CheckSuite,
    CommitComment,
    Deployment,
    DeploymentStatus,
    IssueComment,
    Pull,
    Reaction,
    Repository,
    Review,
    User,
)
from app.sandbox.shapes import Json, app, page_url, repository, repository_url, user
from app.sandbox.world import World

REACTIONS: Final = ("+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes")


def association(repo: Repository, who: User) -> str:
    """`author_association`: how the author stands to the repository."""
    if who is repo.owner:
        return "OWNER"
    if who.type == "Bot":
        return "NONE"
    return (
        "COLLABORATOR" if permits.reaches(permits.FOLDED[repo.roles.get(who.login.lower(), "none")], "read") else "NONE"
    )


def reaction(world: World, one: Reaction) -> Json:
    """`reaction`."""
    return {
        "id": one.id,
        "node_id": f"REA_{one.id}",
        "user": user(world, one.user),
        "content": one.content,
        "created_at": iso(one.created_at),
    }


def rollup(url: str, reactions: Iterable[Reaction]) -> Json:
    """`reaction-rollup`."""
    counts = Counter(one.content for one in reactions)
    return {"url": f"{url}/reactions", "total_count": counts.total()} | {name: counts[name] for name in REACTIONS}


def issue_comment(world: World, repo: Repository, one: IssueComment) -> Json:
    """`issue-comment`."""
    api = repository_url(world, repo)
    url = f"{api}/issues/comments/{one.id}"
    return {
        "id": one.id,
        "node_id": f"IC_{one.id}",
        "url": url,
        "html_url": f"{page_url(world, repo)}/pull/{one.number}#issuecomment-{one.id}",
        "issue_url": f"{api}/issues/{one.number}",
        "body": one.body,
        "user": user(world, one.user),
        "created_at": iso(one.created_at),
        "updated_at": iso(one.updated_at),
        "author_association": association(repo, one.user),
        "performed_via_github_app": app(world) if one.by_app else None,
        "reactions": rollup(url, one.reactions),
    }


def commit_comment(world: World, repo: Repository, one: CommitComment) -> Json:
    """`commit-comment`."""
    url = f"{repository_url(world, repo)}/comments/{one.id}"
    return {
        "id": one.id,
        "node_id": f"CC_{one.id}",
        "url": url,
        "html_url": f"{page_url(world, repo)}/commit/{one.commit_id}#commitcomment-{one.id}",
        "body": one.body,
        "path": one.path,
        "position": one.position,
        "line": one.line,
        "commit_id": one.commit_id,
        "user": user(world, one.user),
        "created_at": iso(one.created_at),
        "updated_at": iso(one.updated_at),
        "author_association": association(repo, one.user),
        "reactions": rollup(url, one.reactions),
    }


def label(world: World, repo: Repository, name: str) -> Json:
    """`label`."""
    number = repo.labels[name]
    return {
        "id": number,
        "node_id": f"LA_{number}",
        "url": f"{repository_url(world, repo)}/labels/{quote(name)}",
        "name": name,
        "color": "ededed",
        "default": False,
        "description": None,
        "archived_at": None,
        "archived_by": None,
    }


def review(world: World, repo: Repository, pull: Pull, one: Review) -> Json:
    """`pull-request-review`."""
    api, page = f"{repository_url(world, repo)}/pulls/{pull.number}", f"{page_url(world, repo)}/pull/{pull.number}"
    html = f"{page}#pullrequestreview-{one.id}"
    return {
        "id": one.id,
        "node_id": f"PRR_{one.id}",
        "user": user(world, one.user),
        "body": one.body,
        "state": one.state,
        "html_url": html,
        "pull_request_url": api,
        "_links": {"html": {"href": html}, "pull_request": {"href": api}},
        "submitted_at": iso(one.submitted_at),
        "commit_id": one.commit_id,
        "author_association": association(repo, one.user),
    }


def _pull_side(world: World, owner: User, repo: Repository | None, ref: str, sha: str) -> Json:
    return {
        "label": f"{owner.login}:{ref}",
        "ref": ref,
        "sha": sha,
        "user": user(world, owner),
        "repo": repository(world, repo) if repo else None,
    }


def pull_simple(world: World, repo: Repository, pull: Pull) -> Json:
    """`pull-request-simple`, as lists carry it."""
    api, page = f"{repository_url(world, repo)}/pulls/{pull.number}", f"{page_url(world, repo)}/pull/{pull.number}"
    issue, statuses = f"{repository_url(world, repo)}/issues/{pull.number}", f"{repository_url(world, repo)}/statuses"
    links = {
        "self": api,
        "html": page,
        "issue": issue,
        "comments": f"{issue}/comments",
        "review_comments": f"{api}/comments",
        "review_comment": f"{repository_url(world, repo)}/pulls/comments{{/number}}",
        "commits": f"{api}/commits",
        "statuses": f"{statuses}/{pull.head_sha}",
    }
    hidden = pull.state == "open" and repo.mergeable_is_pending
    return {
        "id": pull.id,
        "node_id": f"PR_{pull.id}",
        "number": pull.number,
        "state": pull.state,
        "locked": False,
        "title": pull.title,
        "body": pull.body or None,
        "draft": pull.draft,
        "user": user(world, pull.user),
        "url": api,
        "html_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "issue_url": issue,
        "commits_url": links["commits"],
        "comments_url": links["comments"],
        "review_comments_url": links["review_comments"],
        "review_comment_url": links["review_comment"],
        "statuses_url": links["statuses"],
        "created_at": iso(pull.created_at),
        "updated_at": iso(pull.updated_at),
        "closed_at": iso_or_none(pull.closed_at),
        "merged_at": iso_or_none(pull.merged_at),
        "merge_commit_sha": None if hidden else pull.merge_commit_sha,
        "head": _pull_side(world, pull.head_owner, pull.head_repo, pull.head_ref, pull.head_sha),
        "base": _pull_side(world, repo.owner, repo, pull.base_ref, pull.base_sha),
        "_links": {name: {"href": url} for name, url in links.items()},
        "author_association": association(repo, pull.user),
        "labels": [label(world, repo, name) for name in pull.labels],
        "milestone": None,
        "assignee": None,
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        "auto_merge": None,
        "active_lock_reason": None,
    }


def pull_full(world: World, repo: Repository, pull: Pull) -> Json:
    """`pull-request`: with mergeability and counts."""
    mergeable = None if repo.mergeable_is_pending or pull.merged_at else pull.mergeable
    base = repo.git.merge_base(pull.base_sha, pull.head_sha)
    files = repo.git.diff(base, pull.head_sha) if base else []
    return pull_simple(world, repo, pull) | {
        "merged": pull.merged_at is not None,
        "mergeable": mergeable,
        "rebaseable": mergeable,
        "mergeable_state": _mergeable_state(world, repo, pull, mergeable=mergeable),
        "merged_by": user(world, pull.merged_by) if pull.merged_by else None,
        "comments": len(pull.comments),
        "review_comments": 0,
        "maintainer_can_modify": False,
        "commits": repo.git.count(f"{base}..{pull.head_sha}") if base else 0,
        "additions": sum(one.additions for one in files),
        "deletions": sum(one.deletions for one in files),
        "changed_files": len(files),
    }


def _mergeable_state(world: World, repo: Repository, pull: Pull, *, mergeable: bool | None) -> str:
    if mergeable is None:
        return "unknown"
    if not mergeable:
        return "dirty"
    if pull.draft:
        return "draft"
    return "clean" if opinions.decision(world, repo, pull) in (None, "APPROVED") else "blocked"


def pull_minimal(world: World, repo: Repository, pull: Pull) -> Json:
    """`pull-request-minimal`, as check runs and suites carry it."""
    url = repository_url(world, repo)
    mini = {"id": repo.id, "url": url, "name": repo.name}
    return {
        "id": pull.id,
        "number": pull.number,
        "url": f"{url}/pulls/{pull.number}",
        "head": {"ref": pull.head_ref, "sha": pull.head_sha, "repo": mini},
        "base": {"ref": pull.base_ref, "sha": pull.base_sha, "repo": mini},
    }


def _open_pulls_at(world: World, repo: Repository, sha: str) -> list[Json]:
    """Those of the repository itself: GitHub leaves out what comes from forks."""
    found = [pull for pull in repo.pulls.values() if (pull.head_sha, pull.state, pull.head_repo) == (sha, "open", repo)]
    return [pull_minimal(world, repo, pull) for pull in found]


def check_run(world: World, repo: Repository, run: CheckRun) -> Json:
    """`check-run`. Actions are never in it: GitHub does not give them back."""
    url = f"{repository_url(world, repo)}/check-runs/{run.id}"
    page = f"{page_url(world, repo)}/runs/{run.id}"
    return {
        "id": run.id,
        "node_id": f"CR_{run.id}",
        "name": run.name,
        "head_sha": run.head_sha,
        "external_id": run.external_id,
        "url": url,
        "html_url": page,
        "details_url": run.details_url or page,
        "status": run.status,
        "conclusion": run.conclusion,
        "started_at": iso(run.started_at),
        "completed_at": iso_or_none(run.completed_at),
        "output": {
            "title": run.title,
            "summary": run.summary,
            "text": run.text,
            "annotations_count": len(run.annotations),
            "annotations_url": f"{url}/annotations",
        },
        "check_suite": {"id": run.suite.id},
        "app": app(world),
        "pull_requests": _open_pulls_at(world, repo, run.head_sha),
    }


def check_suite(world: World, repo: Repository, suite: CheckSuite) -> Json:
    """`check-suite`."""
    url = f"{repository_url(world, repo)}/check-suites/{suite.id}"
    return {
        "id": suite.id,
        "node_id": f"CS_{suite.id}",
        "head_branch": suite.head_branch,
        "head_sha": suite.head_sha,
        "status": suite.status,
        "conclusion": suite.conclusion,
        "url": url,
        "before": suite.before,
        "after": suite.head_sha,
        "pull_requests": _open_pulls_at(world, repo, suite.head_sha),
        "app": app(world),
        "repository": repository(world, repo),
        "created_at": iso(suite.created_at),
        "updated_at": iso(suite.updated_at),
        "rerequestable": True,
        "runs_rerequestable": True,
        "latest_check_runs_count": sum(run.suite is suite for run in repo.check_runs.values()),
        "check_runs_url": f"{url}/check-runs",
        "head_commit": shapes_git.short_commit(repo.git.commit(suite.head_sha)),
    }


def deployment(world: World, repo: Repository, one: Deployment) -> Json:
    """`deployment`."""
    url = f"{repository_url(world, repo)}/deployments/{one.id}"
    return {
        "id": one.id,
        "node_id": f"DE_{one.id}",
        "url": url,
        "sha": one.sha,
        "ref": one.ref,
        "task": one.task,
        "payload": one.payload,
        "original_environment": one.environment,
        "environment": one.environment,
        "description": one.description,
        "creator": user(world, one.creator),
        "created_at": iso(one.created_at),
        "updated_at": iso(one.updated_at),
        "statuses_url": f"{url}/statuses",
        "repository_url": repository_url(world, repo),
        "transient_environment": one.transient_environment,
        "production_environment": one.production_environment,
        "performed_via_github_app": app(world) if one.by_app else None,
    }


def deployment_status(world: World, repo: Repository, one: Deployment, status: DeploymentStatus) -> Json:
    """`deployment-status`."""
    url = f"{repository_url(world, repo)}/deployments/{one.id}"
    shape: dict[str, Any] = {
        "id": status.id,
        "node_id": f"DES_{status.id}",
        "url": f"{url}/statuses/{status.id}",
        "state": status.state,
        "creator": user(world, status.creator),
        "description": status.description,
        "environment": status.environment,
        "target_url": status.log_url,
        "log_url": status.log_url,
        "environment_url": status.environment_url,
        "created_at": iso(status.created_at),
        "updated_at": iso(status.created_at),
        "deployment_url": url,
        "repository_url": repository_url(world, repo),
        "performed_via_github_app": app(world) if status.by_app else None,
    }
    return shape
