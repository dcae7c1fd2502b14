"""Remarks on the files of a commit: which block says what, and what a hostile worker cannot make of them."""

from dataclasses import replace
from typing import Any

import pytest

from app.core.place import repository_path
from app.core.plan import Action, Block, Change, Delta, Kind, PlanSummary, Remark
from app.core.reply import MAX_ANNOTATIONS, Annotation, AnnotationLevel
from app.core.report import check_report
from app.core.report_annotations import annotations
from app.core.ruling import PlanRuling
from app.core.run import RunState
from app.core.runview import RunView
from tests.core.made import CONFIRMED, WAITING, run_in, view_of

NODE = Block(address="terraform_data.node", path="infra/main.tf", start_line=3, end_line=7)
APP = Block(address="module.app.terraform_data.x", path="modules/app/x.tf", start_line=1, end_line=1)


def destroyed(number: int, address: str, **given: Any) -> Change:
    plain: dict[str, Any] = {"action": Action.DELETE, "reason": "delete_because_count_index"}
    return Change(number=number, kind=Kind.RESOURCE, address=address, **(plain | given))


def planned(*changes: Change, blocks: tuple[Block, ...] = (NODE, APP), remarks: tuple[Remark, ...] = ()) -> RunView:
    return view_of(WAITING, summary=PlanSummary(delta=Delta(), changes=changes, blocks=blocks, remarks=remarks))


def short(one: Annotation) -> tuple[str, int, int, str, str]:
    return one.path, one.line, one.end_line, one.level.value, one.title


def test_a_block_says_once_what_all_of_its_instances_lose() -> None:
    changes = [destroyed(at + 1, f"terraform_data.node[{at}]") for at in range(25)]
    changes.append(destroyed(26, 'module.app["a.b"].terraform_data.x', action=Action.REPLACE, reason=""))
    found = annotations(planned(*changes, destroyed(27, "terraform_data.elsewhere")))
    assert [short(one) for one in found] == [
        ("infra/main.tf", 3, 7, "warning", "this plan destroys 25 of these"),
        ("modules/app/x.tf", 1, 1, "warning", "this plan replaces this"),
    ]
    lines = found[0].message.splitlines()
    assert lines[0] == "1. destroy terraform_data.node[0]: its index is beyond count"
    assert (len(lines), lines[-1]) == (21, "and 5 more")


def test_what_is_created_updated_or_an_output_marks_nothing() -> None:
    others = [destroyed(1, "terraform_data.node", action=action) for action in (Action.CREATE, Action.UPDATE)]
    output = Change(number=3, kind=Kind.OUTPUT, action=Action.DELETE, address="terraform_data.node")
    assert annotations(planned(*others, output)) == ()


def test_a_warning_and_an_error_stand_on_their_lines() -> None:
    warned = Remark(summary="Check failed", detail="It is\nnot healthy.", address="check.up", path="main.tf", line=12)
    found = annotations(planned(remarks=(warned, Remark(summary="of no file"))))
    assert [short(one) for one in found] == [("main.tf", 12, 0, "warning", "Check failed")]
    assert found[0].message == "check.up\nIt is\nnot healthy."
    failed = replace(view_of(run_in(RunState.FAILED)), remarks=(replace_error(warned),))
    assert [one.level for one in check_report(failed).annotations] == [AnnotationLevel.FAILURE]


def replace_error(remark: Remark) -> Remark:
    return Remark(is_error=True, summary=remark.summary, path=remark.path, line=remark.line)


def test_a_denial_stands_on_the_block_that_its_message_names() -> None:
    inner = Block(address="terraform_data.x", path="main.tf", start_line=9, end_line=9)
    view = planned(destroyed(1, "terraform_data.node[1]"), blocks=(NODE, APP, inner))
    rulings = tuple(
        PlanRuling(name=name, path=f"{name}.rego", digest="d", denies=(message,))
        for name, message in (
            ("keep-nodes", "terraform_data.node[1] must stay"),
            ("keep-apps", 'not module.app["a"].terraform_data.x!'),
            ("general", "nobody touches terraform_data.nodes on Friday"),
        )
    )
    assert WAITING.plan is not None
    failed = replace(WAITING, state=RunState.FAILED, plan=replace(WAITING.plan, rulings=rulings))
    view = replace(view, run=failed)
    assert annotations(replace(view, is_veiled=True)) == ()
    assert [short(one) for one in check_report(view).annotations] == [
        ("infra/main.tf", 3, 7, "failure", "denied by plan policy keep-nodes"),
        ("modules/app/x.tf", 1, 1, "failure", "denied by plan policy keep-apps"),
        ("infra/main.tf", 3, 7, "warning", "this plan destroys this"),
    ]


def test_the_check_of_an_apply_marks_no_change_again() -> None:
    view = planned(destroyed(1, "terraform_data.node"))
    assert check_report(view).annotations
    for state in (RunState.APPLYING, RunState.FINISHED):
        assert check_report(replace(view, run=replace(CONFIRMED, state=state))).annotations == ()


def test_the_weightiest_are_sent_and_the_others_counted() -> None:
    blocks = tuple(Block(address=f"a.b{at}", path="main.tf", start_line=at + 1, end_line=at + 1) for at in range(60))
    replaces = [destroyed(at + 1, f"a.b{at}", action=Action.REPLACE) for at in range(55)]
    destroys = [destroyed(at + 1, f"a.b{at}") for at in range(55, 60)]
    warned = Remark(summary="Deprecated", path="main.tf", line=70)
    view = planned(*replaces, *destroys, blocks=blocks, remarks=(warned,))
    report = check_report(view)
    assert [one.title for one in report.annotations] == ["this plan destroys this"] * 5 + [
        "this plan replaces this"
    ] * 45, "no warning among them"
    assert "\n\n11 more annotations are not shown.\n\n" in report.summary

    assert WAITING.plan is not None
    ruling = PlanRuling(name="keep", path="keep.rego", digest="d", denies=tuple(f"a.b{at} stays" for at in range(48)))
    denied = replace(WAITING, state=RunState.FAILED, plan=replace(WAITING.plan, rulings=(ruling,)))
    failed = Remark(is_error=True, summary="Error", path="main.tf", line=80)
    report = check_report(replace(view, run=denied, remarks=(failed,)))
    assert [one.title for one in report.annotations] == [
        "Error",
        *["denied by plan policy keep"] * 48,
        "this plan destroys this",
    ]
    assert "60 more annotations are not shown" in report.summary


@pytest.mark.parametrize(
    ("errors", "said"), [(50, ""), (51, "1 more annotation is not shown."), (1_060, "1,010 more annotations are not")]
)
def test_what_one_request_takes_is_all_that_is_sent(errors: int, said: str) -> None:
    remarks = tuple(Remark(is_error=True, summary=f"e{at}", path="main.tf", line=at + 1) for at in range(errors))
    report = check_report(replace(view_of(run_in(RunState.FAILED)), remarks=remarks))
    assert [one.title for one in report.annotations] == [f"e{at}" for at in range(MAX_ANNOTATIONS)]
    assert said in report.summary
    assert ("not shown" in report.summary) is bool(said)


@pytest.mark.parametrize(
    ("path", "first", "last"),
    [
        ("../outside.tf", 1, 1),
        ("/etc/passwd", 1, 1),
        ("a/../../b.tf", 1, 1),
        ("a/./b.tf", 1, 1),
        (".git/config", 1, 1),
        ("", 1, 1),
        ("a\n.tf", 1, 1),
        ("a\u202e.tf", 1, 1),
        ("a\\b.tf", 1, 1),
        ("x" * 600, 1, 1),
        ("main.tf", 0, 1),
        ("main.tf", 5, 4),
        ("main.tf", 1, 10**9),
    ],
)
def test_a_place_that_a_worker_made_up_is_not_named(path: str, first: int, last: int) -> None:
    lie = Block(address="terraform_data.node", path=path, start_line=first, end_line=last)
    assert annotations(planned(destroyed(1, "terraform_data.node"), blocks=(lie,))) == ()


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        (("", "main.tf"), "main.tf"),
        (("infra/net", "main.tf"), "infra/net/main.tf"),
        (("infra/net", "../modules/x.tf"), "infra/modules/x.tf"),
        (("infra", "../../x.tf"), ""),
        (("infra", "/workspace/x.tf"), ""),
        (("infra", ".terraform/modules/a/x.tf"), ""),
        (("", ""), ""),
    ],
)
def test_paths_are_told_from_the_repositorys_root(parts: tuple[str, ...], path: str) -> None:
    assert repository_path(*parts) == path
