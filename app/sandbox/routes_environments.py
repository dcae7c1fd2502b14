"""API routes of deployment environments with their protection rules, and of teams.

Source: https://docs.github.com/rest/deployments/environments,
https://docs.github.com/rest/teams/members
"""

from typing import Any

from app.sandbox import permits, shapes
from app.sandbox.api import Answer, Call, route
from app.sandbox.clock import iso
from app.sandbox.errors import ApiError, not_found
from app.sandbox.records import Environment
from app.sandbox.world import World

Json = dict[str, Any]


def _of(call: Call) -> Environment:
    found = call.repo.environments.get(call.params["environment"].lower())
    if found is None:
        raise not_found()
    return found


@route("GET", "/repos/{owner}/{repo}/environments/{environment:path}", "actions:read")
def get_environment(call: Call) -> Answer:
    """One environment with its rules."""
    one = _of(call)
    url = f"{shapes.repository_url(call.world, call.repo)}/environments/{one.name}"
    is_custom = one.branches is not None
    policy = None
    if is_custom or one.protected_branches:
        policy = {"protected_branches": one.protected_branches, "custom_branch_policies": is_custom}
    return Answer(
        {
            "id": one.id,
            "node_id": f"EN_{one.id}",
            "name": one.name,
            "url": url,
            "html_url": f"{shapes.page_url(call.world, call.repo)}/deployments/activity_log",
            "created_at": iso(one.created_at),
            "updated_at": iso(one.created_at),
            "can_admins_bypass": one.can_admins_bypass,
            "protection_rules": _rules(call.world, one, has_branch_policy=policy is not None),
            "deployment_branch_policy": policy,
        }
    )


@route("GET", "/repos/{owner}/{repo}/environments/{environment:path}/deployment_protection_rules", "actions:read")
def list_custom_rules(call: Call) -> Answer:
    """The rules of Apps that are switched on."""
    found = [
        {"id": number, "node_id": f"GA_{number}", "enabled": True, "app": {"id": number, "slug": slug}}
        for number, slug in enumerate(_of(call).custom_rules, start=1)
    ]
    return Answer({"total_count": len(found), "custom_deployment_protection_rules": found})


@route("GET", "/repos/{owner}/{repo}/environments/{environment:path}/deployment-branch-policies", "actions:read")
def list_branch_policies(call: Call) -> Answer:
    """The patterns of branches and tags that may be deployed to it."""
    one = _of(call)
    named = [*((name, "branch") for name in one.branches or ()), *((name, "tag") for name in one.tags)]
    found = [{"id": number, "name": name, "type": kind} for number, (name, kind) in enumerate(named, start=1)]
    return Answer({"total_count": len(found), "branch_policies": found})


@route("GET", "/orgs/{org}/teams/{team}/memberships/{login}", "members:read", auth="installation")
def get_membership(call: Call) -> Answer:
    """Whether a person is in a team: active, or asked and not answered yet. 404 for everybody else."""
    token = call.caller.token
    org, slug, login = (call.params[name].lower() for name in ("org", "team", "login"))
    if token is None or token.installation.account.login.lower() != org:
        raise not_found()
    if not permits.reaches(token.permissions.get("members"), "read"):
        raise ApiError(403, "Resource not accessible by integration")
    team = call.world.teams.get((org, slug))
    state = team.members.get(login) if team is not None else None
    if state is None:
        raise not_found()
    return Answer({"url": f"{call.world.api_url}{call.request.path}", "role": "member", "state": state})


def _rules(world: World, one: Environment, *, has_branch_policy: bool) -> list[Json]:
    rules: list[Json] = []
    if one.wait_minutes:
        rules.append({"id": one.id + 1, "node_id": "GA_1", "type": "wait_timer", "wait_timer": one.wait_minutes})
    if one.reviewers:
        rules.append(
            {
                "id": one.id + 2,
                "node_id": "GA_2",
                "type": "required_reviewers",
                "prevent_self_review": one.prevent_self_review,
                "reviewers": [_reviewer(world, name) for name in one.reviewers],
            }
        )
    if has_branch_policy:
        rules.append({"id": one.id + 3, "node_id": "GA_3", "type": "branch_policy"})
    rules += [{"id": one.id + 4, "node_id": "GA_4", "type": kind} for kind in one.unknown_rules]
    return rules


def _reviewer(world: World, name: str) -> Json:
    """`acme/platform` is a team, `alice` a person."""
    org, slash, slug = name.partition("/")
    if slash:
        return {"type": "Team", "reviewer": {"id": 1, "slug": slug, "name": slug.title()}}
    return {"type": "User", "reviewer": shapes.user(world, world.user(org))}
