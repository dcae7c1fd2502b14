"""One request to GitHub's REST API and its answer: the one place where githubkit is called and its exceptions end.

githubkit's typed methods are not used: they exist for API versions whose models are not pinned here, import seconds of
models, and refuse a whole answer for one unknown word. `request()` with the few fields that we read does neither.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote

import httpx
import msgspec
import stamina

from app.core.errors import BrokenError, RetryableError
from app.core.event import Repository
from app.core.names import Secret
from app.github.config import AppConfig
from app.github.refusals import LIMIT_WAIT_S, LimitedError, Refusal, UnauthorisedError, to_error
from app.github.transport import SharedTransport

if TYPE_CHECKING:
    from githubkit import GitHubCore
    from githubkit.auth import UnauthAuthStrategy

Clock = Callable[[], datetime]
"""The present, aware UTC."""
OnRequest = Callable[[str, str, int], None]
"""Told of each request: method, route with its placeholders, status (0: no answer)."""

GRAPHQL: Final = "/graphql"
"""The route of every query."""
LOGIN: Final = "/login/oauth/access_token"
"""The route that is none of the API's: it is beside GitHub's pages, and is shown no token."""
MAX_HOPS: Final = 3
_REDIRECTS: Final = frozenset({301, 302, 307, 308})
_REFUSED: Final = 400
_ATTEMPTS: Final = 3
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question or order to GitHub."""

    doing: str
    """The action under way and its object, as error texts begin: `creating check run deploy/net on acme/infra`."""
    method: str
    route: str
    """With placeholders, so that it can label a metric: `/repos/{owner}/{repo}/check-runs`."""
    values: Mapping[str, str] = field(default_factory=dict)
    """What the placeholders stand for, unquoted."""
    query: Mapping[str, str | int] = field(default_factory=dict)
    body: Mapping[str, object] | None = field(default=None, repr=False)
    needs: str = ""
    """The permission that it takes, for the person who has to grant it."""
    is_question: bool = False
    """It changes nothing, though its method may: a query of GraphQL is sent by POST."""
    scheme: str = "Bearer"
    """How the token is shown: `Basic` for the App's client id and secret."""

    @property
    def may_be_repeated(self) -> bool:
        """True when asking twice is the same as asking once."""
        return self.method == "GET" or self.is_question

    def path(self) -> str:
        """The path, each value quoted whole. Raises: BrokenError for a value that would leave its place in it."""
        for name, value in self.values.items():
            if value in ("", ".", ".."):
                raise BrokenError(f"{self.doing}: {name} is {value!r}")
        return self.route.format(**{name: quote(value, safe="") for name, value in self.values.items()}).lstrip("/")


def of_repository(repository: Repository, **more: str | int) -> dict[str, str]:
    """The values of a route below `/repos/{owner}/{repo}`."""
    return {"owner": repository.owner, "repo": repository.name} | {name: str(value) for name, value in more.items()}


def read_answer(ask: Ask, answer: httpx.Response, shape: type[T]) -> T:
    """The answer's fields. Raises: RetryableError when it cannot be read: what was asked may have been done."""
    try:
        return msgspec.json.decode(answer.content, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RetryableError(f"{ask.doing}: GitHub's answer cannot be read: {error}") from error


class Api:
    """GitHub's REST API at one address. Thread-safe; `shut` it at the end."""

    def __init__(self, config: AppConfig, *, now: Clock, on_request: OnRequest | None = None) -> None:
        self._config, self._now = config, now
        self._root = httpx.URL(config.api_url.rstrip("/") + "/")
        self._graphql = _graphql_of(self._root)
        self._login = httpx.URL(config.server_url.rstrip("/") + LOGIN)
        self._on_request = on_request
        self._transport = SharedTransport()
        self._core: GitHubCore[UnauthAuthStrategy] | None = None
        self._lock = Lock()
        self.clock_skew_s: float | None = None
        """How far GitHub's clock was ahead of ours at its last answer, whatever it said; None before any."""

    def send(self, ask: Ask, token: Secret) -> httpx.Response:
        """The answer to one request, which was a success. An empty token: asked as nobody.

        A question is tried three times when nobody, or a broken server, answers; an order once: it may have been done.
        Raises: RetryableError (UnauthorisedError for 401), UserError (NotFoundError for 404, NotAccessibleError).
        """
        if not ask.may_be_repeated:
            return self._follow(ask, token)
        for attempt in stamina.retry_context(
            on=_is_worth_another, attempts=_ATTEMPTS, timeout=20, wait_max=2, wait_jitter=0.2
        ):
            with attempt:
                return self._follow(ask, token)
        raise BrokenError(f"{ask.doing}: the attempts ended without an end")

    def shut(self) -> None:
        """Close the connections."""
        self._transport.shut()

    def _follow(self, ask: Ask, token: Secret) -> httpx.Response:
        """Renamed and moved repositories answer with their new address; the request is repeated there as it is.

        Source: https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects
        """
        url = self._url_of(ask)
        for _ in range(MAX_HOPS):
            answer = self._exchange(ask, url, token)
            if answer.status_code not in _REDIRECTS:
                return answer
            url = self._next_hop(ask, answer)
        raise RetryableError(f"{ask.doing}: more than {MAX_HOPS} redirects")

    def _url_of(self, ask: Ask) -> httpx.URL:
        """Where it is sent: below the API's root, but for the two that are not."""
        if ask.route in (GRAPHQL, LOGIN):
            return self._graphql if ask.route == GRAPHQL else self._login
        return self._root.join(ask.path())

    def _next_hop(self, ask: Ask, answer: httpx.Response) -> httpx.URL:
        """Where a redirect leads; credentials never leave the API's own address."""
        try:
            target = answer.request.url.join(answer.headers.get("location", ""))
        except httpx.InvalidURL as error:
            raise RetryableError(f"{ask.doing}: GitHub redirects to no address") from error
        is_ours = (target.scheme, target.host, target.port) == (self._root.scheme, self._root.host, self._root.port)
        if not is_ours or not target.path.startswith(self._root.path):
            raise RetryableError(f"{ask.doing}: GitHub redirects away from its API ({answer.status_code})")
        return target

    def _exchange(self, ask: Ask, url: httpx.URL, token: Secret) -> httpx.Response:
        """One request on the wire. Refusals are raised as what they mean."""
        status = 0
        try:
            answer = self._request(ask, url, token)
            status = answer.status_code
            self._compare_clocks(answer)
        finally:
            if self._on_request is not None:
                self._on_request(ask.method, ask.route, status)
        if status < _REFUSED:
            return answer
        raise to_error(
            Refusal(
                doing=ask.doing,
                needs=ask.needs,
                status=status,
                headers=answer.headers,
                body=answer.content,
                now_s=self._now().timestamp(),
            )
        )

    def _compare_clocks(self, answer: httpx.Response) -> None:
        """Also for a refusal: a clock that is wrong is what some refusals are about."""
        try:
            told = parsedate_to_datetime(answer.headers.get("date", ""))
            self.clock_skew_s = (told - self._now()).total_seconds()
        except (ValueError, TypeError):  # no date, or one without a zone
            return

    def _request(self, ask: Ask, url: httpx.URL, token: Secret) -> httpx.Response:
        from githubkit.exception import RequestError, RequestFailed  # costs 200 ms, so not at start

        try:
            return (
                self._githubkit()
                .request(
                    ask.method,
                    url,
                    params=dict(ask.query) or None,
                    json=dict(ask.body) if ask.body is not None else None,
                    headers=self._headers(ask, token),
                )
                .raw_response
            )
        except RequestFailed as error:
            return error.response.raw_response
        except RequestError as error:
            raise RetryableError(f"{ask.doing}: no answer from GitHub ({type(error.exc).__name__})") from error
        except ValueError as error:  # githubkit reads retry-after as a number, which a proxy's may not be
            raise LimitedError(f"{ask.doing}: GitHub's limit is reached", retry_after_s=LIMIT_WAIT_S) from error

    def _headers(self, ask: Ask, token: Secret) -> httpx.Headers:
        """httpx's own type, whose repr hides the token should it ever be printed with a stack's variables."""
        shown = {"Authorization": f"{ask.scheme} {token.reveal()}"} if token else {}
        return httpx.Headers(
            {
                **shown,
                "Accept": "application/json" if ask.route == LOGIN else "application/vnd.github+json",
                "Accept-Encoding": "identity",  # so that the bound on bytes is one on what is unpacked, too
                "X-GitHub-Api-Version": self._config.api_version,
            }
        )

    def _githubkit(self) -> "GitHubCore[UnauthAuthStrategy]":
        """githubkit without its own credentials, retries, cache and redirects: each request brings its token."""
        from githubkit import GitHubCore, UnauthAuthStrategy  # costs 200 ms, so not at start

        with self._lock:
            if self._core is None:
                self._core = GitHubCore(
                    UnauthAuthStrategy(),
                    base_url=self._root,
                    user_agent="trackside",
                    follow_redirects=False,
                    timeout=self._config.timeout_s,
                    trust_env=False,
                    transport=self._transport,
                    http_cache=False,
                    auto_retry=False,
                )
            return self._core


def _graphql_of(root: httpx.URL) -> httpx.URL:
    """Where queries go: below the REST API's root, but on an Enterprise Server (`/api/v3/`) beside it.

    Source: https://docs.github.com/enterprise-server/graphql/guides/forming-calls-with-graphql#the-graphql-endpoint
    """
    return root.join("../graphql" if root.path.endswith("/api/v3/") else "graphql")


def _is_worth_another(error: Exception) -> bool:
    """True for trouble that did not say how long it takes and is not about credentials."""
    return (
        isinstance(error, RetryableError) and error.retry_after_s is None and not isinstance(error, UnauthorisedError)
    )
