"""What people and the App say: comments on pull requests and commits, and reactions to them.

Callers hold the mutex.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from app.sandbox import events
from app.sandbox.errors import ApiError, invalid, not_found, unprocessable
from app.sandbox.records import CommitComment, IssueComment, Pull, Reaction, Repository, User
from app.sandbox.shapes_talk import REACTIONS
from app.sandbox.world import World

LONGEST_BODY: Final = 65_536
_BOX: Final = re.compile(r"\s*[-*+] \[([ xX])\](?= )")
_FENCE: Final = re.compile(r"`{3,}|~{3,}")


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


@dataclass(frozen=True, slots=True)
class Box:
    """A box of a task list."""

    line: int
    """The line of the text that it stands in, from 0."""
    label: str
    is_ticked: bool
    heading: str = ""
    """Of the part of the text that it stands in, without its marks."""

    @property
    def plain(self) -> str:
        """The label without the marks of Markdown, for a button."""
        return self.label.replace("**", "").replace("`", "")


def boxes(body: str) -> list[Box]:
    """The boxes of a text, in its order; those in a fenced block are none."""
    found: list[Box] = []
    fence = heading = ""
    for at, line in enumerate(body.replace("\r\n", "\n").split("\n")):
        if fence:
            is_end = line.startswith(fence) and not line.strip(f"{fence[0]} ")
            fence = "" if is_end else fence
        elif opening := _FENCE.match(line):
            fence = opening[0]
        elif line.startswith("#"):
            heading = line.lstrip("#").replace("`", "").strip()
        elif match := _BOX.match(line):
            found.append(Box(at, line[match.end() :].strip(), match[1] != " ", heading))
    return found


def turn_box(body: str, box: Box) -> str:
    """The body with that box turned. A click on a task list sends the whole text, with the line ends of a form."""
    lines = body.replace("\r\n", "\n").split("\n")
    at = lines[box.line].index("[") + 1
    lines[box.line] = f"{lines[box.line][:at]}{' ' if box.is_ticked else 'x'}{lines[box.line][at + 1 :]}"
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
