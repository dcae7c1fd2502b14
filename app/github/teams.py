"""Teams of a repository's owner: who is an active member of one, and in which ones somebody is.

Source: https://docs.github.com/rest/teams/members#get-team-membership-for-a-user
"""

import re
from typing import Annotated, Final

import msgspec

from app.core.event import Repository
from app.github.api import Ask, read_answer
from app.github.caller import Caller
from app.github.people import is_login
from app.github.queries import ask_query
from app.github.refusals import NotFoundError

MOST: Final = 100
QUERY: Final = """
query($owner: String!, $name: String!, $logins: [String!]) {
  repository(owner: $owner, name: $name) {
    owner {
      ... on Organization {
        teams(first: 100, userLogins: $logins) {
          nodes { slug }
        }
      }
    }
  }
}
"""
_SLUG: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")


class _Membership(msgspec.Struct, frozen=True):
    state: str = ""


class _Team(msgspec.Struct, frozen=True):
    slug: str


class _Teams(msgspec.Struct, frozen=True):
    nodes: Annotated[list[_Team | None], msgspec.Meta(max_length=MOST)]


class _Owner(msgspec.Struct, frozen=True):
    teams: _Teams | None = None


class _Repository(msgspec.Struct, frozen=True):
    owner: _Owner


def is_member(caller: Caller, repository: Repository, team: str, login: str) -> bool:
    """True for an active member, of a child team too; an invitation that is pending, a team that is not there, and an
    owner that is a person, are no membership."""
    if not is_login(login) or _SLUG.fullmatch(team) is None:
        return False
    ask = Ask(
        doing=f"asking whether {login} is in {repository.owner}/{team}",
        method="GET",
        route="/orgs/{org}/teams/{team}/memberships/{login}",
        values={"org": repository.owner, "team": team, "login": login},
        needs="members: read",
    )
    try:
        return read_answer(ask, caller.as_installation(repository, ask), _Membership).state == "active"
    except NotFoundError:
        return False


def list_of(caller: Caller, repository: Repository, login: str) -> tuple[str, ...]:
    """The slugs of the owner's teams that the person is in, sorted (at most 100)."""
    doing = f"listing the teams of {login} at {repository.owner}"
    found = ask_query(caller, repository, doing, (QUERY, {"logins": [login]}), _Repository)
    if found is None or found.owner.teams is None:
        return ()
    return tuple(sorted(team.slug for team in found.owner.teams.nodes if team is not None))
