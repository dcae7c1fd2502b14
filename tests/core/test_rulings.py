"""What evaluations of plan and approval policies come to, and how that reads in a check run and in a reason."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from app.core import words_policy
from app.core.command import Verb
from app.core.contract import CONTRACTS, Evaluated, Fired, PolicyFailed, PolicyType, RuleKind
from app.core.contract_plan import PlanAnswer, refused_plan, rule_plan
from app.core.flags import FlagTurns
from app.core.names import Digest
from app.core.report import check_report
from app.core.report_policy import policy_lines
from app.core.review import PlanReview, current, newest, rule_reviews
from app.core.ruling import (
    MAX_MESSAGES,
    Approval,
    ApprovalRuling,
    PlanRuling,
    Verdict,
    approval_of,
    place,
    verdict_of,
)
from app.core.run import Plan, Run, RunState, RunType, confirm
from app.core.stack import ConfirmRules, Permission, PolicySpec
from tests.core.made import NOW, PLAN, RUN_ID, SETTINGS, WAITING, view_of

COST = PolicySpec(name="cost", type="plan", path="policies/cost.rego", digest="d1")
EYES = PolicySpec(name="two-eyes", type="approval", path="policies/two.rego", digest="d2")
FAILED = PolicyFailed(kind="timeout", message="no answer after 45 s", line=3)
UNDECIDED = ApprovalRuling(name="two-eyes", digest="d2", path="policies/two.rego", decision=Approval.UNDECIDED)
DENIED = PlanRuling(
    name="cost", digest="d1", path="policies/cost.rego", denies=("too dear", "<b>@acme/all</b>"), deny_lines=(12, 20)
)


def said(
    type_: PolicyType, fired: tuple[Fired, ...] = (), errors: dict[str, str] | None = None, **rules: object
) -> Evaluated:
    """An evaluation in which those rules came to something."""
    empty: dict[RuleKind, object] = {RuleKind.BOOL: False, RuleKind.TEXT: None}
    nothing = {rule: empty.get(kind, []) for rule, kind in CONTRACTS[type_].rules.items()}
    return Evaluated(rules=nothing | rules, fired=fired, errors_by_rule=errors or {})


def plan_said(fired: tuple[Fired, ...] = (), errors: dict[str, str] | None = None, **rules: object) -> PlanAnswer:
    """What one plan policy comes to."""
    return rule_plan([(COST, said(PolicyType.PLAN, fired, errors, **rules))])


def test_a_plan_policy_passes_warns_or_denies() -> None:
    assert verdict_of(()) is Verdict.NONE
    assert verdict_of(plan_said().rulings) is Verdict.PASSED
    assert verdict_of(plan_said(warn=["look"]).rulings) is Verdict.WARNED
    assert verdict_of(plan_said(warn=["look"], deny=["no"]).rulings) is Verdict.DENIED
    assert verdict_of((*plan_said().rulings, DENIED)) is Verdict.DENIED


def test_a_plan_policy_that_gives_no_answer_denies() -> None:
    """Failed, or with an error in a rule that should have held the plan back."""
    (failed,) = rule_plan([(COST, FAILED)]).rulings
    assert failed.is_denial
    assert failed.failure == "timeout: no answer after 45 s (line 3)"
    (broken,) = plan_said(errors={"warn": "to_number: invalid syntax"}).rulings
    assert broken.is_denial
    assert broken.failure == "rule warn: to_number: invalid syntax"
    assert [one.failure for one in refused_plan([COST], "too many to be judged").rulings] == ["too many to be judged"]


def test_lines_messages_and_flags_are_kept_within_their_bounds() -> None:
    answer = plan_said(
        (Fired("deny", 20), Fired("deny", 12), Fired("warn", 3), Fired("deny", 0)),
        deny=[f"m{number}" for number in range(MAX_MESSAGES + 7)],
        warn=["w" * 9_000],
        flag=["dear"],
        reset_flag=["old"],
    )
    (ruling,) = answer.rulings
    assert (ruling.deny_lines, ruling.warn_lines) == ((12, 20), (3,))
    assert (len(ruling.denies), ruling.left_out, len(ruling.warns[0])) == (MAX_MESSAGES, 7, 500)
    assert answer.flags == FlagTurns(sets={"cost": ("dear",)}, resets={"cost": ("old",)})
    assert place(ruling.path, ruling.deny_lines) == "policies/cost.rego:12,20"


def review(
    author: str, *, is_approval: bool = True, number: int = 1, state: RunState = RunState.UNCONFIRMED
) -> PlanReview:
    """A review of plan 1."""
    return PlanReview(
        run_id=RUN_ID,
        plan_number=number,
        state=state,
        author=author,
        is_approval=is_approval,
        note="",
        at=NOW + timedelta(seconds=1),
    )


def test_each_person_counts_once_by_their_newest_word_about_this_plan() -> None:
    given = [
        review("alice"),
        review("bob", number=2),
        review("ALICE", is_approval=False, number=2),
        review("alice", number=2),
        review("carol", number=2, state=RunState.PENDING_REVIEW),
    ]
    now = current(given, plan_number=2, state=RunState.UNCONFIRMED)
    assert [(one.author, one.is_approval) for one in now] == [("bob", True), ("alice", True)]
    assert [one.author for one in newest(given)] == ["bob", "alice", "carol"]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (said(PolicyType.APPROVAL), Approval.UNDECIDED),
        (said(PolicyType.APPROVAL, approve=True), Approval.APPROVED),
        (said(PolicyType.APPROVAL, approve=True, reject=True), Approval.REJECTED),
        (said(PolicyType.APPROVAL, errors={"reject": "x"}, approve=True), Approval.UNDECIDED),
        (FAILED, Approval.UNDECIDED),
    ],
)
def test_an_approval_policy_rejects_before_it_approves_and_is_undecided_when_it_fails(
    told: Evaluated | PolicyFailed, expected: Approval
) -> None:
    (ruling,) = rule_reviews([(EYES, told)], [review("alice"), review("bob", is_approval=False)]).rulings
    assert ruling.decision is expected
    assert (ruling.approved_by, ruling.rejected_by) == (("alice",), ("bob",))


def test_all_approval_policies_have_to_approve() -> None:
    yes, no = (replace_decision(one) for one in (Approval.APPROVED, Approval.REJECTED))
    assert approval_of(()) is Approval.NONE
    assert approval_of((yes, UNDECIDED)) is Approval.UNDECIDED
    assert approval_of((yes, yes)) is Approval.APPROVED
    assert approval_of((yes, UNDECIDED, no)) is Approval.REJECTED


def replace_decision(decision: Approval) -> ApprovalRuling:
    """A ruling with that decision."""
    return ApprovalRuling(name="two-eyes", digest="d2", path="policies/two.rego", decision=decision)


@pytest.mark.parametrize(
    "plan",
    [replace(PLAN, rulings=(DENIED,)), replace(PLAN, approvals=(UNDECIDED,))],
)
def test_no_proof_is_made_for_a_plan_that_is_denied_or_not_approved(plan: Plan) -> None:
    with pytest.raises(ValueError, match="its policies say"):
        confirm(replace(WAITING, plan=plan), stack_digest=SETTINGS, actor="bob", at=NOW)


def judged(rulings: tuple[PlanRuling, ...] = (), approvals: tuple[ApprovalRuling, ...] = (), run: Run = WAITING) -> Run:
    """A run whose plan was judged so."""
    return replace(run, plan=replace(PLAN, rulings=rulings, approvals=approvals))


def test_a_denied_plan_says_policy_message_file_and_line_before_all_else() -> None:
    run = judged((DENIED,), run=replace(WAITING, state=RunState.FAILED))
    run = replace(run, reason=words_policy.denied(run.plan or PLAN))
    report = check_report(view_of(run))
    assert report.title == "+1 ~1 -1 · outputs ~1 · denied by a policy"
    assert report.summary.startswith(
        "🟥 Policy `cost` (`policies/cost.rego:12,20`) denies the plan:\n\n- `too dear`\n- `<b>@acme/all</b>`\n\n"
    )
    assert run.reason == ("policy cost denies the plan (policies/cost.rego:12,20):\n  - too dear\n  - <b>@acme/all</b>")


def test_denials_come_before_warnings_and_failures_say_why() -> None:
    warned = PlanRuling(name="calm", digest="", path="calm.rego", warns=("look",), warn_lines=(4,), left_out=2)
    failed = PlanRuling(name="slow", digest="", path="slow.rego", failure="timeout: no answer")
    assert policy_lines((warned, failed)) == (
        "🟥 Policy `slow` (`slow.rego`) gave no answer, so the plan is denied: `timeout: no answer`",
        "🟨 Policy `calm` (`calm.rego:4`) warns:\n\n- `look`\n- and 2 more",
    )
    assert policy_lines((PlanRuling(name="a", digest="", path="a"),)) == ()


def test_any_number_of_policies_fits_and_what_is_left_out_is_counted() -> None:
    loud = [
        PlanRuling(name=f"p{number}", digest="", path="p.rego", denies=tuple("é" * 480 for _ in range(50)))
        for number in range(100)
    ]
    open_ = [msgspec.structs.replace(UNDECIDED, notes=("n" * 500,) * 50) for _ in range(100)]
    run = replace(WAITING, plan=replace(PLAN, rulings=tuple(loud), approvals=tuple(open_)))
    for state in (RunState.FAILED, RunState.UNCONFIRMED, RunState.PENDING_REVIEW):
        report = check_report(view_of(replace(run, state=state)))
        assert len(report.summary.encode()) < 65_535
        assert "What 99 more policies said is on the run's page." in report.summary


def test_a_plan_that_is_not_approved_offers_no_confirm_and_says_where_it_stands() -> None:
    open_ = ApprovalRuling(
        name="two-eyes", digest="d2", path="policies/two.rego", decision=Approval.UNDECIDED, approved_by=("alice",)
    )
    report = check_report(view_of(judged(approvals=(open_,))))
    assert report.title.endswith("waiting for approval")
    assert [button.label for button in report.buttons] == ["Discard", "Replan"]
    assert "⬜ policy `two-eyes` needs an approval: 1 approval (`alice`), 0 rejections" in report.summary
    assert f"`/trackside approve {RUN_ID}` vouches for it" in report.summary
    assert "two-eyes` gave no answer (`timeout: x`)" in words_policy.undecided(
        ApprovalRuling(name="two-eyes", digest="", path="", decision=Approval.UNDECIDED, failure="timeout: x")
    )


def test_a_plan_that_a_new_policy_has_not_judged_offers_a_replan_and_no_confirm() -> None:
    report = check_report(replace(view_of(WAITING), unjudged=("cost",)))
    assert report.title.endswith("a policy has not judged it")
    assert [button.label for button in report.buttons] == ["Discard", "Replan"]
    assert "made before `cost` could judge it" in report.summary


def test_a_preview_that_waits_for_reviews_says_what_ends_it() -> None:
    run = judged(approvals=(UNDECIDED,), run=replace(WAITING, type=RunType.PROPOSED, state=RunState.PENDING_REVIEW))
    report = check_report(view_of(run))
    assert report.title.endswith("waiting for review")
    assert f"`/trackside discard {RUN_ID}` ends it without one." in report.summary
    assert "needs an approval" in report.summary


def test_who_confirms_is_said_where_more_than_a_permission_is_asked_for() -> None:
    rules = ConfirmRules(roles=("maintain",), teams=("platform", "sre"), not_author=True)
    report = check_report(replace(view_of(WAITING), confirm_rules=rules, owner="acme"))
    assert (
        "Whoever confirms it has write permission, has the role `maintain`, is a member of `acme/platform` or "
        "`acme/sre` and neither made the change nor asked for the run." in report.summary
    )
    admins = check_report(replace(view_of(WAITING), confirm_rules=ConfirmRules(permission=Permission.ADMIN)))
    assert "Whoever confirms it has admin permission." in admins.summary
    assert "Whoever confirms it" not in check_report(view_of(WAITING)).summary


def test_what_everybody_can_read_has_counts_and_states_and_nothing_of_the_plan() -> None:
    waiting = check_report(replace(view_of(WAITING), is_veiled=True))
    assert waiting.title.startswith("+1 ~1 -1")
    assert "terraform_data" not in f"{waiting.summary}{waiting.text}"
    assert "What changes is on [the run's page](<https://trackside.example/runs/01J>)" in waiting.text
    failed = replace(WAITING, state=RunState.FAILED, plan=None, reason='Error: value "s3cret" is not known')
    report = check_report(replace(view_of(failed), is_veiled=True))
    assert "s3cret" not in f"{report.title}{report.summary}{report.text}"
    assert "Why is on [the run's page]" in report.summary


def test_a_bot_is_marked_as_one() -> None:
    run = replace(WAITING, triggered_by="renovate[bot]")
    assert "by `renovate[bot]` (bot)" in check_report(view_of(run)).summary


def test_refusals_say_why_and_the_way_on() -> None:
    run = judged(approvals=(UNDECIDED,))
    assert words_policy.needs_approval(run, [UNDECIDED], "/trackside") == (
        "Not done: plan 1 of `network` is not approved: policy `two-eyes` needs an approval: 0 approvals, "
        "0 rejections. `/trackside approve network` approves it."
    )
    assert "`/trackside replan network` makes a plan that is judged" in words_policy.not_judged(
        run, ["c"], "/trackside"
    )
    assert "then repeat `/trackside confirm network`" in words_policy.moved(run, Verb.CONFIRM, "/trackside")
    assert (
        words_policy.rejected(
            replace(
                PLAN,
                approvals=(
                    ApprovalRuling(
                        name="two-eyes",
                        digest="",
                        path="two.rego",
                        decision=Approval.REJECTED,
                        lines=(7,),
                        notes=("no",),
                        rejected_by=("carol",),
                    ),
                ),
            )
        )
        == "policy two-eyes rejects the run (two.rego:7): rejected by carol\n  - no"
    )
    assert Digest(DENIED.digest) == DENIED.key[1]
