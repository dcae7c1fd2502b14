"""GitHub's JSON for accounts, repositories, the App, its installations and tokens. Values out, nothing changed.

Shape: of every function here: the schema of the same name in GitHub's OpenAPI description (2022-11-28).
"""

from typing import Any, Final

from app.sandbox import permits
from app.sandbox.clock import iso, iso_or_none
from app.sandbox.hooks import Delivery
from app.sandbox.records import Installation, Repository, Token, User
from app.sandbox.world import MadeApp, World

Json = dict[str, Any]

_REPOSITORY_URLS: Final = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}
_USER_URLS: Final = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}


def repository_url(world: World, repo: Repository) -> str:
    """The repository's address in the API."""
    return f"{world.api_url}/repos/{repo.full_name}"


def page_url(world: World, repo: Repository) -> str:
    """The repository's page for people."""
    return f"{world.server_url}/{repo.full_name}"


def user(world: World, who: User) -> Json:
    """`simple-user`."""
    url = f"{world.api_url}/users/{who.login}"
    return {
        "login": who.login,
        "id": who.id,
        "node_id": f"U_{who.id}",
        "avatar_url": f"{world.server_url}/-/avatar/{who.id}",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{world.server_url}/{who.login}",
        "type": who.type,
        "site_admin": False,
        "user_view_type": "public",
    } | {key: url + suffix for key, suffix in _USER_URLS.items()}


def repository(world: World, repo: Repository, role: str = "read") -> Json:
    """`full-repository`, which fits wherever `repository` and `minimal-repository` are asked for."""
    api, page = repository_url(world, repo), page_url(world, repo)
    open_pulls = sum(pull.state == "open" for pull in repo.pulls.values())
    shape: Json = {
        "id": repo.id,
        "node_id": f"R_{repo.id}",
        "name": repo.name,
        "full_name": repo.full_name,
        "owner": user(world, repo.owner),
        "private": repo.private,
        "visibility": "private" if repo.private else "public",
        "html_url": page,
        "description": repo.description or None,
        "fork": repo.parent is not None,
        "url": api,
        "git_url": f"git://{page.partition('://')[2]}.git",
        "ssh_url": f"git@{page.partition('://')[2]}.git",
        "clone_url": f"{page}.git",
        "svn_url": page,
        "mirror_url": None,
        "homepage": None,
        "language": "HCL",
        "size": 1,
        "default_branch": repo.default_branch,
        "license": None,
        "topics": [],
        "permissions": permits.role_flags(role),
        "created_at": iso(repo.created_at),
        "updated_at": iso(repo.updated_at),
        "pushed_at": iso(repo.pushed_at),
        "open_issues": open_pulls,
        "open_issues_count": open_pulls,
        "custom_properties": {},
        "archived": repo.archived,
    }
    shape |= {key: api + suffix for key, suffix in _REPOSITORY_URLS.items()}
    counts = (
        "forks",
        "forks_count",
        "stargazers_count",
        "watchers",
        "watchers_count",
        "subscribers_count",
        "network_count",
    )
    shape |= dict.fromkeys(counts, 0)
    off = ("disabled", "is_template", "has_pages", "has_wiki", "has_discussions", "has_downloads")
    shape |= dict.fromkeys((*off, "web_commit_signoff_required", "allow_auto_merge", "delete_branch_on_merge"), False)
    on = (
        "has_issues",
        "has_projects",
        "allow_forking",
        "allow_rebase_merge",
        "allow_squash_merge",
        "allow_merge_commit",
    )
    return shape | dict.fromkeys(on, True)


def short_repository(repo: Repository) -> Json:
    """The five fields that installation events carry per repository."""
    return {
        "id": repo.id,
        "node_id": f"R_{repo.id}",
        "name": repo.name,
        "full_name": repo.full_name,
        "private": repo.private,
    }


def app(world: World) -> Json:
    """`integration`."""
    one = world.app
    return {
        "id": one.id,
        "client_id": one.client_id,
        "slug": one.slug,
        "node_id": f"A_{one.id}",
        "owner": user(world, one.owner),
        "name": one.name,
        "description": "",
        "external_url": "https://example.com",
        "html_url": f"{world.server_url}/apps/{one.slug}",
        "created_at": iso(one.created_at),
        "updated_at": iso(one.created_at),
        "permissions": dict(one.permissions),
        "events": list(one.events),
    }


def made_app(world: World, one: MadeApp) -> Json:
    """What an App that was made of a manifest is told once."""
    secrets = {"client_secret": one.app.client_secret, "webhook_secret": one.webhook_secret}
    return app(world) | secrets | {"pem": one.private_key_pem}


def installation(world: World, one: Installation) -> Json:
    """`installation`."""
    url = f"{world.api_url}/app/installations/{one.id}"
    return {
        "id": one.id,
        "client_id": world.app.client_id,
        "account": user(world, one.account),
        "repository_selection": "all" if one.repository_ids is None else "selected",
        "access_tokens_url": f"{url}/access_tokens",
        "repositories_url": f"{world.api_url}/installation/repositories",
        "html_url": f"{world.server_url}/settings/installations/{one.id}",
        "app_id": world.app.id,
        "app_slug": world.app.slug,
        "target_id": one.account.id,
        "target_type": one.account.type,
        "permissions": dict(one.permissions),
        "events": list(one.events),
        "created_at": iso(one.created_at),
        "updated_at": iso(one.updated_at),
        "single_file_name": None,
        "has_multiple_single_files": False,
        "single_file_paths": [],
        "suspended_by": user(world, one.account) if one.suspended_at else None,
        "suspended_at": iso_or_none(one.suspended_at),
    }


def token(world: World, one: Token) -> Json:
    """`installation-token`; `repositories` only when the token was narrowed to some."""
    selection = one.installation.repository_ids if one.repository_ids is None else one.repository_ids
    shape: Json = {
        "token": one.value,
        "expires_at": iso(one.expires_at),
        "permissions": dict(one.permissions),
        "repository_selection": "all" if selection is None else "selected",
    }
    if one.repository_ids is not None:
        shape["repositories"] = [repository(world, world.repositories[number]) for number in sorted(one.repository_ids)]
    return shape


def delivery_item(one: Delivery) -> Json:
    """`hook-delivery-item`."""
    return {
        "id": one.id,
        "guid": one.guid,
        "delivered_at": one.delivered_at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "redelivery": one.redelivery,
        "duration": one.duration_s,
        "status": one.status,
        "status_code": one.status_code,
        "event": one.event,
        "action": one.action,
        "installation_id": one.installation_id,
        "repository_id": one.repository_id,
        "throttled_at": None,
    }


def delivery(one: Delivery) -> Json:
    """`hook-delivery`: with what was sent and what came back."""
    headers = dict(one.request_headers)
    return delivery_item(one) | {
        "url": one.url,
        "request": {"headers": headers, "payload": one.payload},
        "response": {"headers": dict(one.response_headers) or None, "payload": one.response_body or None},
    }
