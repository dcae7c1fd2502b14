"""The protection rules of a deployment environment. A rule that is not known here is one that nobody can fulfil.

Source: https://docs.github.com/rest/deployments/environments#get-an-environment
"""

from typing import Annotated, Final

import msgspec

from app.core.environment import Environment
from app.core.event import Repository
from app.github.api import Ask, of_repository, read_answer
from app.github.caller import Caller
from app.github.refusals import NotFoundError

MAX_RULES: Final = 100
MAX_WORD: Final = 100
_AT: Final = "/repos/{owner}/{repo}/environments/{environment}"
_NEEDS: Final = "actions: read"


class _Reviewer(msgspec.Struct, frozen=True):
    login: str = ""
    slug: str = ""


class _ReviewerEntry(msgspec.Struct, frozen=True):
    type: str = ""
    reviewer: _Reviewer | None = None


class _Rule(msgspec.Struct, frozen=True):
    type: str = ""
    wait_timer: int = 0
    prevent_self_review: bool = False
    reviewers: Annotated[list[_ReviewerEntry], msgspec.Meta(max_length=MAX_RULES)] = []


class _BranchPolicy(msgspec.Struct, frozen=True):
    protected_branches: bool = False
    custom_branch_policies: bool = False


class _Environment(msgspec.Struct, frozen=True):
    name: str
    can_admins_bypass: bool = False
    protection_rules: Annotated[list[_Rule], msgspec.Meta(max_length=MAX_RULES)] = []
    deployment_branch_policy: _BranchPolicy | None = None


class _Pattern(msgspec.Struct, frozen=True):
    name: str
    type: str = "branch"


class _Patterns(msgspec.Struct, frozen=True):
    branch_policies: Annotated[list[_Pattern], msgspec.Meta(max_length=MAX_RULES)] = []


class _App(msgspec.Struct, frozen=True):
    slug: str = ""


class _Custom(msgspec.Struct, frozen=True):
    enabled: bool = True
    app: _App = _App()


class _Customs(msgspec.Struct, frozen=True):
    custom_deployment_protection_rules: Annotated[list[_Custom], msgspec.Meta(max_length=MAX_RULES)] = []


class _Branch(msgspec.Struct, frozen=True):
    protected: bool = False


def find(caller: Caller, repository: Repository, name: str) -> Environment | None:
    """The environment's rules, or None when there is none of that name. Rules of Apps, and patterns of branches, are
    asked for apart."""
    doing = f"reading environment {name[:MAX_WORD]} of {repository.full_name}"
    values = of_repository(repository, environment=name)
    ask = Ask(doing=doing, method="GET", route=_AT, values=values, needs=_NEEDS)
    try:
        found = read_answer(ask, caller.as_installation(repository, ask), _Environment)
    except NotFoundError:
        return None
    customs = Ask(
        doing=f"{doing}: the rules of Apps",
        method="GET",
        route=f"{_AT}/deployment_protection_rules",
        values=values,
        needs=_NEEDS,
    )
    enabled = read_answer(customs, caller.as_installation(repository, customs), _Customs)
    policy = found.deployment_branch_policy or _BranchPolicy()
    patterns: list[_Pattern] | None = None
    if policy.custom_branch_policies:
        of_branches = Ask(
            doing=f"{doing}: its branches",
            method="GET",
            route=f"{_AT}/deployment-branch-policies",
            values=values,
            query={"per_page": MAX_RULES},
            needs=_NEEDS,
        )
        answer = caller.as_installation(repository, of_branches)
        patterns = read_answer(of_branches, answer, _Patterns).branch_policies
    return _environment(found, enabled.custom_deployment_protection_rules, patterns, policy)


def is_branch_protected(caller: Caller, repository: Repository, branch: str) -> bool:
    """True for a branch that GitHub protects; false for a tag, and for one that is not there."""
    if branch.startswith("refs/"):
        return False
    ask = Ask(
        doing=f"reading branch {branch[:MAX_WORD]} of {repository.full_name}",
        method="GET",
        route="/repos/{owner}/{repo}/branches/{branch}",
        values=of_repository(repository, branch=branch),
        needs="contents: read",
    )
    try:
        return read_answer(ask, caller.as_installation(repository, ask), _Branch).protected
    except NotFoundError:
        return False


def _environment(
    found: _Environment, customs: list[_Custom], patterns: list[_Pattern] | None, policy: _BranchPolicy
) -> Environment:
    users: list[str] = []
    teams: list[str] = []
    obstacles = [f"the rule of the App {one.app.slug[:MAX_WORD]}" for one in customs if one.enabled]
    is_self_prevented = False
    for rule in found.protection_rules:
        match rule.type:
            case "required_reviewers":
                is_self_prevented = is_self_prevented or rule.prevent_self_review
                users += [one.reviewer.login for one in rule.reviewers if one.reviewer and one.type == "User"]
                teams += [one.reviewer.slug for one in rule.reviewers if one.reviewer and one.type == "Team"]
                if not any(one.reviewer for one in rule.reviewers):
                    obstacles.append("required reviewers, and none that GitHub names")
            case "wait_timer":
                if rule.wait_timer:
                    obstacles.append(f"a wait timer of {rule.wait_timer} minutes")
            case "branch_policy":
                pass  # said by deployment_branch_policy
            case _:
                obstacles.append(f"a rule of the type {rule.type[:MAX_WORD] or 'without a name'}, which is not known")
    return Environment(
        name=found.name[:255],
        users=tuple(users),
        teams=tuple(teams),
        is_self_review_prevented=is_self_prevented,
        may_admins_bypass=found.can_admins_bypass,
        branches=tuple(one.name for one in patterns if one.type == "branch") if patterns is not None else None,
        tags=tuple(one.name for one in patterns if one.type == "tag") if patterns is not None else (),
        is_for_protected_branches=policy.protected_branches,
        obstacles=tuple(obstacles),
    )
