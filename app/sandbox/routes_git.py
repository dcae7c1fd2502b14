"""API routes that read a repository: itself, branches, refs, commits, comparisons, contents, permissions of people.

Source: https://docs.github.com/rest/repos, https://docs.github.com/rest/git, https://docs.github.com/rest/commits
"""

from app.core.names import is_sha
from app.sandbox import permits, shapes, shapes_git, shapes_talk
from app.sandbox.api import Answer, Call, route
from app.sandbox.bare import EMPTY_TREE
from app.sandbox.errors import ApiError, not_found
from app.sandbox.world import has_commit

MOST_COMPARED_FILES = 300
MOST_COMPARED_COMMITS = 250


@route("GET", "/repos/{owner}/{repo}", "metadata:read")
@route("GET", "/repositories/{repository_id:int}", "metadata:read")
def get_repository(call: Call) -> Answer:
    """The repository, by its name or by its number."""
    role = (
        call.world.role(call.repo, call.caller.user.login)
        if call.caller.kind == "user" and call.caller.user
        else "read"
    )
    return Answer(shapes.repository(call.world, call.repo, role))


@route("GET", "/repos/{owner}/{repo}/branches", "contents:read")
def list_branches(call: Call) -> Answer:
    """Branches, ordered by name."""
    heads = call.repo.git.refs("refs/heads/")
    items = [(ref.removeprefix("refs/heads/"), sha) for ref, sha in heads.items()]
    return call.page(items, lambda item: shapes_git.short_branch(call.world, call.repo, *item))


@route("GET", "/repos/{owner}/{repo}/branches/{branch:path}", "contents:read")
def get_branch(call: Call) -> Answer:
    """One branch with its tip."""
    name = call.params["branch"]
    sha = call.repo.git.find_ref(f"refs/heads/{name}")
    if sha is None:
        raise ApiError(404, "Branch not found")
    return Answer(shapes_git.branch(call.world, call.repo, name, call.repo.git.commit(sha)))


def _kind(call: Call, sha: str) -> str:
    return "commit" if call.repo.git.find(sha) == sha else "tag"


@route("GET", "/repos/{owner}/{repo}/git/ref/{ref:path}", "contents:read")
def get_ref(call: Call) -> Answer:
    """One ref, named without `refs/`; only the whole name matches."""
    ref = f"refs/{call.params['ref']}"
    sha = call.repo.git.refs(ref).get(ref)
    if sha is None:
        raise not_found()
    return Answer(shapes_git.git_ref(call.world, call.repo, ref, sha, _kind(call, sha)))


@route("GET", "/repos/{owner}/{repo}/git/matching-refs/{ref:path}", "contents:read")
def list_matching_refs(call: Call) -> Answer:
    """Refs that begin with a text, ordered by name."""
    start = f"refs/{call.params['ref']}"
    found = [
        item for item in call.repo.git.refs().items() if item[0].startswith(start) and "refs/sandbox/" not in item[0]
    ]
    return Answer([shapes_git.git_ref(call.world, call.repo, ref, sha, _kind(call, sha)) for ref, sha in found])


@route("GET", "/repos/{owner}/{repo}/git/commits/{sha}", "contents:read")
def get_git_commit(call: Call) -> Answer:
    """One commit as git has it, by its SHA alone."""
    sha = call.params["sha"]
    if not is_sha(sha) or call.repo.git.find(sha) != sha:
        raise not_found()
    return Answer(shapes_git.git_commit(call.world, call.repo, call.repo.git.commit(sha)))


@route("GET", "/repos/{owner}/{repo}/git/tags/{sha}", "contents:read")
def get_git_tag(call: Call) -> Answer:
    """One annotated tag, by the SHA of its object."""
    found = call.repo.git.tag(call.params["sha"]) if is_sha(call.params["sha"]) else None
    if found is None:
        raise not_found()
    return Answer(shapes_git.git_tag(call.world, call.repo, found))


@route("GET", "/repos/{owner}/{repo}/commits", "contents:read")
def list_commits(call: Call) -> Answer:
    """The history of a revision, newest first, of a path if one is named."""
    query = call.request.query
    try:
        start = call.sha(query.get("sha") or call.repo.default_branch)
    except ApiError as error:
        raise ApiError(404, "Not Found") if query.get("sha") else ApiError(409, "Git Repository is empty.") from error
    path = ["--", query["path"]] if query.get("path") else []
    found = call.repo.git.log("-1000", start, *path)
    return call.page(found, lambda one: shapes_git.commit(call.world, call.repo, one))


@route("GET", "/repos/{owner}/{repo}/commits/{sha}/pulls", "pull_requests:read")
def list_commit_pulls(call: Call) -> Answer:
    """The merged pull request that brought a commit of the default branch, else every one that holds it."""
    repo, sha = call.repo, call.sha(call.params["sha"])
    tip = repo.git.find_ref(f"refs/heads/{repo.default_branch}")
    on_default = tip is not None and repo.git.is_ancestor(sha, tip)
    found = [pull for pull in repo.pulls.values() if sha in pull.landed or has_commit(repo, pull, sha)]
    if on_default:
        found = [pull for pull in found if pull.merged_at is not None]
    return call.page(found, lambda pull: shapes_talk.pull_simple(call.world, repo, pull))


@route("GET", "/repos/{owner}/{repo}/commits/{sha}/comments", "contents:read")
def list_commit_comments(call: Call) -> Answer:
    """The comments on a commit, oldest first."""
    sha = call.sha(call.params["sha"])
    found = [comment for comment in call.repo.commit_comments if comment.commit_id == sha]
    return call.page(found, lambda one: shapes_talk.commit_comment(call.world, call.repo, one))


@route("GET", "/repos/{owner}/{repo}/compare/{basehead:path}", "contents:read")
def compare(call: Call) -> Answer:
    """Two commits compared from their merge base, with at most 300 files. Asked for a page, it lists commits by pages,
    and files on the first alone."""
    world, repo, git = call.world, call.repo, call.repo.git
    left, dots, right = call.params["basehead"].partition("...")
    try:
        base, head = call.sha(left), call.sha(right)
    except ApiError as error:
        raise not_found() from error
    middle = git.merge_base(base, head)
    if not dots or middle is None:
        raise ApiError(404, f"No common ancestor between {left} and {right}.")
    commits = git.log("--reverse", f"{base}..{head}")
    behind = git.count(f"{head}..{base}")
    status = ("diverged" if behind else "ahead") if commits else ("behind" if behind else "identical")
    page = f"{shapes.page_url(world, repo)}/compare/{left}...{right}"
    files = git.diff(middle, head)[:MOST_COMPARED_FILES]
    listed = commits[:MOST_COMPARED_COMMITS]
    if {"page", "per_page"} & call.request.query.keys():
        size, at = max(1, min(100, call.number("per_page", 30))), max(1, call.number("page", 1))
        listed, files = commits[(at - 1) * size : at * size], files if at == 1 else []
    body = {
        "url": f"{shapes.repository_url(world, repo)}/compare/{left}...{right}",
        "html_url": page,
        "permalink_url": f"{shapes.page_url(world, repo)}/compare/{base[:7]}...{head[:7]}",
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "base_commit": shapes_git.commit(world, repo, git.commit(base)),
        "merge_base_commit": shapes_git.commit(world, repo, git.commit(middle)),
        "status": status,
        "ahead_by": len(commits),
        "behind_by": behind,
        "total_commits": len(commits),
        "commits": [shapes_git.commit(world, repo, one) for one in listed],
        "files": [shapes_git.file_diff(world, repo, one, head) for one in files],
    }
    return Answer(body)


@route("GET", "/repos/{owner}/{repo}/contents", "contents:read")
@route("GET", "/repos/{owner}/{repo}/contents/", "contents:read")
@route("GET", "/repos/{owner}/{repo}/contents/{path:path}", "contents:read")
def get_contents(call: Call) -> Answer:
    """A file with its content, or what a directory holds; raw bytes are not offered."""
    repo, path = call.repo, call.params.get("path", "").strip("/")
    ref = call.request.query.get("ref") or repo.default_branch
    try:
        sha = call.sha(ref.removeprefix("refs/"))
    except ApiError as error:
        raise ApiError(404, f"No commit found for the ref {ref}") from error
    parent, _, name = path.rpartition("/")
    if path:
        entry = next((one for one in repo.git.entries(sha, parent) if one.path == path), None)
        if entry is None or not name:
            raise not_found()
        if entry.type != "tree":
            return Answer(shapes_git.content_file(call.world, repo, entry, ref))
    return Answer([shapes_git.content(call.world, repo, one, ref) for one in repo.git.entries(sha, path)])


@route("GET", "/repos/{owner}/{repo}/collaborators/{login}/permission", "metadata:read")
def get_permission(call: Call) -> Answer:
    """What a person may do: `permission` in four words, `role_name` in five roles."""
    who = call.world.users.get(call.params["login"].lower())
    if who is None:
        raise ApiError(404, f"{call.params['login']} is not a user")
    role = call.world.role(call.repo, who.login)
    name = call.repo.custom_roles.get(who.login.lower(), role)
    person = shapes.user(call.world, who) | {"permissions": permits.role_flags(role), "role_name": name}
    return Answer({"permission": permits.FOLDED[role], "role_name": name, "user": person})


@route("GET", "/repos/{owner}/{repo}/commits/{sha:path}", "contents:read")
def get_commit(call: Call) -> Answer:
    """One commit with its files; registered last, since its revision may hold slashes."""
    repo, sha = call.repo, call.sha(call.params["sha"])
    one = repo.git.commit(sha)
    files = repo.git.diff(one.parents[0] if one.parents else EMPTY_TREE, sha)
    size = max(1, min(300, call.number("per_page", 300)))
    shape = shapes_git.commit(call.world, repo, one) | {
        "stats": shapes_git.stats(files),
        "files": [shapes_git.file_diff(call.world, repo, item, sha) for item in files[:size]],
    }
    return Answer(shape)
