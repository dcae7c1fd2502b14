"""Who may do what: every permission against every requirement."""

import pytest

from app.core.command import Verb
from app.core.permit import Permitted, Refused, may
from app.core.stack import Permission

ACTS = (Verb.CONFIRM, Verb.DISCARD, Verb.REPLAN)


@pytest.mark.parametrize("verb", ACTS)
@pytest.mark.parametrize("required", Permission)
@pytest.mark.parametrize("permission", Permission)
def test_whoever_acts_needs_write_or_more_when_the_stack_asks_for_more(
    verb: Verb, required: Permission, permission: Permission
) -> None:
    least = Permission.ADMIN if required is Permission.ADMIN else Permission.WRITE
    answer = may(verb, permission=permission, required=required)
    assert isinstance(answer, Permitted) is (permission.rank >= least.rank)


@pytest.mark.parametrize("required", Permission)
def test_help_is_for_everybody_who_can_read(required: Permission) -> None:
    assert may(Verb.HELP, permission=Permission.READ, required=required) == Permitted()
    assert isinstance(may(Verb.HELP, permission=Permission.NONE, required=required), Refused)


def test_a_refusal_says_who_has_what_where_and_what_is_needed() -> None:
    answer = may(
        Verb.CONFIRM, permission=Permission.READ, required=Permission.WRITE, actor="alice", repository="acme/infra"
    )
    assert answer == Refused("alice has read permission on acme/infra: confirm needs write")
