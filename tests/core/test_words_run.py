"""How a run stands, in a word or two, and what a part of a plan leaves undone; what the command line lists of it."""

from dataclasses import replace

import pytest
from inline_snapshot import snapshot

from app.core.choice import Targeting
from app.core.drift import DriftSeen, DriftTurn
from app.core.event import Repository
from app.core.names import ConfigVersionId, InstallationId, RepositoryId, Sha, StackId
from app.core.plan import PlanSummary
from app.core.rest import Rest, rest_of
from app.core.ruling import Approval, ApprovalRuling, PlanRuling
from app.core.run import Plan, Run, RunState, RunType
from app.core.stack import Stack, StackSettings
from app.core.words_list import run_document, run_lines, several_called, stack_document, stack_lines, stacks_called
from app.core.words_run import part_word, phase_word, word_of
from tests.core.made import DIGEST, NO_CHANGES, NOW, PLAN, SUMMARY, WAITING, run_in

APPLIED = replace(WAITING, state=RunState.FINISHED, confirmed_digest=DIGEST)
PART = Targeting(of_plan=1, chosen=("terraform_data.vpc",))
DENIED = replace(PLAN, rulings=(PlanRuling(name="cost", digest="d", path="c.rego", denies=("no",)),))


def reviewed(decision: Approval) -> Plan:
    """The plan with one approval policy that came to that."""
    return replace(PLAN, approvals=(ApprovalRuling(name="eyes", digest="d", path="e.rego", decision=decision),))


def part(rest: Rest | None, **changes: object) -> Run:
    """A part that was applied, and leaves that."""
    done = replace(APPLIED, plan_number=2, targeting=PART, plan=replace(PLAN, number=2, rest=rest))
    return replace(done, **changes)  # type: ignore[arg-type]  # a fixture's dictionary


def test_every_state_has_its_words_and_none_is_an_identifier() -> None:
    said = {state.value: (word_of(run_in(state)), phase_word(state)) for state in RunState}
    assert said == snapshot(
        {
            "queued": ("queued", "queued"),
            "ready": ("queued", "ready"),
            "preparing": ("planning", "preparing"),
            "initializing": ("planning", "initializing"),
            "planning": ("planning", "planning"),
            "pending_review": ("waiting for review", "waiting for review"),
            "unconfirmed": ("waiting for confirmation", "waiting for confirmation"),
            "replan_requested": ("queued", "replan requested"),
            "preparing_replan": ("planning", "preparing the next plan"),
            "confirmed": ("confirmed", "confirmed"),
            "preparing_apply": ("applying", "preparing to apply"),
            "applying": ("applying", "applying"),
            "finished": ("planned only", "finished"),
            "failed": ("failed", "failed"),
            "stopped": ("stopped", "stopped"),
            "canceled": ("canceled", "canceled"),
            "discarded": ("discarded", "discarded"),
            "skipped": ("skipped", "skipped"),
        }
    )
    assert not [word for words in said.values() for word in words if "_" in word or word == "unconfirmed"]


@pytest.mark.parametrize(
    ("run", "word"),
    [
        (APPLIED, "applied"),
        (replace(APPLIED, type=RunType.DESTROY), "destroyed"),
        (replace(APPLIED, confirmed_digest=None), "planned only"),
        (replace(APPLIED, plan=NO_CHANGES, confirmed_digest=None), "without changes"),
        (replace(APPLIED, type=RunType.PROPOSED, confirmed_digest=None), "planned"),
        (replace(APPLIED, type=RunType.PROPOSED, is_from_fork=True, plan=None), "validated"),
        (replace(run_in(RunState.PLANNING), type=RunType.PROPOSED, is_from_fork=True), "validating"),
        (replace(APPLIED, type=RunType.DRIFT, confirmed_digest=None), "drift"),
        (replace(APPLIED, type=RunType.DRIFT, plan=NO_CHANGES, confirmed_digest=None), "no drift"),
        (replace(WAITING, plan=reviewed(Approval.UNDECIDED)), "waiting for approval"),
        (replace(WAITING, plan=reviewed(Approval.APPROVED)), "waiting for confirmation"),
        (replace(WAITING, state=RunState.FAILED, plan=DENIED), "denied"),
        (replace(WAITING, state=RunState.FAILED, plan=reviewed(Approval.REJECTED)), "rejected"),
        (replace(APPLIED, state=RunState.FAILED), "failed"),
        (replace(APPLIED, state=RunState.FAILED, is_outcome_unknown=True), "outcome unknown"),
    ],
)
def test_a_run_is_said_to_be_what_became_of_it(run: Run, word: str) -> None:
    assert word_of(run) == word


def test_a_part_is_called_one_only_while_something_is_pending_or_may_be() -> None:
    nothing, some, unknown = part(Rest(least=0, most=0)), part(Rest(least=3, most=3)), part(None)
    assert [(word_of(run), part_word(run)) for run in (nothing, some, unknown)] == [
        ("applied", ""),
        ("applied a part", "part of plan 1, 3 changes still pending"),
        ("applied a part", "part of plan 1, what is still pending is not known"),
    ]
    waiting = part(Rest(least=3, most=3), state=RunState.UNCONFIRMED, confirmed_digest=None)
    assert (word_of(waiting), part_word(waiting)) == ("waiting for confirmation", "part of plan 1")
    only_planned = part(Rest(least=3, most=3), confirmed_digest=None)
    assert (word_of(only_planned), part_word(only_planned)) == ("planned only", "part of plan 1")
    destroyed = part(Rest(least=1, most=1), type=RunType.DESTROY)
    assert (word_of(destroyed), part_word(destroyed)) == (
        "destroyed a part",
        "part of plan 1, one change still pending",
    )
    assert part_word(APPLIED) == ""


def test_what_is_pending_is_counted_as_far_as_it_is_known() -> None:
    part_plan = PlanSummary(changes=SUMMARY.changes[1:2])
    assert rest_of(PART, SUMMARY, part_plan, has_changes=True) == Rest(least=3, most=3)
    assert rest_of(PART, SUMMARY, SUMMARY, has_changes=True) == Rest(least=0, most=0)
    assert rest_of(PART, SUMMARY, PlanSummary(), has_changes=False) == Rest(least=3, most=3)
    longer = replace_summary(SUMMARY, changes_left_out=4)
    assert rest_of(PART, longer, part_plan, has_changes=True) == Rest(least=3, most=7)
    long_part = replace_summary(part_plan, changes_left_out=2)
    assert rest_of(PART, longer, long_part, has_changes=True) == Rest(least=1, most=7)
    assert [Rest(least=least, most=most).words for least, most in ((1, 1), (3, 3), (3, 1_007), (0, 7))] == [
        "one change",
        "3 changes",
        "3 to 1,007 changes",
        "up to 7 changes",
    ]


def replace_summary(summary: PlanSummary, *, changes_left_out: int) -> PlanSummary:
    """The same plan, of which so many changes are not listed."""
    return PlanSummary(delta=summary.delta, changes=summary.changes, changes_left_out=changes_left_out)


def test_runs_are_listed_below_the_names_of_their_columns() -> None:
    failed = replace(run_in(RunState.FAILED), stack_name="net\x1b[2J", reason="\nError: no\x1b[0m such region\nmore")
    assert run_lines([WAITING, part(Rest(least=3, most=3)), failed]) == snapshot(
        [
            "RUN                         CHECK                COMMIT   STATE                     CHANGES                WHY",  # noqa: E501 - as it is printed
            "01JDV3F4K5M6N7P8Q9R0S1T2V3  deploy/network       3fa9c1d  waiting for confirmation  +1 ~1 -1 · outputs ~1",
            "01JDV3F4K5M6N7P8Q9R0S1T2V3  deploy/network       3fa9c1d  applied a part            +1 ~1 -1 · outputs ~1  part of plan 1, 3 changes still pending",  # noqa: E501 - as it is printed
            "01JDV3F4K5M6N7P8Q9R0S1T2V3  deploy/net\\u001b[2J  3fa9c1d  failed                    -                      Error: no\\u001b[0m such region more",  # noqa: E501 - as it is printed
        ]
    )
    assert run_lines([]) == []


def test_a_program_gets_the_tables_word_for_a_state_as_well() -> None:
    document = run_document(part(Rest(least=3, most=4)))
    assert (document["state"], document["word"]) == ("finished", "applied a part")
    assert document["plan"] == snapshot(
        {
            "number": 2,
            "digest": "1a2b3c4d5e6f7a8b1a2b3c4d5e6f7a8b1a2b3c4d5e6f7a8b1a2b3c4d5e6f7a8b",
            "has_changes": True,
            "counts": "+1 ~1 -1 · outputs ~1",
            "verdict": "none",
            "approval": "none",
            "part_of": 1,
            "still_pending": {"least": 3, "most": 4},
        }
    )
    assert run_document(run_in(RunState.QUEUED))["plan"] is None


def test_stacks_are_listed_with_what_keeps_them() -> None:
    settings = StackSettings(name="network", project_root="infra/network", branch="main", labels=("prod",))
    stack = Stack(
        id=StackId("01JDV3F4K5M6N7P8Q9R0S1T2S1"),
        repository_id=RepositoryId(7),
        settings=settings,
        policies=(),
        config_version_id=ConfigVersionId("01C"),
        is_detached=False,
        state_mode=None,
        head_sha=Sha("3fa9c1d2" * 5),
        head_seq=1,
    )
    kept = replace(stack, head_sha=None, hold_reason="unknown", lock_owner="bob", lock_key="PR-1", is_detached=True)
    repository = Repository(
        id=RepositoryId(7),
        owner="acme",
        name="infra",
        default_branch="main",
        is_private=True,
        installation_id=InstallationId(5),
    )
    assert stack_lines([(stack, repository), (kept, None)], {}) == snapshot(
        [
            "ID                          REPOSITORY  STACK    HEAD     ROOT           DRIFT  KEPT BY",
            "01JDV3F4K5M6N7P8Q9R0S1T2S1  acme/infra  network  3fa9c1d  infra/network  -",
            "01JDV3F4K5M6N7P8Q9R0S1T2S1  ?           network  -        infra/network  -      detached; on hold: unknown; locked by bob; locked with the key PR-1",  # noqa: E501 - as it is printed
        ]
    )
    assert stack_document(kept, repository, None)["hold_reason"] == "unknown"
    assert stack_document(kept, repository, None)["drift"] is None
    due = DriftSeen(turn=DriftTurn(due_at=NOW))
    assert "  next 2025-01-02 03:04 UTC" in stack_lines([(stack, repository)], {stack.id: due})[1]
    assert stack_document(stack, repository, due)["drift"] == {
        "schedules": [],
        "timezone": "UTC",
        "due_at": NOW.isoformat(),
        "told": None,
        "has_drift": None,
        "compared_at": None,
        "run_id": None,
        "resources": None,
    }

    other = replace(stack, id=StackId("01JDV3F4K5M6N7P8Q9R0S1T2S2"), repository_id=RepositoryId(8))
    gone = replace(kept, id=StackId("01JDV3F4K5M6N7P8Q9R0S1T2S3"))
    both = [(stack, repository), (other, replace(repository, id=RepositoryId(8), name="labs")), (gone, repository)]
    called = stacks_called("network", both)
    assert called == {stack.id: "acme/infra/network", other.id: "acme/labs/network"}
    assert several_called("network", called) == (
        "looking up stack network: several are called that; write one of `acme/infra/network`, `acme/labs/network`"
    )
    assert list(stacks_called("Acme/labs/network", both)) == [other.id]
    assert list(stacks_called("network", both[2:])) == [gone.id]
    assert list(stacks_called("network", both[1:])) == [other.id, gone.id], "another repository's is another stack"
    twice = stacks_called("network", [*both[2:], (replace(gone, id=StackId("01JDV3F4K5M6N7P8Q9R0S1T2S4")), repository)])
    assert several_called("network", twice).endswith(
        "`01JDV3F4K5M6N7P8Q9R0S1T2S3 (acme/infra/network)`, `01JDV3F4K5M6N7P8Q9R0S1T2S4 (acme/infra/network)`"
    )
    assert stacks_called("networ", both) == {}
