"""Check suites and check runs by GitHub's rules: what a request may say, what a completed run may become, who clicks.

Callers hold the mutex. Source: https://docs.github.com/rest/checks/runs
"""

from datetime import datetime, timedelta
from typing import Any, Final

from app.core.names import ZERO_SHA
from app.sandbox import events
from app.sandbox.clock import parse_iso
from app.sandbox.errors import ApiError, SandboxError, invalid, unprocessable
from app.sandbox.records import CheckRun, CheckSuite, Repository, User
from app.sandbox.world import World

STATUSES: Final = ("queued", "in_progress", "completed")
CONCLUSIONS: Final = ("action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out")
MOST_ACTIONS: Final = 3
MOST_ANNOTATIONS: Final = 50
MOST_OF_ONE_NAME: Final = 1000
LONGEST: Final = {"label": 20, "description": 40, "identifier": 20}
LONGEST_TEXT: Final = 65_535
STALE_AFTER: Final = timedelta(days=14)
_WORST_FIRST: Final = ("failure", "timed_out", "cancelled", "action_required", "stale", "success", "neutral", "skipped")

Json = dict[str, Any]


def open_suite(
    world: World, repo: Repository, sha: str, *, branch: str | None, before: str | None, by: User
) -> CheckSuite:
    """The App's check suite of a commit; made, and `requested` sent, when there is none yet."""
    known = repo.suites.get(sha)
    if known is not None:
        return known
    now = world.now()
    before = None if before == ZERO_SHA else before
    suite = repo.suites[sha] = CheckSuite(world.next_id(), sha, branch, before, now, now)
    events.check_suite(world, repo, suite, "requested", by)
    return suite


def create(world: World, repo: Repository, fields: Json) -> CheckRun:
    """Make a check run from a request's body. Raises: ApiError 422 for what GitHub refuses."""
    for name in ("name", "head_sha"):
        if not fields.get(name):
            raise unprocessable(f'"{name}" wasn\'t supplied.')
    sha = fields["head_sha"]
    if not isinstance(sha, str) or repo.git.find(sha) != sha:
        raise ApiError(422, f"No commit found for SHA: {sha}")
    status, conclusion = _state(fields)
    now = world.now()
    suite = open_suite(world, repo, sha, branch=None, before=None, by=world.app.bot)
    run = CheckRun(world.next_id(), suite, _text(fields, "name", 255), sha, status or "queued", now)
    change = _read_change(fields, is_new=True)
    _apply(world, run, change, conclusion)
    repo.check_runs[run.id] = run
    _forget_oldest(repo, run)
    events.check_run(world, repo, run, "created", world.app.bot)
    _settle(world, repo, run)
    return run


def update(world: World, repo: Repository, run: CheckRun, fields: Json) -> CheckRun:
    """Change a check run as a request's body says. Raises: ApiError 422, also for taking a completed one back."""
    status, conclusion = _state(fields)
    if run.status == "completed" and status not in (None, "completed"):
        raise invalid("CheckRun", "status", "invalid", f"a completed check run cannot be set back to {status}")
    if status == "completed" and conclusion is None and run.conclusion is None:
        raise unprocessable('"conclusion" is required when "status" is "completed".')
    change = _read_change(fields, is_new=False, title=run.title)
    was_completed = run.status == "completed"
    run.status = status or run.status
    if "name" in fields:
        run.name = _text(fields, "name", 255)
    _apply(world, run, change, conclusion)
    if not was_completed or conclusion is not None:
        _settle(world, repo, run)
    return run


def _state(fields: Json) -> tuple[str | None, str | None]:
    status, conclusion = fields.get("status"), fields.get("conclusion")
    if status is not None and status not in STATUSES:
        raise unprocessable(f'"status" is not one of {", ".join(STATUSES)}: {status!r}.')
    if conclusion is not None and conclusion not in CONCLUSIONS:
        raise unprocessable(f'"conclusion" is not one of {", ".join(CONCLUSIONS)}: {conclusion!r}.')
    if conclusion is not None:
        if status not in (None, "completed"):
            raise unprocessable(f'"conclusion" is given, but "status" is {status!r}, not "completed".')
        return "completed", conclusion
    if status == "completed" and "conclusion" not in fields and "head_sha" in fields:
        raise unprocessable('"conclusion" is required when "status" is "completed".')
    return status, None


def _text(fields: Json, name: str, longest: int = LONGEST_TEXT) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise unprocessable(f'"{name}" is not a string.')
    if len(value) > longest:
        raise unprocessable(f'Only {longest:,} characters are allowed in "{name}"; {len(value):,} were supplied.')
    return value


def _moment(fields: Json, name: str) -> datetime:
    try:
        return parse_iso(_text(fields, name))
    except ValueError as error:
        raise unprocessable(f'"{name}" is not a valid ISO 8601 date: {fields[name]!r}.') from error


def _read_change(fields: Json, *, is_new: bool, title: str | None = None) -> Json:
    """Check everything before anything is changed. Shape: attribute of CheckRun to new value."""
    change: Json = {
        name: _text(fields, name) for name in ("details_url", "external_id") if fields.get(name) is not None
    }
    if "details_url" in change and not change["details_url"].startswith(("http://", "https://")):
        raise invalid("CheckRun", "details_url", "custom", "details_url must use http or https scheme")
    change |= {name: _moment(fields, name) for name in ("started_at", "completed_at") if fields.get(name) is not None}
    if fields.get("actions") is not None:
        change["actions"] = _read_actions(fields["actions"])
    if fields.get("output") is not None:
        change |= _read_output(fields["output"], is_new=is_new, title=title)
    return change


def _read_actions(actions: Any) -> list[dict[str, str]]:
    if not isinstance(actions, list) or not all(isinstance(action, dict) for action in actions):
        raise unprocessable('"actions" is not an array of objects.')
    if len(actions) > MOST_ACTIONS:
        raise unprocessable(
            f"For 'properties/actions', no more than {MOST_ACTIONS} items are allowed; {len(actions)} were supplied."
        )
    for action in actions:
        for name, longest in LONGEST.items():
            if not action.get(name):
                raise unprocessable(f"For 'properties/actions', \"{name}\" wasn't supplied.")
            _text(action, name, longest)
    return [{name: action[name] for name in LONGEST} for action in actions]


def _read_output(output: Any, *, is_new: bool, title: str | None) -> Json:
    if not isinstance(output, dict):
        raise unprocessable('"output" is not an object.')
    if output.get("summary") is None or (output.get("title") is None and (is_new or title is None)):
        missing = "summary" if output.get("summary") is None else "title"
        raise unprocessable(f"For 'properties/output', \"{missing}\" wasn't supplied.")
    change: Json = {name: _text(output, name) for name in ("title", "summary", "text") if output.get(name) is not None}
    annotations = output.get("annotations") or []
    if not isinstance(annotations, list) or len(annotations) > MOST_ANNOTATIONS:
        raise unprocessable(f"For 'properties/output/annotations', no more than {MOST_ANNOTATIONS} items are allowed.")
    change["annotations"] = [_read_annotation(one) for one in annotations]
    return change


def _read_annotation(one: Any) -> Json:
    if not isinstance(one, dict):
        raise unprocessable("An annotation is not an object.")
    for name in ("path", "start_line", "end_line", "annotation_level", "message"):
        if one.get(name) is None:
            raise unprocessable(f"For 'properties/output/annotations', \"{name}\" wasn't supplied.")
    if one["annotation_level"] not in {"notice", "warning", "failure"}:
        raise unprocessable(f'"annotation_level" is not one of notice, warning, failure: {one["annotation_level"]!r}.')
    if not all(isinstance(one[name], int) and one[name] > 0 for name in ("start_line", "end_line")):
        raise unprocessable('"start_line" and "end_line" are line numbers from 1.')
    columns = [name for name in ("start_column", "end_column") if one.get(name) is not None]
    if one["end_line"] < one["start_line"] or (columns and one["start_line"] != one["end_line"]):
        raise unprocessable("An annotation ends before it starts, or has columns on several lines.")
    _text(one, "message", 65_536)
    return dict(one)


def _apply(world: World, run: CheckRun, change: Json, conclusion: str | None) -> None:
    run.annotations += change.pop("annotations", [])
    for name, value in change.items():
        setattr(run, name, value)
    if conclusion is not None:
        run.status, run.conclusion = "completed", conclusion
        run.completed_at = change.get("completed_at") or world.now()


def _forget_oldest(repo: Repository, run: CheckRun) -> None:
    same = [one.id for one in repo.check_runs.values() if one.suite is run.suite and one.name == run.name]
    for number in same[:-MOST_OF_ONE_NAME]:
        del repo.check_runs[number]


def _settle(world: World, repo: Repository, run: CheckRun) -> None:
    """Bring the suite's state up to its runs; send what completed."""
    suite, latest = run.suite, list_runs(world, repo, run.head_sha)
    suite.updated_at = world.now()
    if run.status == "completed":
        events.check_run(world, repo, run, "completed", world.app.bot)
    if any(one.status != "completed" for one in latest):
        suite.status, suite.conclusion = "in_progress", None
        return
    found = {one.conclusion for one in latest}
    suite.status, suite.conclusion = "completed", next(word for word in _WORST_FIRST if word in found)
    events.check_suite(world, repo, suite, "completed", world.app.bot)


def list_runs(world: World, repo: Repository, sha: str, *, latest: bool = True) -> list[CheckRun]:
    """The check runs of a commit, newest first; `latest` leaves one of each name. Old ones turn stale here."""
    found = sorted((run for run in repo.check_runs.values() if run.head_sha == sha), key=lambda run: -run.id)
    for run in found:
        if run.status != "completed" and world.now() - run.started_at > STALE_AFTER:
            run.status, run.conclusion, run.completed_at = "completed", "stale", world.now()
    if not latest:
        return found
    names: dict[str, CheckRun] = {}
    for run in found:
        names.setdefault(run.name, run)
    return list(names.values())


def press(world: World, repo: Repository, run: CheckRun, wanted: str, by: User) -> None:
    """Click a button by its label or identifier. Raises: SandboxError when GitHub would not show it."""
    action = next((one for one in run.actions if wanted in (one["identifier"], one["label"])), None)
    if action is None:
        offered = ", ".join(one["label"] for one in run.actions) or "none"
        raise SandboxError(f"check run {run.name!r} ({run.id}) does not offer {wanted!r}; its buttons: {offered}")
    if not world.shows_buttons(repo, run):
        why = "it is not completed" if run.status != "completed" else "its commit is in no pull request"
        raise SandboxError(f"GitHub shows no buttons on check run {run.name!r} ({run.id}): {why}")
    press_raw(world, repo, run, action["identifier"], by)


def press_raw(world: World, repo: Repository, run: CheckRun, identifier: str, by: User) -> None:
    """Send `requested_action` whatever the check run offers now: the click of somebody with an old page open."""
    events.check_run(world, repo, run, "requested_action", by, requested_action={"identifier": identifier})


def rerequest(world: World, repo: Repository, run: CheckRun, by: User) -> None:
    """Ask for a check run again: its suite is reset, the App hears `rerequested`."""
    run.suite.status, run.suite.conclusion = "queued", None
    events.check_run(world, repo, run, "rerequested", by)


def rerequest_suite(world: World, repo: Repository, suite: CheckSuite, by: User) -> None:
    """Ask for all checks of a commit again."""
    suite.status, suite.conclusion = "queued", None
    events.check_suite(world, repo, suite, "rerequested", by)
