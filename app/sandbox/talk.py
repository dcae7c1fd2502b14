"""What people and the App say: comments on pull requests and commits, and reactions to them.

Callers hold the mutex.
"""

import re
from typing import Any, Final

from app.sandbox import events
from app.sandbox.errors import ApiError, SandboxError, invalid, not_found, unprocessable
from app.sandbox.records import CommitComment, IssueComment, Pull, Reaction, Repository, User
from app.sandbox.shapes_talk import REACTIONS
from app.sandbox.world import World

LONGEST_BODY: Final = 65_536
_BOX: Final = re.compile(r"\s*[-*+] \[([ xX])\](?= )")


def checked_body(body: Any, resource: str) -> str:
    """The text of a comment. Raises: ApiError 422 when it is missing, blank or too long."""
    if body is None:
        raise invalid(resource, "body", "missing_field")
    if not isinstance(body, str):
        raise unprocessable('"body" is not a string.')
    if not body.strip():
        raise ApiError(422, "Validation Failed", errors=[_custom(resource, "Body can't be blank")])
    if len(body) > LONGEST_BODY:
        text = f"Body is too long (maximum is {LONGEST_BODY} characters)"
        raise ApiError(422, "Validation Failed", errors=[_custom(resource, text)])
    return body


def _custom(resource: str, message: str) -> dict[str, str]:
    return {"resource": resource, "code": "unprocessable", "field": "data", "message": message}


def comment_on_pull(world: World, repo: Repository, pull: Pull, body: Any, by: User) -> IssueComment:
    """Add to a pull request's conversation."""
    now = world.now()
    text = checked_body(body, "IssueComment")
    comment = IssueComment(world.next_id(), pull.number, by, text, now, now, by_app=by is world.app.bot)
    pull.comments.append(comment)
    pull.updated_at = now
    events.issue_comment(world, repo, comment, "created", by)
    return comment


def edit_comment(world: World, repo: Repository, comment: IssueComment, body: Any, by: User) -> IssueComment:
    """Give a comment another text; the event carries the old one."""
    old, comment.body = comment.body, checked_body(body, "IssueComment")
    comment.updated_at = world.now()
    events.issue_comment(world, repo, comment, "edited", by, changes={"body": {"from": old}})
    return comment


def turn_box(body: str, label: str) -> str:
    """The body with the box turned whose text holds the label. A task list's click sends the whole text, with the line
    ends of a form. Raises: SandboxError when there is no such box, or more than one."""
    lines = body.replace("\r\n", "\n").split("\n")
    found = [at for at, line in enumerate(lines) if _BOX.match(line) and label in line]
    if len(found) != 1:
        raise SandboxError(f"clicking a box: {len(found)} boxes hold {label!r}")
    line = lines[found[0]]
    mark = " " if _BOX.match(line)[1] != " " else "x"  # type: ignore[index]  # it matched a moment ago
    lines[found[0]] = _BOX.sub(lambda match: f"{match[0][:-3]}[{mark}]", line, count=1)
    return "\r\n".join(lines)


def delete_comment(world: World, repo: Repository, comment: IssueComment, by: User) -> None:
    """Take a comment away."""
    repo.pulls[comment.number].comments.remove(comment)
    events.issue_comment(world, repo, comment, "deleted", by)


def find_comment(repo: Repository, number: int) -> IssueComment:
    """The comment of a conversation with that id. Raises: ApiError 404."""
    for pull in repo.pulls.values():
        for comment in pull.comments:
            if comment.id == number:
                return comment
    raise not_found()


def comment_on_commit(world: World, repo: Repository, sha: str, fields: dict[str, Any], by: User) -> CommitComment:
    """Comment on a commit; `fields` may name path, position and line. Raises: ApiError 422 for an unknown commit."""
    if repo.git.find(sha) != sha:
        raise ApiError(422, f"No commit found for SHA: {sha}")
    now = world.now()
    text = checked_body(fields.get("body"), "CommitComment")
    comment = CommitComment(world.next_id(), sha, by, text, now, now)
    comment.path, comment.position, comment.line = (fields.get(name) for name in ("path", "position", "line"))
    repo.commit_comments.append(comment)
    events.commit_comment(world, repo, comment, by)
    return comment


def find_commit_comment(repo: Repository, number: int) -> CommitComment:
    """The comment on a commit with that id. Raises: ApiError 404."""
    found = next((comment for comment in repo.commit_comments if comment.id == number), None)
    if found is None:
        raise not_found()
    return found


def react(world: World, comment: IssueComment | CommitComment, content: Any, by: User) -> tuple[Reaction, bool]:
    """The account's reaction, and whether it is new. Raises: ApiError 422 for an emoji that GitHub does not have."""
    if content not in REACTIONS:
        raise unprocessable(f'"content" is not one of {", ".join(REACTIONS)}: {content!r}.')
    for known in comment.reactions:
        if known.user is by and known.content == content:
            return known, False
    reaction = Reaction(world.next_id(), by, content, world.now())
    comment.reactions.append(reaction)
    return reaction, True
