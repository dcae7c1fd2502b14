"""Deployment environments and teams, as the settings pages of GitHub make them. Callers hold the mutex."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.sandbox.errors import SandboxError
from app.sandbox.records import Environment, Repository, Team
from app.sandbox.world import World


def add_environment(world: World, repo: Repository, name: str, rules: Mapping[str, Any]) -> Environment:
    """Make an environment, or give it other rules. Raises: SandboxError for a reviewer that is nobody."""
    for reviewer in rules.get("reviewers", ()):
        org, slash, slug = reviewer.lower().partition("/")
        if slash and (org, slug) not in world.teams:
            raise SandboxError(f"there is no team {reviewer!r} in the sandbox")
        if not slash:
            world.user(reviewer)
    made = Environment(id=world.next_id(), name=name, created_at=world.now(), **rules)
    repo.environments[name.lower()] = made
    return made


def add_team(world: World, org: str, slug: str, members: Sequence[str], pending: Sequence[str]) -> Team:
    """Make a team, or give it other members."""
    states = dict.fromkeys((one.lower() for one in members), "active")
    states |= dict.fromkeys((one.lower() for one in pending), "pending")
    world.find_or_add_user(org, "Organization")
    for login in (*members, *pending):
        world.find_or_add_user(login)
    made = world.teams[org.lower(), slug.lower()] = Team(slug, states)
    return made
