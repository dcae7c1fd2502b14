"""API routes of pull requests, comments and reactions.

Source: https://docs.github.com/rest/pulls, https://docs.github.com/rest/issues/comments, https://docs.github.com/rest/reactions
"""

from app.sandbox import merging, pulls, refs, shapes_git, shapes_talk, talk
from app.sandbox.api import Answer, Call, route
from app.sandbox.clock import parse_iso
from app.sandbox.errors import ApiError, not_found, unprocessable
from app.sandbox.records import CommitComment, IssueComment

TALK_READ = ("issues:read", "pull_requests:read")
TALK_WRITE = ("issues:write", "pull_requests:write")
MOST_PULL_FILES = 3000
MOST_PULL_COMMITS = 250


@route("GET", "/repos/{owner}/{repo}/pulls", "pull_requests:read")
def list_pulls(call: Call) -> Answer:
    """Pull requests, newest first, open ones unless asked otherwise."""
    query = call.request.query
    state, head, base = query.get("state", "open"), query.get("head"), query.get("base")
    found = [pull for _, pull in sorted(call.repo.pulls.items(), reverse=True) if state in ("all", pull.state)]
    found = [pull for pull in found if head in (None, f"{pull.head_owner.login}:{pull.head_ref}")]
    found = [pull for pull in found if base in (None, pull.base_ref)]
    return call.page(found, lambda pull: shapes_talk.pull_simple(call.world, call.repo, pull))


@route("POST", "/repos/{owner}/{repo}/pulls", "pull_requests:write")
def create_pull(call: Call) -> Answer:
    """Open a pull request."""
    fields = call.fields
    new = pulls.NewPull(
        str(fields.get("head", "")),
        str(fields.get("base", "")),
        fields.get("title") or "",
        fields.get("body") or "",
        bool(fields.get("draft")),
    )
    pull = pulls.open_pull(call.world, call.repo, new, call.caller.actor)
    return Answer(shapes_talk.pull_full(call.world, call.repo, pull), 201)


@route("GET", "/repos/{owner}/{repo}/pulls/{number:int}", "pull_requests:read")
def get_pull(call: Call) -> Answer:
    """One pull request."""
    return Answer(shapes_talk.pull_full(call.world, call.repo, call.pull()))


@route("GET", "/repos/{owner}/{repo}/pulls/{number:int}/files", "pull_requests:read")
def list_pull_files(call: Call) -> Answer:
    """What a pull request changes, ordered by path, at most 3,000 files."""
    git, pull = call.repo.git, call.pull()
    base = git.merge_base(pull.base_sha, pull.head_sha)
    files = git.diff(base, pull.head_sha)[:MOST_PULL_FILES] if base else []
    return call.page(files, lambda one: shapes_git.file_diff(call.world, call.repo, one, pull.head_sha))


@route("GET", "/repos/{owner}/{repo}/pulls/{number:int}/commits", "pull_requests:read")
def list_pull_commits(call: Call) -> Answer:
    """A pull request's commits, oldest first, at most 250."""
    pull = call.pull()
    found = call.repo.git.log("--reverse", f"{pull.base_sha}..{pull.head_sha}")[:MOST_PULL_COMMITS]
    return call.page(found, lambda one: shapes_git.commit(call.world, call.repo, one))


@route("GET", "/repos/{owner}/{repo}/pulls/{number:int}/reviews", "pull_requests:read")
def list_reviews(call: Call) -> Answer:
    """A pull request's reviews, oldest first."""
    pull = call.pull()
    return call.page(pull.reviews, lambda one: shapes_talk.review(call.world, call.repo, pull, one))


@route("PUT", "/repos/{owner}/{repo}/pulls/{number:int}/merge", "contents:write")
def merge_pull(call: Call) -> Answer:
    """Merge, then push."""
    fields, pull = call.fields, call.pull()
    method = fields.get("merge_method", "merge")
    if method not in merging.METHODS:
        raise unprocessable(f'"merge_method" is not one of {", ".join(merging.METHODS)}.')
    if fields.get("sha", pull.head_sha) != pull.head_sha:
        raise ApiError(409, "Head branch was modified. Review and try the merge again.")
    before, after = merging.merge(call.world, call.repo, pull, method, call.caller.actor)
    change = refs.RefChange(refs.HEADS + pull.base_ref, before, after)
    refs.announce(call.world, call.repo, [change], call.caller.actor)
    return Answer({"sha": after, "merged": True, "message": "Pull Request successfully merged"})


@route("GET", "/repos/{owner}/{repo}/issues/{number:int}/comments", *TALK_READ)
def list_comments(call: Call) -> Answer:
    """A conversation, oldest first."""
    return call.page(call.pull().comments, lambda one: shapes_talk.issue_comment(call.world, call.repo, one))


@route("GET", "/repos/{owner}/{repo}/issues/comments", *TALK_READ)
def list_all_comments(call: Call) -> Answer:
    """All conversations of the repository, by id unless asked otherwise; `since` is about the last change."""
    query = call.request.query
    found = [one for pull in call.repo.pulls.values() for one in pull.comments]
    if "since" in query:
        try:
            since = parse_iso(query["since"])
        except ValueError as error:
            raise unprocessable('"since" is not a timestamp.') from error
        found = [one for one in found if one.updated_at >= since]
    key = {"created": lambda one: (one.created_at, one.id), "updated": lambda one: (one.updated_at, one.id)}
    found.sort(key=key.get(query.get("sort", ""), lambda one: one.id))
    if "sort" in query and query.get("direction", "desc") != "asc":  # GitHub: ignored without sort
        found.reverse()
    return call.page(found, lambda one: shapes_talk.issue_comment(call.world, call.repo, one))


@route("POST", "/repos/{owner}/{repo}/issues/{number:int}/comments", *TALK_WRITE)
def create_comment(call: Call) -> Answer:
    """A new comment."""
    comment = talk.comment_on_pull(call.world, call.repo, call.pull(), call.fields.get("body"), call.caller.actor)
    return Answer(shapes_talk.issue_comment(call.world, call.repo, comment), 201)


def _comment(call: Call) -> IssueComment:
    return talk.find_comment(call.repo, call.params["id"])


def _own_comment(call: Call) -> IssueComment:
    comment = _comment(call)
    role_allows = call.caller.kind == "user" and call.world.role(call.repo, call.caller.actor.login) in {
        "write",
        "maintain",
        "admin",
    }
    if comment.user is not call.caller.actor and not role_allows and call.caller.kind == "user":
        raise ApiError(403, "Must have write access to Repository.")
    return comment


@route("GET", "/repos/{owner}/{repo}/issues/comments/{id:int}", *TALK_READ)
def get_comment(call: Call) -> Answer:
    """One comment."""
    return Answer(shapes_talk.issue_comment(call.world, call.repo, _comment(call)))


@route("PATCH", "/repos/{owner}/{repo}/issues/comments/{id:int}", *TALK_WRITE)
def update_comment(call: Call) -> Answer:
    """Another text for a comment."""
    comment = talk.edit_comment(call.world, call.repo, _own_comment(call), call.fields.get("body"), call.caller.actor)
    return Answer(shapes_talk.issue_comment(call.world, call.repo, comment))


@route("DELETE", "/repos/{owner}/{repo}/issues/comments/{id:int}", *TALK_WRITE)
def delete_comment(call: Call) -> Answer:
    """Take a comment away."""
    talk.delete_comment(call.world, call.repo, _own_comment(call), call.caller.actor)
    return Answer(None, 204)


def _list_reactions(call: Call, comment: IssueComment | CommitComment) -> Answer:
    wanted = call.request.query.get("content")
    found = [one for one in comment.reactions if wanted in (None, one.content)]
    return call.page(found, lambda one: shapes_talk.reaction(call.world, one))


def _create_reaction(call: Call, comment: IssueComment | CommitComment) -> Answer:
    made, is_new = talk.react(call.world, comment, call.fields.get("content"), call.caller.actor)
    return Answer(shapes_talk.reaction(call.world, made), 201 if is_new else 200)


def _delete_reaction(call: Call, comment: IssueComment | CommitComment) -> Answer:
    found = next((one for one in comment.reactions if one.id == call.params["reaction"]), None)
    if found is None or found.user is not call.caller.actor:
        raise not_found()
    comment.reactions.remove(found)
    return Answer(None, 204)


@route("GET", "/repos/{owner}/{repo}/issues/comments/{id:int}/reactions", *TALK_READ)
def list_reactions(call: Call) -> Answer:
    """Reactions to a comment, oldest first."""
    return _list_reactions(call, _comment(call))


@route("POST", "/repos/{owner}/{repo}/issues/comments/{id:int}/reactions", *TALK_WRITE)
def create_reaction(call: Call) -> Answer:
    """React to a comment; 200 when the account has done so before."""
    return _create_reaction(call, _comment(call))


@route("DELETE", "/repos/{owner}/{repo}/issues/comments/{id:int}/reactions/{reaction:int}", *TALK_WRITE)
def delete_reaction(call: Call) -> Answer:
    """Take a reaction back."""
    return _delete_reaction(call, _comment(call))


def _commit_comment(call: Call) -> CommitComment:
    return talk.find_commit_comment(call.repo, call.params["id"])


@route("GET", "/repos/{owner}/{repo}/comments", "contents:read")
def list_all_commit_comments(call: Call) -> Answer:
    """Every comment on a commit of the repository, oldest first."""
    return call.page(call.repo.commit_comments, lambda one: shapes_talk.commit_comment(call.world, call.repo, one))


@route("POST", "/repos/{owner}/{repo}/commits/{sha}/comments", "contents:read")
def create_commit_comment(call: Call) -> Answer:
    """Comment on a commit; reading contents is enough."""
    comment = talk.comment_on_commit(call.world, call.repo, call.params["sha"], call.fields, call.caller.actor)
    return Answer(shapes_talk.commit_comment(call.world, call.repo, comment), 201)


@route("GET", "/repos/{owner}/{repo}/comments/{id:int}", "contents:read")
def get_commit_comment(call: Call) -> Answer:
    """One comment on a commit."""
    return Answer(shapes_talk.commit_comment(call.world, call.repo, _commit_comment(call)))


@route("GET", "/repos/{owner}/{repo}/comments/{id:int}/reactions", "contents:read")
def list_commit_comment_reactions(call: Call) -> Answer:
    """Reactions to a comment on a commit."""
    return _list_reactions(call, _commit_comment(call))


@route("POST", "/repos/{owner}/{repo}/comments/{id:int}/reactions", "contents:write")
def create_commit_comment_reaction(call: Call) -> Answer:
    """React to a comment on a commit: takes contents: write, which Trackside never has."""
    return _create_reaction(call, _commit_comment(call))
