"""The door of the REST API: finds the route, asks who calls and whether they may, runs it under the mutex, keeps count.

Routes register themselves with `route` in the modules `routes_*`. A request that no route knows is a 501, remembered.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from starlette.routing import compile_path

from app.sandbox import access
from app.sandbox.access import Caller
from app.sandbox.errors import ApiError, SandboxError, not_found
from app.sandbox.records import CheckRun, Deployment, Pull, Repository, RequestRecord
from app.sandbox.trouble import CUT
from app.sandbox.world import World

Json = dict[str, Any]
Record = TypeVar("Record")
VERSIONS: Final = ("2022-11-28", "2026-03-10")
MOST_PER_PAGE: Final = 100
GRAPHQL: Final = "/graphql"
"""Its queries are sent by POST, and create nothing."""
_GONE_FROM_2026: Final = frozenset({"merge_commit_sha"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route gives back: a JSON value (None: an empty body), a status, headers of its own."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the HTTP door hands it over; `path` is below the API's root."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """A request on its way through a route: who, which repository, which parameters."""

    world: World
    request: Request
    caller: Caller
    params: Mapping[str, Any]
    found: Repository | None = None

    @property
    def repo(self) -> Repository:
        """The repository that the path names. Raises: ApiError 404 for a path that names none."""
        if self.found is None:
            raise not_found()
        return self.found

    @property
    def fields(self) -> Json:
        """The body as an object; an empty body is an empty one. Raises: ApiError 400 for what is not JSON."""
        if not self.request.body.strip():
            return {}
        try:
            value = json.loads(self.request.body)
        except ValueError as error:
            raise ApiError(400, "Problems parsing JSON") from error
        if not isinstance(value, dict):
            raise ApiError(400, "Body should be a JSON object")
        return value

    def number(self, name: str, default: int) -> int:
        """A query parameter as a number."""
        text = self.request.query.get(name, "")
        return int(text) if text.isdigit() else default

    def sha(self, revision: str) -> str:
        """The commit that a path names: SHA, branch, tag or full ref. Raises: ApiError 422 as GitHub words it."""
        for candidate in (f"refs/heads/{revision}", f"refs/tags/{revision}", f"refs/{revision}", revision):
            if "^" not in candidate and "~" not in candidate and (sha := self.repo.git.find(candidate)):
                return sha
        raise ApiError(422, f"No commit found for SHA: {revision}")

    def pull(self) -> Pull:
        """The pull request that the path names. Raises: ApiError 404."""
        return _one(self.repo.pulls, self.params["number"])

    def check_run(self) -> CheckRun:
        """The check run that the path names. Raises: ApiError 404."""
        return _one(self.repo.check_runs, self.params["id"])

    def deployment(self) -> Deployment:
        """The deployment that the path names. Raises: ApiError 404."""
        return _one(self.repo.deployments, self.params["id"])

    def page(self, items: Sequence[Any], shape: Callable[[Any], Json], *, key: str = "") -> Answer:
        """One page of items with GitHub's Link header; under `key` beside total_count when it is given."""
        size = max(1, min(MOST_PER_PAGE, self.number("per_page", 30)))
        at = max(1, self.number("page", 1))
        last = max(1, -(-len(items) // size))
        shown = [shape(item) for item in items[(at - 1) * size : at * size]]
        links = {"prev": at - 1, "first": 1} if at > 1 else {}
        links |= {"next": at + 1, "last": last} if at < last else {}
        url = f"{self.world.api_url}{self.request.path}"
        parts = [
            f'<{url}?{urlencode({**self.request.query, "page": number})}>; rel="{name}"'
            for name, number in links.items()
        ]
        body: Any = {"total_count": len(items), key: shown} if key else shown
        return Answer(body, 200, {"Link": ", ".join(parts)} if parts else {})


def _one(items: Mapping[int, Record], number: int) -> Record:
    if number not in items:
        raise not_found()
    return items[number]


Handler = Callable[[Call], Answer]


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    pattern: re.Pattern[str]
    convertors: Mapping[str, Any]
    handler: Handler
    needs: tuple[str, ...]
    auth: str
    segments: int


_ROUTES: Final[list[_Route]] = []


def route(method: str, path: str, *needs: str, auth: str = "repository") -> Callable[[Handler], Handler]:
    """Register a handler. `needs`: one of these (`checks:write`). `auth`: repository, app, installation or anyone."""

    def register(handler: Handler) -> Handler:
        pattern, _, convertors = compile_path(path)
        _ROUTES.append(_Route(method, pattern, convertors, handler, needs, auth, path.count("/")))
        return handler

    return register


def answer(world: World, request: Request) -> Answer:
    """Answer one request of the API, whatever it is: never raises for what a client can do wrong."""
    with world.mutex:
        caller, kind = Caller("none"), "none"
        try:
            caller = access.identify(world, request.headers.get("authorization"))
            kind = caller.kind
            result = _answer(world, request, caller)
        except ApiError as error:
            kind = "bad" if error.message == "Bad credentials" else kind
            result = Answer(error.body(), error.status, error.headers)
        except SandboxError as error:
            result = Answer(ApiError(422, str(error)).body(), 422)
        version = request.headers.get("x-github-api-version", VERSIONS[0])
        if version == VERSIONS[1]:
            result = Answer(_without_gone(result.body), result.status, result.headers)
        world.requests.append(RequestRecord(request.method, request.path, result.status, kind))
        if result.status == 501:
            world.unknown_requests.append(world.requests[-1])
        return Answer(result.body, result.status, _common_headers(world, caller, version) | dict(result.headers))


def _answer(world: World, request: Request, caller: Caller) -> Answer:
    if request.headers.get("x-github-api-version", VERSIONS[0]) not in VERSIONS:
        raise ApiError(400, f"Only versions {', '.join(VERSIONS)} are supported.")
    if not request.headers.get("user-agent"):
        raise ApiError(
            403, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header"
        )
    if world.trouble.is_down:
        raise ApiError(503, "No server is currently available to service your request.")
    found = _find(request)
    if found is None:
        return Answer(ApiError(501, f"The sandbox has no route {request.method} {request.path}").body(), 501)
    _spend(world, request, caller)
    failure = world.trouble.take_failure(request.method, request.path)
    if failure is None:
        return _run(world, request, caller, *found)
    status, after_work = failure
    if after_work:
        _run(world, request, caller, *found)
    if status == CUT:
        return Answer(None, CUT)
    raise ApiError(status, "Server Error" if status >= 500 else "Trouble was asked for")


def _find(request: Request) -> tuple[_Route, Json] | None:
    """The matching route with the longest template, so that a revision with slashes swallows no other route."""
    best: tuple[_Route, Json] | None = None
    for one in _ROUTES:
        match = one.pattern.match(request.path) if one.method == request.method else None
        if match is not None and (best is None or one.segments > best[0].segments):
            best = one, {name: one.convertors[name].convert(text) for name, text in match.groupdict().items()}
    return best


def _spend(world: World, request: Request, caller: Caller) -> None:
    if request.path != "/rate_limit" and not world.rates.spend(caller.rate_key):
        raise ApiError(403, f"API rate limit exceeded for {caller.rate_key}.")
    wait_s = 0
    if request.path != GRAPHQL and caller.token is not None:
        wait_s = world.secondary.spend(caller.rate_key, request.method)
    if request.path != GRAPHQL and world.trouble.take_secondary(request.method):
        wait_s = world.trouble.retry_after_s
    if wait_s:
        wait = {"retry-after": str(wait_s)}
        text = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
        raise ApiError(403, text, headers=wait)


def _run(world: World, request: Request, caller: Caller, one: _Route, params: Json) -> Answer:
    repo = None
    if one.auth == "app" and caller.kind != "app":
        raise ApiError(401, "A JSON web token could not be decoded")
    if one.auth == "installation" and caller.token is None:
        raise ApiError(403, "You must authenticate with an installation access token in order to call this endpoint.")
    if "owner" in params or "repository_id" in params:
        repo = _repository(world, params)
        if one.auth == "repository":
            if caller.kind == "app":
                raise ApiError(403, "Resource not accessible by integration")
            access.require(world, caller, repo, one.needs, method=request.method)
    return one.handler(Call(world, request, caller, params, repo))


def _repository(world: World, params: Json) -> Repository:
    if "repository_id" in params:
        repo = world.repositories.get(params["repository_id"])
    else:
        repo = world.find_repository(params["owner"], params["repo"])
    if repo is None:
        raise not_found()
    return repo


def _common_headers(world: World, caller: Caller, version: str) -> dict[str, str]:
    window, now = world.rates.window(caller.rate_key), world.now()
    return {
        "Date": format_datetime(now, usegmt=True),
        "x-github-request-id": f"SAND:{len(world.requests):06X}",
        "x-github-api-version-selected": version,
        "x-github-media-type": "github.v3; format=json",
        "x-ratelimit-limit": str(window.limit),
        "x-ratelimit-remaining": str(window.remaining),
        "x-ratelimit-used": str(window.limit - window.remaining),
        "x-ratelimit-reset": str(window.reset_at),
        "x-ratelimit-resource": "core",
    }


def _without_gone(value: Any) -> Any:
    """The same value without the keys that API version 2026-03-10 took away."""
    if isinstance(value, dict):
        return {key: _without_gone(item) for key, item in value.items() if key not in _GONE_FROM_2026}
    return [_without_gone(item) for item in value] if isinstance(value, list) else value
