"""Who may do what: every permission against every requirement."""

import pytest

from app.core.command import Verb
from app.core.environment import Environment
from app.core.missed import FOUND_BY
from app.core.permit import Confirming, Permitted, Refused, may, may_confirm, may_unlock
from app.core.stack import ConfirmRules, Permission

ACTS = (Verb.CONFIRM, Verb.DISCARD, Verb.REPLAN, Verb.DEPLOY)
WRITES = (Verb.PLAN, Verb.STOP, Verb.CANCEL, Verb.RETRY, Verb.LOCK, Verb.UNLOCK, Verb.APPROVE, Verb.REJECT)


@pytest.mark.parametrize("verb", ACTS)
@pytest.mark.parametrize("required", Permission)
@pytest.mark.parametrize("permission", Permission)
def test_whoever_acts_needs_write_or_more_when_the_stack_asks_for_more(
    verb: Verb, required: Permission, permission: Permission
) -> None:
    least = Permission.ADMIN if required is Permission.ADMIN else Permission.WRITE
    answer = may(verb, permission=permission, required=required)
    assert isinstance(answer, Permitted) is (permission.rank >= least.rank)


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize("required", Permission)
@pytest.mark.parametrize("permission", Permission)
def test_what_decides_about_no_plan_needs_write_whatever_the_stack_asks(
    verb: Verb, required: Permission, permission: Permission
) -> None:
    answer = may(verb, permission=permission, required=required)
    assert isinstance(answer, Permitted) is (permission.rank >= Permission.WRITE.rank)


def test_every_verb_has_its_permission() -> None:
    assert {*ACTS, *WRITES, Verb.HELP, Verb.WHY} == set(Verb)


@pytest.mark.parametrize("permission", Permission)
def test_a_lock_is_given_back_by_its_owner_or_by_an_admin(permission: Permission) -> None:
    assert may_unlock("Alice", permission=permission, actor="alice")
    assert may_unlock("bob", permission=permission, actor="alice") is (permission is Permission.ADMIN)
    assert may_unlock("", permission=permission, actor="") is (permission is Permission.ADMIN)


@pytest.mark.parametrize("required", Permission)
def test_help_is_for_everybody_who_can_read(required: Permission) -> None:
    assert may(Verb.HELP, permission=Permission.READ, required=required) == Permitted()
    assert isinstance(may(Verb.HELP, permission=Permission.NONE, required=required), Refused)


def test_a_refusal_says_who_has_what_where_and_what_is_needed() -> None:
    answer = may(
        Verb.CONFIRM, permission=Permission.READ, required=Permission.WRITE, actor="alice", repository="acme/infra"
    )
    assert answer == Refused("alice has read permission on acme/infra, and confirm needs write")
    nobody = may(Verb.WHY, permission=Permission.NONE, required=Permission.WRITE)
    assert nobody == Refused("the sender has no permission on this repository, and why needs read")


def confirming(**known: object) -> Confirming:
    """Dora, who may write and made nothing of it, confirms stack app."""
    given: dict[str, object] = {
        "actor": "Dora",
        "permission": Permission.WRITE,
        "role": "write",
        "owner": "acme",
        "stack": "app",
        "ref": "refs/heads/main",
    }
    return Confirming(**(given | known))  # type: ignore[arg-type]  # a fixture's dictionary


TEAM = frozenset({"platform"})
UNKNOWN = "who pushed this is not known, since GitHub sent no event of it"
ORDER = "discard the run, then somebody orders one with deploy, and another confirms that"
REVIEWED = Environment(name="production", users=("erin",), teams=("platform",))


@pytest.mark.parametrize(
    ("rules", "known", "reason"),
    [
        ({}, {}, ""),
        ({"roles": ("maintain", "deployer")}, {"role": "deployer"}, ""),
        (
            {"roles": ("maintain", "deployer")},
            {"role": "admin"},
            "Dora has the role admin: stack app is confirmed by maintain or deployer",
        ),
        ({"roles": ("maintain",)}, {"role": ""}, "Dora has the role none: stack app is confirmed by maintain"),
        ({"teams": ("platform",)}, {"teams": TEAM}, ""),
        (
            {"teams": ("platform", "sre")},
            {"teams": frozenset({"web"})},
            "Dora is no active member of acme/platform or acme/sre, which confirms stack app",
        ),
        ({"not_author": True}, {"authors": frozenset({"alice"})}, ""),
        (
            {"not_author": True},
            {"authors": frozenset({"dora"})},
            "Dora made this change or asked for this run: stack app is confirmed by another",
        ),
        (
            {"not_author": True},
            {"starters": frozenset({FOUND_BY})},
            f"{UNKNOWN}, so nobody can confirm stack app as another than they: {ORDER}",
        ),
        ({"roles": ("write",)}, {"starters": frozenset({FOUND_BY})}, ""),
        (
            {"roles": ("write",), "teams": ("platform",), "not_author": True},
            {"teams": TEAM, "authors": frozenset({"dora"})},
            "Dora made this change or asked for this run: stack app is confirmed by another",
        ),
    ],
)
def test_whoever_confirms_fulfils_every_rule_of_the_stack(
    rules: dict[str, object], known: dict[str, object], reason: str
) -> None:
    answer = may_confirm(ConfirmRules(**rules), confirming(**known))  # type: ignore[arg-type]  # a table's cells
    assert answer == (Refused(reason) if reason else Permitted())


@pytest.mark.parametrize(
    ("environment", "known", "reason"),
    [
        (Environment(name="production"), {}, ""),
        (REVIEWED, {"actor": "ERIN"}, ""),
        (REVIEWED, {"teams": TEAM}, ""),
        (
            REVIEWED,
            {},
            "Dora is no required reviewer of GitHub's environment production (erin or acme/platform)",
        ),
        (
            Environment(name="p", users=("dora",), is_self_review_prevented=True),
            {"starters": frozenset({"dora"})},
            "Dora asked for this run, and GitHub's environment p lets nobody review their own",
        ),
        (
            Environment(name="p", users=("dora",), is_self_review_prevented=True),
            {"starters": frozenset({FOUND_BY})},
            f"{UNKNOWN}, and GitHub's environment p lets nobody review their own: {ORDER}",
        ),
        (Environment(name="p", users=("dora",)), {"starters": frozenset({"dora", FOUND_BY})}, ""),
        (
            Environment(name="p", obstacles=("a wait timer of 5 minutes",)),
            {"permission": Permission.ADMIN},
            "GitHub's environment p has rules that cannot be fulfilled here (a wait timer of 5 minutes)",
        ),
        (Environment(name="p", branches=("main", "release/*")), {"ref": "refs/heads/release/1"}, ""),
        (
            Environment(name="p", branches=("release/*",)),
            {"ref": "refs/heads/release/1/2"},
            "GitHub's environment p takes no deployment of refs/heads/release/1/2",
        ),
        (
            Environment(name="p", branches=("v1",)),
            {"ref": "refs/tags/v1"},
            "GitHub's environment p takes no deployment of refs/tags/v1",
        ),
        (Environment(name="p", branches=(), tags=("v*",)), {"ref": "refs/tags/v1"}, ""),
        (
            Environment(name="p", branches=("[",)),
            {},
            "GitHub's environment p takes no deployment of refs/heads/main",
        ),
    ],
)
def test_whoever_confirms_fulfils_the_rules_of_the_environment(
    environment: Environment, known: dict[str, object], reason: str
) -> None:
    answer = may_confirm(ConfirmRules(), confirming(environment=environment, **known))
    assert answer == (Refused(reason) if reason else Permitted())


def test_an_admin_passes_over_reviewers_where_github_lets_them_and_it_is_said() -> None:
    admin = confirming(environment=REVIEWED, permission=Permission.ADMIN)
    answer = may_confirm(ConfirmRules(), admin)
    assert isinstance(answer, Permitted)
    assert answer.by_force.startswith("Dora is no required reviewer")
    strict = Environment(name="production", users=("erin",), may_admins_bypass=False)
    assert isinstance(may_confirm(ConfirmRules(), confirming(environment=strict, permission=Permission.ADMIN)), Refused)
