"""API routes of checks and deployments.

Source: https://docs.github.com/rest/checks, https://docs.github.com/rest/deployments
"""

from app.sandbox import checks, deployments, shapes_talk
from app.sandbox.api import Answer, Call, route
from app.sandbox.errors import ApiError, not_found
from app.sandbox.records import CheckSuite


def _refuse_if_told(call: Call) -> None:
    if call.repo.refuse_check_runs:
        raise ApiError(403, "Resource not accessible by integration")


def _suite(call: Call) -> CheckSuite:
    found = next((suite for suite in call.repo.suites.values() if suite.id == call.params["id"]), None)
    if found is None:
        raise not_found()
    return found


@route("POST", "/repos/{owner}/{repo}/check-runs", "checks:write")
def create_check_run(call: Call) -> Answer:
    """A new check run."""
    _refuse_if_told(call)
    run = checks.create(call.world, call.repo, call.fields)
    return Answer(shapes_talk.check_run(call.world, call.repo, run), 201)


@route("PATCH", "/repos/{owner}/{repo}/check-runs/{id:int}", "checks:write")
def update_check_run(call: Call) -> Answer:
    """Change a check run."""
    _refuse_if_told(call)
    run = checks.update(call.world, call.repo, call.check_run(), call.fields)
    return Answer(shapes_talk.check_run(call.world, call.repo, run))


@route("GET", "/repos/{owner}/{repo}/check-runs/{id:int}", "checks:read")
def get_check_run(call: Call) -> Answer:
    """One check run."""
    return Answer(shapes_talk.check_run(call.world, call.repo, call.check_run()))


@route("GET", "/repos/{owner}/{repo}/check-runs/{id:int}/annotations", "checks:read")
def list_annotations(call: Call) -> Answer:
    """A check run's annotations, as they were sent."""
    defaults = dict.fromkeys(("start_column", "end_column", "title", "raw_details"))
    run = call.check_run()
    url = f"{call.world.server_url}/{call.repo.full_name}/blob/{run.head_sha}/"
    return call.page(run.annotations, lambda one: defaults | one | {"blob_href": url + one["path"]})


@route("POST", "/repos/{owner}/{repo}/check-runs/{id:int}/rerequest", "checks:write")
def rerequest_check_run(call: Call) -> Answer:
    """Ask for a check run again."""
    checks.rerequest(call.world, call.repo, call.check_run(), call.caller.actor)
    return Answer({}, 201)


@route("GET", "/repos/{owner}/{repo}/commits/{ref:path}/check-runs", "checks:read")
def list_check_runs(call: Call) -> Answer:
    """The check runs of a commit, newest first."""
    query, sha = call.request.query, call.sha(call.params["ref"])
    found = checks.list_runs(call.world, call.repo, sha, latest=query.get("filter", "latest") != "all")
    if query.get("app_id", str(call.world.app.id)) != str(call.world.app.id):
        found = []
    for name, value in (("check_name", "name"), ("status", "status")):
        found = [run for run in found if query.get(name) in (None, getattr(run, value))]
    return call.page(found, lambda run: shapes_talk.check_run(call.world, call.repo, run), key="check_runs")


@route("GET", "/repos/{owner}/{repo}/commits/{ref:path}/check-suites", "checks:read")
def list_check_suites(call: Call) -> Answer:
    """The check suites of a commit: the App's own, since the sandbox has one App."""
    suite = call.repo.suites.get(call.sha(call.params["ref"]))
    items = [suite] if suite else []
    return call.page(items, lambda one: shapes_talk.check_suite(call.world, call.repo, one), key="check_suites")


@route("GET", "/repos/{owner}/{repo}/check-suites/{id:int}", "checks:read")
def get_check_suite(call: Call) -> Answer:
    """One check suite."""
    return Answer(shapes_talk.check_suite(call.world, call.repo, _suite(call)))


@route("GET", "/repos/{owner}/{repo}/check-suites/{id:int}/check-runs", "checks:read")
def list_suite_check_runs(call: Call) -> Answer:
    """The check runs of a suite, newest first."""
    latest = call.request.query.get("filter", "latest") != "all"
    found = checks.list_runs(call.world, call.repo, _suite(call).head_sha, latest=latest)
    return call.page(found, lambda run: shapes_talk.check_run(call.world, call.repo, run), key="check_runs")


@route("POST", "/repos/{owner}/{repo}/check-suites/{id:int}/rerequest", "checks:write")
def rerequest_check_suite(call: Call) -> Answer:
    """Ask for all checks of a commit again."""
    checks.rerequest_suite(call.world, call.repo, _suite(call), call.caller.actor)
    return Answer({}, 201)


@route("POST", "/repos/{owner}/{repo}/deployments", "deployments:write")
def create_deployment(call: Call) -> Answer:
    """A new deployment, or the news that the default branch was merged first."""
    made = deployments.create(call.world, call.repo, call.fields, call.caller.actor)
    if isinstance(made, str):
        return Answer({"message": made}, 202)
    return Answer(shapes_talk.deployment(call.world, call.repo, made), 201)


@route("GET", "/repos/{owner}/{repo}/deployments", "deployments:read")
def list_deployments(call: Call) -> Answer:
    """Deployments, newest first."""
    found = sorted(call.repo.deployments.values(), key=lambda one: -one.id)
    for name in ("sha", "ref", "task", "environment"):
        wanted = call.request.query.get(name)
        found = [one for one in found if wanted in (None, "none", getattr(one, name))]
    return call.page(found, lambda one: shapes_talk.deployment(call.world, call.repo, one))


@route("GET", "/repos/{owner}/{repo}/deployments/{id:int}", "deployments:read")
def get_deployment(call: Call) -> Answer:
    """One deployment."""
    return Answer(shapes_talk.deployment(call.world, call.repo, call.deployment()))


@route("POST", "/repos/{owner}/{repo}/deployments/{id:int}/statuses", "deployments:write")
def create_deployment_status(call: Call) -> Answer:
    """A new step in a deployment's history."""
    one = call.deployment()
    status = deployments.add_status(call.world, call.repo, one, call.fields, call.caller.actor)
    return Answer(shapes_talk.deployment_status(call.world, call.repo, one, status), 201)


@route("GET", "/repos/{owner}/{repo}/deployments/{id:int}/statuses", "deployments:read")
def list_deployment_statuses(call: Call) -> Answer:
    """A deployment's history, newest first."""
    one = call.deployment()
    return call.page(one.statuses[::-1], lambda item: shapes_talk.deployment_status(call.world, call.repo, one, item))
