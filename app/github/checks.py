"""Check runs: made, updated, retired, found again. What they say comes complete from core; here it is only carried.

Source: https://docs.github.com/rest/checks/runs
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from app.core.errors import BrokenError
from app.core.event import Repository
from app.core.names import Sha
from app.core.reply import MAX_ANNOTATIONS, Annotation, CheckReport, CheckStatus
from app.github.api import Ask, of_repository, read_answer
from app.github.caller import Caller
from app.github.refusals import NotFoundError
from app.github.shapes import Number

CHECKS: Final = "/repos/{owner}/{repo}/check-runs"
ONE: Final = CHECKS + "/{check}"
WRITE: Final = "checks: write"
PAGE: Final = 100
MAX_PAGES: Final = 10
"""GitHub keeps 1,000 check runs of one name in a suite."""
RETIRED: Final = "A newer check run of this name has replaced this one; its buttons are gone."


class CreatedShape(msgspec.Struct, frozen=True):
    """Of whatever was made: its number."""

    id: Number


class _CheckRun(msgspec.Struct, frozen=True):
    id: Number
    external_id: str | None = None


class _Output(msgspec.Struct, frozen=True):
    annotations_count: int = 0


class _Annotated(msgspec.Struct, frozen=True):
    output: _Output | None = None


class _CheckRuns(msgspec.Struct, frozen=True):
    check_runs: Annotated[list[_CheckRun], msgspec.Meta(max_length=PAGE)]


def create(caller: Caller, repository: Repository, report: CheckReport) -> int:
    """Post a new check run; its number."""
    ask = Ask(
        doing=f"creating check run {report.name} on {repository.full_name}",
        method="POST",
        route=CHECKS,
        values=of_repository(repository),
        body=_body(report, report.annotations[:MAX_ANNOTATIONS]) | {"head_sha": report.head_sha},
        needs=WRITE,
    )
    return read_answer(ask, caller.as_installation(repository, ask), CreatedShape).id


def update(caller: Caller, repository: Repository, check_run_id: int, report: CheckReport) -> bool:
    """Make a check run say what the report says; buttons that it does not name are gone. Its annotations are added to
    those that are there. False when it is gone itself."""
    return _patch(caller, repository, check_run_id, _body(report, report.annotations[:MAX_ANNOTATIONS]))


def has_annotations(caller: Caller, repository: Repository, check_run_id: int) -> bool:
    """True when the check run has any."""
    ask = Ask(
        doing=f"reading check run {check_run_id} on {repository.full_name}",
        method="GET",
        route=ONE,
        values=of_repository(repository, check=check_run_id),
        needs="checks: read",
    )
    output = read_answer(ask, caller.as_installation(repository, ask), _Annotated).output
    return output is not None and output.annotations_count > 0


def retire(caller: Caller, repository: Repository, check_run_id: int, title: str) -> None:
    """Take a check run's buttons and conclude it neutral."""
    output = {"title": title, "summary": RETIRED}
    body: dict[str, object] = {"status": "completed", "conclusion": "neutral", "output": output, "actions": []}
    _patch(caller, repository, check_run_id, body)


def find(caller: Caller, repository: Repository, sha: Sha, name: str, external_id: str) -> int | None:
    """The number of our newest check run of that commit, name and external id, or None."""
    for page in range(1, MAX_PAGES + 1):
        ask = Ask(
            doing=f"looking for check run {name} on {repository.full_name}",
            method="GET",
            route="/repos/{owner}/{repo}/commits/{sha}/check-runs",
            values=of_repository(repository, sha=sha),
            query={"check_name": name, "app_id": caller.app_id, "filter": "all", "per_page": PAGE, "page": page},
            needs="checks: read",
        )
        found = read_answer(ask, caller.as_installation(repository, ask), _CheckRuns).check_runs
        ours = [run.id for run in found if run.external_id == external_id]
        if ours:
            return max(ours)
        if len(found) < PAGE:
            return None
    return None


def _patch(caller: Caller, repository: Repository, check_run_id: int, body: dict[str, object]) -> bool:
    ask = Ask(
        doing=f"updating check run {check_run_id} on {repository.full_name}",
        method="PATCH",
        route=ONE,
        values=of_repository(repository, check=check_run_id),
        body=body,
        needs=WRITE,
    )
    try:
        caller.as_installation(repository, ask)
    except NotFoundError:
        return False
    return True


def _body(report: CheckReport, annotations: Sequence[Annotation] = ()) -> dict[str, object]:
    if (report.conclusion is not None) != (report.status is CheckStatus.COMPLETED):
        raise BrokenError(f"writing check run {report.name}: {report.status} with conclusion {report.conclusion}")
    output: dict[str, object] = {"title": report.title, "summary": report.summary}
    if annotations:
        output["annotations"] = [_annotation(one) for one in annotations]
    body: dict[str, object] = {
        "name": report.name,
        "external_id": report.external_id,
        "details_url": report.details_url,
        "status": report.status.value,
        "output": output | ({"text": report.text} if report.text else {}),  # an empty text shows as an empty box
        "actions": [
            {"label": one.label, "description": one.description, "identifier": one.identifier} for one in report.buttons
        ],
    }
    return body if report.conclusion is None else body | {"conclusion": report.conclusion.value}


def _annotation(one: Annotation) -> dict[str, object]:
    return {
        "path": one.path,
        "start_line": one.line,
        "end_line": max(one.end_line, one.line),
        "annotation_level": one.level.value,
        "title": one.title,
        "message": one.message,
    }
