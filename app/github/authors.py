"""Who made a change: everybody behind its commits, and behind the pull requests that brought them. Closed by default:
where somebody cannot be told, nobody is.

Source: https://docs.github.com/rest/commits/commits#compare-two-commits
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Final

import msgspec

from app.core.errors import UserError
from app.core.event import Repository
from app.core.names import Sha
from app.core.permit import Stretch
from app.github.api import Ask, of_repository, read_answer
from app.github.caller import Caller
from app.github.shapes import Number

MAX_PULLS: Final = 100
"""Pull requests of one commit that are listed: with that many, there may be more."""
MAX_COMMITS: Final = 250
"""Commits of a pull request that GitHub lists; of a stretch no more are looked at. At that many, there may be more."""
MAX_ASKED: Final = 100
"""Commits whose pull requests are asked for one by one: those of a pull request that is known already are not."""
_PAGE: Final = 100
_MAX_PAGES: Final = 3


class _Account(msgspec.Struct, frozen=True):
    login: str = ""


class _Verification(msgspec.Struct, frozen=True):
    verified: bool = False


class _GitCommit(msgspec.Struct, frozen=True):
    verification: _Verification | None = None


class _Commit(msgspec.Struct, frozen=True):
    sha: str
    author: _Account | None = None
    committer: _Account | None = None
    commit: _GitCommit = _GitCommit()

    @property
    def is_by_github(self) -> bool:
        """True for what GitHub itself committed for somebody: its signature is good, and of nobody's account, where a
        person's key is always of one."""
        verification = self.commit.verification
        return verification is not None and verification.verified


class _Pull(msgspec.Struct, frozen=True):
    number: Number
    user: _Account | None = None


_Commits = Annotated[list[_Commit], msgspec.Meta(max_length=_PAGE)]
_Pulls = Annotated[list[_Pull], msgspec.Meta(max_length=MAX_PULLS)]


class _Comparison(msgspec.Struct, frozen=True):
    total_commits: int
    commits: _Commits = []


@dataclass(slots=True)
class _Found:
    """What was found so far."""

    logins: set[str] = field(default_factory=set)
    in_pulls: set[str] = field(default_factory=set)
    """Commits of pull requests that were read, and those that these have become."""
    asked: set[str] = field(default_factory=set)
    """Commits whose pull requests were asked for."""
    pulls: set[int] = field(default_factory=set)


def list_authors(caller: Caller, repository: Repository, stretches: Sequence[Stretch]) -> tuple[str, ...]:
    """Logins behind commits: author and committer of each commit, and of the pull requests that they are in or that
    they landed those who opened them, and author and committer of each of their commits. Sorted.

    Of a stretch whose beginning is not known, the head's pull requests are it; without one, all that lies behind it.
    Raises: UserError when they cannot all be known: also for a commit that belongs to no account.
    """
    asking = _Asking(caller, repository, _Found())
    for stretch in stretches:
        asking.add(stretch)
    return tuple(sorted(asking.found.logins))


@dataclass(frozen=True, slots=True)
class _Asking:
    """The questions about one repository."""

    caller: Caller
    repository: Repository
    found: _Found

    def add(self, stretch: Stretch) -> None:
        commits = self._between(stretch.since, stretch.head) if stretch.since is not None else []
        head = next((one for one in commits if one.sha == stretch.head), None) or self._commit(stretch.head)
        self._add_pulls(head)
        if stretch.since is None and head.sha not in self.found.in_pulls:
            commits = self._behind(stretch.head)
        self._note([head, *commits])
        for commit in reversed(commits):  # the newest first: it is the merge of those before it
            self._add_pulls(commit)

    def _note(self, commits: Iterable[_Commit]) -> None:
        """Author and committer. Raises: UserError for one without an account: anybody can write any name there."""
        for commit in commits:
            for word, account in (("author", commit.author), ("committer", commit.committer)):
                if account is not None and account.login:
                    self.found.logins.add(account.login)
                elif word == "author" or not commit.is_by_github:
                    raise UserError(
                        f"asking who made commit {commit.sha[:7]} of {self.repository.full_name}: its {word} has no "
                        "account on GitHub, so that nobody can be told from them"
                    )

    def _commit(self, sha: Sha) -> _Commit:
        ask = self._ask(f"reading commit {sha[:7]}", "/commits/{sha}", sha=sha)
        ask = replace(ask, query={"per_page": 1})
        return read_answer(ask, self.caller.as_installation(self.repository, ask), _Commit)

    def _between(self, since: Sha, head: Sha) -> list[_Commit]:
        """The commits of a stretch, oldest first. Raises: UserError when they are too many, or GitHub does not know its
        beginning any more, which a forced push left behind."""
        if since == head:
            return []
        ask = self._ask(f"comparing {since[:7]} with {head[:7]}", "/compare/{basehead}", basehead=f"{since}...{head}")
        found: list[_Commit] = []
        for page in range(1, _MAX_PAGES + 1):
            asked = replace(ask, query={"per_page": _PAGE, "page": page})
            said = read_answer(asked, self.caller.as_installation(self.repository, asked), _Comparison)
            found += said.commits
            if said.total_commits >= MAX_COMMITS:
                raise self._too_many(ask, MAX_COMMITS)
            if len(found) >= said.total_commits:
                return found
            if not said.commits:
                break
        raise UserError(f"{ask.doing}: GitHub lists {len(found)} of its commits, so not everybody is known")

    def _behind(self, head: Sha) -> list[_Commit]:
        """Everything that a commit holds, oldest first. Raises: UserError when that is too much."""
        ask = self._ask(f"listing the commits of {head[:7]}", "/commits")
        return list(reversed(self._listed(replace(ask, query={"sha": head}))))

    def _add_pulls(self, commit: _Commit) -> None:
        """Everybody behind the pull requests of a commit, unless it is one of a pull request that was read already."""
        found = self.found
        if commit.sha in found.in_pulls | found.asked:
            return
        found.asked.add(commit.sha)
        ask = self._ask(f"listing the pull requests of {commit.sha[:7]}", "/commits/{sha}/pulls", sha=commit.sha)
        if len(found.asked) > MAX_ASKED:
            raise self._too_many(ask, MAX_ASKED)
        ask = replace(ask, query={"per_page": MAX_PULLS}, needs="pull_requests: read")
        pulls = read_answer(ask, self.caller.as_installation(self.repository, ask), _Pulls)
        if len(pulls) >= MAX_PULLS:
            raise self._too_many(ask, MAX_PULLS)
        for pull in pulls:
            found.in_pulls.add(commit.sha)
            if pull.number in found.pulls:
                continue
            found.pulls.add(pull.number)
            found.logins |= {pull.user.login} if pull.user is not None and pull.user.login else set()
            commits = self._of_pull(pull.number)
            self._note(commits)
            found.in_pulls |= {one.sha for one in commits}

    def _of_pull(self, number: int) -> list[_Commit]:
        """All commits of a pull request. Raises: UserError when GitHub may not list all of them.

        Source: https://docs.github.com/rest/pulls/pulls#list-commits-on-a-pull-request
        """
        ask = self._ask("", "/pulls/{number}/commits", number=number)
        doing = f"listing the commits of {self.repository.full_name}#{number}"
        return self._listed(replace(ask, doing=doing, needs="pull_requests: read"))

    def _listed(self, ask: Ask) -> list[_Commit]:
        found: list[_Commit] = []
        for page in range(1, _MAX_PAGES + 1):
            asked = replace(ask, query={**ask.query, "per_page": _PAGE, "page": page})
            commits = read_answer(asked, self.caller.as_installation(self.repository, asked), _Commits)
            found += commits
            if len(commits) < _PAGE:
                break
        if len(found) >= MAX_COMMITS:
            raise self._too_many(ask, MAX_COMMITS)
        return found

    def _too_many(self, ask: Ask, most: int) -> UserError:
        return UserError(f"{ask.doing}: there are {most} or more, so not everybody who made them is known")

    def _ask(self, doing: str, route: str, **values: str | int) -> Ask:
        return Ask(
            doing=f"{doing} of {self.repository.full_name}",
            method="GET",
            route=f"/repos/{{owner}}/{{repo}}{route}",
            values=of_repository(self.repository, **values),
            needs="contents: read",
        )
