"""What the App hears: GitHub's webhook payloads, and whether an installation gets them at all.

Shape: the schemas `webhook-…` of GitHub's OpenAPI description; keys that GitHub documents are always there.
Source: https://docs.github.com/webhooks/webhook-events-and-payloads
"""

from typing import Any

from app.sandbox import permits, shapes, shapes_git, shapes_talk
from app.sandbox.bare import Commit
from app.sandbox.clock import iso, iso_or_none
from app.sandbox.records import (
    CheckRun,
    CheckSuite,
    CommitComment,
    Installation,
    IssueComment,
    Pull,
    QueuedGroup,
    Repository,
    Review,
    User,
)
from app.sandbox.world import World

Json = dict[str, Any]


def _hears(world: World, installation: Installation | None, event: str) -> bool:
    if installation is None or installation.suspended_at is not None:
        return False
    if event in permits.UNASKED_EVENTS:
        return True
    allowed = any(
        permits.reaches(installation.permissions.get(name), "read") for name in permits.EVENTS_NEED.get(event, ())
    )
    return allowed and event in installation.events and event in world.app.events


def emit(world: World, repo: Repository, event: str, sender: User, payload: Json) -> None:
    """Send an event of a repository to the App, if its installation there hears such events."""
    installation = world.installation_of(repo)
    if installation is None or not _hears(world, installation, event):
        return
    common: Json = {"repository": shapes.repository(world, repo), "sender": shapes.user(world, sender)}
    if repo.owner.type == "Organization":
        common["organization"] = organization(world, repo.owner)
    common["installation"] = {"id": installation.id, "node_id": f"IN_{installation.id}"}
    world.post.send(event, common | payload)


def organization(world: World, who: User) -> Json:
    """`organization-simple-webhooks`."""
    url = f"{world.api_url}/orgs/{who.login}"
    return {
        "login": who.login,
        "id": who.id,
        "node_id": f"O_{who.id}",
        "url": url,
        "repos_url": f"{url}/repos",
        "events_url": f"{url}/events",
        "hooks_url": f"{url}/hooks",
        "issues_url": f"{url}/issues",
        "members_url": f"{url}/members{{/member}}",
        "public_members_url": f"{url}/public_members{{/member}}",
        "avatar_url": f"{world.server_url}/-/avatar/{who.id}",
        "description": "",
    }


def installation_event(
    world: World, one: Installation, action: str, repositories: list[Repository], *, event: str = "installation"
) -> None:
    """Send `installation` or `installation_repositories`; an account always hears of its own installations."""
    short = [shapes.short_repository(repo) for repo in repositories]
    payload: Json = {"action": action, "installation": shapes.installation(world, one), "requester": None}
    if event == "installation":
        payload["repositories"] = short
    else:
        payload["repository_selection"] = "all" if one.repository_ids is None else "selected"
        payload["repositories_added"] = short if action == "added" else []
        payload["repositories_removed"] = short if action == "removed" else []
    world.post.send(event, payload | {"sender": shapes.user(world, one.account)})


def ping(world: World) -> None:
    """Send the event that GitHub sends when a webhook is set up."""
    hook = {
        "type": "App",
        "id": world.app.hook_id,
        "name": "web",
        "active": True,
        "events": list(world.app.events),
        "config": {"content_type": "json", "insecure_ssl": "0", "secret": "********", "url": world.post.url},
        "updated_at": iso(world.now()),
        "created_at": iso(world.now()),
        "app_id": world.app.id,
        "deliveries_url": f"{world.api_url}/app/hook/deliveries",
    }
    world.post.send("ping", {"zen": "Keep it logically awesome.", "hook_id": world.app.hook_id, "hook": hook})


def pushed_commit(world: World, repo: Repository, one: Commit, *, distinct: bool) -> Json:
    """A commit as `push` carries it, with the paths that it touched."""
    return {
        "id": one.sha,
        "tree_id": one.tree,
        "distinct": distinct,
        "message": one.message,
        "timestamp": iso(one.committer.at),
        "url": f"{shapes.page_url(world, repo)}/commit/{one.sha}",
        "author": _pushed_person(world, one.author.name, one.author.email),
        "committer": _pushed_person(world, one.committer.name, one.committer.email),
        "added": list(one.added),
        "removed": list(one.removed),
        "modified": list(one.modified),
    }


def _pushed_person(world: World, name: str, email: str) -> Json:
    found = world.user_by_email(email)
    return {"name": name, "email": email} | ({"username": found.login} if found else {})


def push_repository(world: World, repo: Repository) -> Json:
    """The repository as `push` carries it: times as numbers, the owner with name and email."""
    shape = shapes.repository(world, repo)
    shape["owner"] |= {"name": repo.owner.login, "email": repo.owner.email}
    return shape | {
        "url": shapes.page_url(world, repo),
        "created_at": int(repo.created_at.timestamp()),
        "pushed_at": int(repo.pushed_at.timestamp()),
        "stargazers": 0,
        "master_branch": repo.default_branch,
    }


def pull_request(world: World, repo: Repository, pull: Pull, action: str, sender: User, **extra: Any) -> None:
    """Send `pull_request` with an action and what belongs to it."""
    shape = shapes_talk.pull_full(world, repo, pull)
    payload: Json = {"action": action, "number": pull.number, "pull_request": shape}
    emit(world, repo, "pull_request", sender, payload | extra)


def review(world: World, repo: Repository, pull: Pull, one: Review, action: str, sender: User, **extra: Any) -> None:
    """Send `pull_request_review`, in which the state is in lower case and the pull request in its short form."""
    shape = shapes_talk.review(world, repo, pull, one)
    payload: Json = {
        "action": action,
        "review": shape | {"state": one.state.lower(), "updated_at": iso(world.now())},
        "pull_request": shapes_talk.pull_simple(world, repo, pull),
    }
    emit(world, repo, "pull_request_review", sender, payload | extra)


def merge_group(world: World, repo: Repository, group: QueuedGroup, action: str, sender: User, **extra: Any) -> None:
    """Send `merge_group`."""
    shape: Json = {
        "head_sha": group.head_sha,
        "head_ref": group.head_ref,
        "base_sha": group.base_sha,
        "base_ref": group.base_ref,
        "head_commit": shapes_git.short_commit(repo.git.commit(group.head_sha)),
    }
    emit(world, repo, "merge_group", sender, {"action": action, "merge_group": shape} | extra)


def issue(world: World, repo: Repository, pull: Pull) -> Json:
    """A pull request as an issue, which is what `issue_comment` carries."""
    whole = shapes_talk.pull_simple(world, repo, pull)
    api, page = shapes.repository_url(world, repo), whole["html_url"]
    url = f"{api}/issues/{pull.number}"
    same = (
        "id",
        "node_id",
        "number",
        "title",
        "user",
        "labels",
        "state",
        "locked",
        "assignee",
        "assignees",
        "milestone",
    )
    times = ("created_at", "updated_at", "closed_at", "author_association", "active_lock_reason", "body", "draft")
    return {key: whole[key] for key in (*same, *times)} | {
        "url": url,
        "repository_url": api,
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "timeline_url": f"{url}/timeline",
        "html_url": page,
        "comments": len(pull.comments),
        "performed_via_github_app": None,
        "state_reason": None,
        "reactions": shapes_talk.rollup(url, ()),
        "pull_request": {
            "url": whole["url"],
            "html_url": page,
            "diff_url": whole["diff_url"],
            "patch_url": whole["patch_url"],
            "merged_at": iso_or_none(pull.merged_at),
        },
    }


def issue_comment(
    world: World, repo: Repository, comment: IssueComment, action: str, sender: User, **extra: Any
) -> None:
    """Send `issue_comment`."""
    payload: Json = {
        "action": action,
        "issue": issue(world, repo, repo.pulls[comment.number]),
        "comment": shapes_talk.issue_comment(world, repo, comment),
    }
    emit(world, repo, "issue_comment", sender, payload | extra)


def commit_comment(world: World, repo: Repository, comment: CommitComment, sender: User) -> None:
    """Send `commit_comment`, which knows the action `created` alone."""
    payload = {"action": "created", "comment": shapes_talk.commit_comment(world, repo, comment)}
    emit(world, repo, "commit_comment", sender, payload)


def check_run(world: World, repo: Repository, run: CheckRun, action: str, sender: User, **extra: Any) -> None:
    """Send `check_run`; the check run is as it is now, not as anybody saw it."""
    shape = shapes_talk.check_run(world, repo, run)
    suite = shapes_talk.check_suite(world, repo, run.suite)
    left_out = ("repository", "head_commit", "latest_check_runs_count", "check_runs_url")
    shape["check_suite"] = {key: value for key, value in suite.items() if key not in left_out}
    emit(world, repo, "check_run", sender, {"action": action, "check_run": shape} | extra)


def check_suite(world: World, repo: Repository, suite: CheckSuite, action: str, sender: User) -> None:
    """Send `check_suite`."""
    shape = shapes_talk.check_suite(world, repo, suite)
    del shape["repository"]
    emit(world, repo, "check_suite", sender, {"action": action, "check_suite": shape})


def push(world: World, repo: Repository, sender: User, payload: Json) -> None:
    """Send `push`; the payload brings ref, SHAs and commits."""
    pusher = {"name": sender.login, "email": sender.email}
    emit(world, repo, "push", sender, {"repository": push_repository(world, repo), "pusher": pusher} | payload)


def compare_url(world: World, repo: Repository, before: str, after: str) -> str:
    """The page that `push` links to."""
    return f"{shapes.page_url(world, repo)}/compare/{before[:12]}...{after[:12]}"
