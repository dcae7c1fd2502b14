"""Who may do what: every permission against every requirement."""

import pytest

from app.core.command import Verb
from app.core.permit import Permitted, Refused, may, may_unlock
from app.core.stack import Permission

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
    assert answer == Refused("alice has read permission on acme/infra: confirm needs write")
