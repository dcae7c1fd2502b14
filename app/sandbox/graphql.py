"""A little GraphQL: queries are read in full, but only of the fields that this module knows; any other is a 501.

Reads alone, no mutations. Source: https://docs.github.com/graphql/reference
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from app.sandbox import access, opinions, permits
from app.sandbox.access import Caller
from app.sandbox.errors import ApiError
from app.sandbox.records import Pull, Repository, Review
from app.sandbox.world import World

Json = dict[str, Any]
_TOKEN: Final = re.compile(r'\.\.\.|[A-Za-z_]\w*|\$[A-Za-z_]\w*|"[^"\\]*"|-?\d+|[{}()\[\]:!=]')
_WORDS: Final = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Selection:
    """One field of a query, or the fields for one type of object (`... on Commit`)."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    children: tuple["Selection", ...] = ()
    is_fragment: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """An object of the schema: its type, and how each of its fields is had from the arguments."""

    type: str
    fields: Mapping[str, Callable[[Mapping[str, Any]], Any]]


class _Reader:
    """A query's tokens, read from left to right."""

    def __init__(self, query: str, variables: Mapping[str, Any]) -> None:
        self._tokens = _TOKEN.findall(query)
        self._at = 0
        self._variables = variables

    def read(self) -> tuple[Selection, ...]:
        """The selections of the one query."""
        if self._peek() not in ("query", "{"):
            raise ApiError(501, f"The sandbox reads queries alone, no {self._peek() or 'empty text'}")
        while self._peek() != "{":
            self._next()
        return self._selections()

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        if not token:
            raise ApiError(400, "Problems parsing the query: it ends too early")
        self._at += 1
        return token

    def _selections(self) -> tuple[Selection, ...]:
        found = []
        self._next()
        while self._peek() != "}":
            found.append(self._selection())
        self._next()
        return tuple(found)

    def _selection(self) -> Selection:
        name = self._next()
        if name == "...":
            self._next()  # on
            return Selection(self._next(), {}, self._selections(), is_fragment=True)
        arguments = self._arguments() if self._peek() == "(" else {}
        children = self._selections() if self._peek() == "{" else ()
        return Selection(name, arguments, children)

    def _arguments(self) -> dict[str, Any]:
        found = {}
        self._next()
        while self._peek() != ")":
            name = self._next()
            self._next()  # :
            found[name] = self._value(self._next())
        self._next()
        return found

    def _value(self, token: str) -> Any:
        if token.startswith("$"):
            return self._variables.get(token[1:])
        if token.startswith('"'):
            return token[1:-1]
        return _WORDS[token] if token in _WORDS else int(token) if token.lstrip("-").isdigit() else token


@dataclass(slots=True)
class Answering:
    """One query under way: who asks, and the errors so far."""

    world: World
    caller: Caller
    errors: list[Json] = field(default_factory=list)

    def answer(self, query: str, variables: Mapping[str, Any]) -> Json:
        """The whole answer. Raises: ApiError 501 for a field or argument that the sandbox does not know."""
        root = Node("Query", {"repository": self._repository})
        data = self._select(root, _Reader(query, variables).read())
        return {"data": data} | ({"errors": self.errors} if self.errors else {})

    def _select(self, node: Node, selections: tuple[Selection, ...]) -> Json:
        found: Json = {}
        for one in selections:
            if one.is_fragment:
                found |= self._select(node, one.children) if one.name == node.type else {}
            elif one.name == "__typename":
                found[one.name] = node.type
            elif one.name not in node.fields:
                raise ApiError(501, f"The sandbox knows no field {one.name!r} of {node.type}")
            else:
                found[one.name] = self._plain(node.fields[one.name](one.arguments), one.children)
        return found

    def _plain(self, value: Any, children: tuple[Selection, ...]) -> Any:
        if isinstance(value, Node):
            return self._select(value, children)
        return [self._plain(item, children) for item in value] if isinstance(value, list) else value

    def _fail(self, kind: str, path: list[str], message: str) -> None:
        self.errors.append({"type": kind, "path": path, "message": message})

    def _repository(self, arguments: Mapping[str, Any]) -> Node | None:
        owner, name = str(arguments.get("owner")), str(arguments.get("name"))
        repo = self.world.find_repository(owner, name)
        if repo is None or not access.may_see(self.world, self.caller, repo):
            text = f"Could not resolve to a Repository with the name '{owner}/{name}'."
            self._fail("NOT_FOUND", ["repository"], text)
            return None
        return Node(
            "Repository",
            {
                "owner": lambda _: self._owner(repo),
                "object": lambda given: self._object(repo, given),
                "pullRequest": lambda given: self._pull(repo, given),
            },
        )

    def _owner(self, repo: Repository) -> Node:
        if repo.owner.type != "Organization" and not any(
            org == repo.owner.login.lower() for org, _ in self.world.teams
        ):
            return Node("User", {})
        return Node("Organization", {"teams": lambda given: self._teams(repo, given)})

    def _teams(self, repo: Repository, arguments: Mapping[str, Any]) -> Node | None:
        """Those of the organisation in which one of `userLogins` is active."""
        token = self.caller.token
        if token is None or not permits.reaches(token.permissions.get("members"), "read"):
            self._fail("FORBIDDEN", ["repository", "owner", "teams"], "Resource not accessible by integration")
            return None
        logins = {str(login).lower() for login in arguments.get("userLogins") or ()}
        slugs = [
            team.slug
            for (org, _), team in sorted(self.world.teams.items())
            if org == repo.owner.login.lower()
            and any(login in logins and state == "active" for login, state in team.members.items())
        ]
        nodes = [_team(slug) for slug in slugs]
        return Node("TeamConnection", {"nodes": lambda _: nodes[: int(arguments.get("first") or 0)]})

    def _may(self, repo: Repository, need: str, name: str) -> bool:
        try:
            access.require(self.world, self.caller, repo, (need,), method="GET")
        except ApiError as error:
            self._fail("FORBIDDEN", ["repository", name], error.message)
            return False
        return True

    def _object(self, repo: Repository, arguments: Mapping[str, Any]) -> Node | None:
        sha = str(arguments.get("oid"))
        if not self._may(repo, "contents:read", "object"):
            return None
        if repo.git.find(sha) == sha:
            return Node("Commit", {"oid": lambda _: sha, "signature": lambda _: self._signature(sha)})
        return Node("Tag", {"oid": lambda _: sha}) if repo.git.tag(sha) else None

    def _signature(self, sha: str) -> Node | None:
        found = self.world.signed.get(sha)
        if found is None:
            return None
        signer = Node("User", {"login": lambda _: found.login})
        return Node(
            "GpgSignature",
            {
                "isValid": lambda _: True,
                "wasSignedByGitHub": lambda _: found.by_github,
                "signer": lambda _: signer,
            },
        )

    def _pull(self, repo: Repository, arguments: Mapping[str, Any]) -> Node | None:
        number = arguments.get("number")
        if not self._may(repo, "pull_requests:read", "pullRequest"):
            return None
        pull = repo.pulls.get(number) if isinstance(number, int) else None
        if pull is None:
            text = f"Could not resolve to a PullRequest with the number of {number}."
            self._fail("NOT_FOUND", ["repository", "pullRequest"], text)
            return None
        return Node(
            "PullRequest",
            {
                "reviewDecision": lambda _: opinions.decision(self.world, repo, pull),
                "latestOpinionatedReviews": lambda given: self._reviews(repo, pull, given),
            },
        )

    def _reviews(self, repo: Repository, pull: Pull, arguments: Mapping[str, Any]) -> Node:
        writers_only = bool(arguments.get("writersOnly"))
        found = opinions.newest(self.world, repo, pull, writers_only=writers_only)
        nodes = [_review(one) for one in found[: int(arguments.get("first") or 0)]]
        return Node("PullRequestReviewConnection", {"nodes": lambda _: nodes})


def _team(slug: str) -> Node:
    return Node("Team", {"slug": lambda _: slug})


def _review(one: Review) -> Node:
    author = Node("User", {"login": lambda _: one.user.login})
    commit = Node("Commit", {"oid": lambda _: one.commit_id})
    return Node(
        "PullRequestReview",
        {"state": lambda _: one.state, "author": lambda _: author, "commit": lambda _: commit},
    )
