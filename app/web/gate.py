"""The gate of the pages: who comes, by their session; what they may read, as GitHub says; and whether a form is ours.

What is not there and what is not for somebody are the same answer. Stands around every page and every form.
"""

import hmac
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.core.budget import Spending
from app.core.event import Repository
from app.core.names import StackId
from app.core.visitor import HOME, Visitor, may_see, way_back
from app.core.words_login import FORM_FOREIGN
from app.web.access import Access
from app.web.body import BodyRefused
from app.web.cookies import Cookies, is_own
from app.web.doors import Doors, Overview, StackDetail
from app.web.doors_people import People
from app.web.form import Form, read_form
from app.web.guard import ErrorAnswer

RUNS_SHOWN: Final = 50
WAITING_SHOWN: Final = 100
RUNS_LOOKED_AT: Final = 500
"""Newest runs among which those are looked for that a person may see."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """Who looks at a page."""

    visitor: Visitor | None
    """None: nobody has said who they are, and nobody had to."""
    reads_all: bool
    """They read everything, whatever GitHub says."""
    can_log_in: bool
    path: str
    """Where they are: a path of ours."""

    @property
    def login(self) -> str:
        """Their login; empty: not known."""
        return self.visitor.login if self.visitor is not None else ""

    @property
    def csrf(self) -> str:
        """What their forms have to bring back."""
        return self.visitor.session.csrf if self.visitor is not None else ""

    @property
    def login_path(self) -> str:
        """Where they log in, and come back from."""
        return login_path(self.path)


PageHandler = Callable[[Request, Guest], Awaitable[Response]]
FormHandler = Callable[[Request, Guest, Form], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


class Gate:
    """The gate of one process."""

    def __init__(self, doors: Doors, access: Access, error: ErrorAnswer) -> None:
        self._doors, self._access, self._error = doors, access, error
        self._threads = CapacityLimiter(doors.database_connections)
        self.cookies = Cookies(doors.public_url.lower().startswith("https:"))

    @property
    def people(self) -> People | None:
        """What is for people who log in; None: nobody can."""
        return self._doors.people

    def may_come(self, request: Request) -> bool:
        """True when there is anything here for whoever asks."""
        return self._access.may_come(request.scope)

    @property
    def reads_all(self) -> bool:
        """True when nobody has to log in to read."""
        return self._access.reads_all

    def page(self, handler: PageHandler) -> Endpoint:
        """The page as an endpoint: whoever has to log in first is sent there, whether the page exists or not."""

        async def endpoint(request: Request) -> Response:
            if not self.may_come(request):
                return self._error(404, "")
            guest = await self.guest(request)
            if guest.visitor is None and not guest.reads_all:
                return RedirectResponse(guest.login_path, 303)
            return await handler(request, guest)

        return endpoint

    def form(self, handler: FormHandler) -> Endpoint:
        """What a form does, as an endpoint: for people who have logged in, from pages of ours alone."""

        async def endpoint(request: Request) -> Response:
            if not self.may_come(request):
                return self._error(404, "")
            guest = await self.guest(request)
            if guest.visitor is None:
                page = request.url.path.rpartition("/")[0]
                return RedirectResponse(login_path(page), 303)
            if not is_own(request.headers, self._doors.public_url):
                return self._error(403, FORM_FOREIGN)
            form = await read_form(request)
            if isinstance(form, BodyRefused):
                return self._error(form.status, form.error)
            if not hmac.compare_digest(form.one("csrf").encode("utf-8", "replace"), guest.csrf.encode()):
                return self._error(403, FORM_FOREIGN)
            return await handler(request, guest, form)

        return endpoint

    async def guest(self, request: Request) -> Guest:
        """Who asks, by their session."""
        token, people = self.cookies.session(request), self.people
        visitor = await self.threaded(people.visits.find, token) if people is not None and token else None
        query = f"?{request.url.query}" if request.url.query else ""
        return Guest(
            visitor=visitor,
            reads_all=self.reads_all,
            can_log_in=people is not None,
            path=way_back(request.url.path + query),
        )

    async def may_see(self, guest: Guest, repository: Repository | None, *, is_veiled: bool) -> bool:
        """Whether the guest may read what belongs to that repository. Raises: RetryableError without GitHub's word."""
        if guest.reads_all:
            return True
        if guest.visitor is None or self.people is None or repository is None:
            return False
        permission = await self.threaded(self.people.visits.permission, guest.visitor, repository)
        return may_see(permission, is_veiled=is_veiled)

    async def overview(self, guest: Guest) -> tuple[Overview, int]:
        """What the guest may see of everything, and how many repositories GitHub has not been asked about yet."""
        reading, people = self._doors.reading, self.people
        if guest.reads_all:
            return await self.threaded(lambda: reading.overview(runs=RUNS_SHOWN)), 0
        seen = await self.threaded(lambda: reading.overview(runs=RUNS_LOOKED_AT))
        if guest.visitor is None or people is None:
            return Overview(stacks=(), runs=()), 0
        repositories = [one.repository for one in seen.stacks if one.repository is not None]
        known = await self.threaded(people.visits.permissions, guest.visitor, repositories)
        stacks = [
            one
            for one in seen.stacks
            if one.repository is not None
            and may_see(known.permissions.get(one.repository.id), is_veiled=_is_veiled(one, one.repository))
        ]
        return _narrowed(seen, stacks), known.not_asked

    async def threaded(self, call: Callable[..., _T], *arguments: Any) -> _T:
        """What the call gives, made on a thread: it waits for a database, or for GitHub."""
        return await to_thread.run_sync(call, *arguments, limiter=self._threads)


def login_path(back: str) -> str:
    """Where one logs in, to come back to that path."""
    back = way_back(back)
    return "/login" if back == HOME else f"/login?back={quote(back, safe='/')}"


def _is_veiled(one: StackDetail, repository: Repository) -> bool:
    return one.stack.settings.veils(is_private=repository.is_private)


def _narrowed(seen: Overview, stacks: Iterable[StackDetail]) -> Overview:
    """What belongs to those stacks, and nothing else."""
    kept = tuple(stacks)
    ids: frozenset[StackId] = frozenset(one.stack.id for one in kept)
    mine = {one.repository.installation_id for one in kept if one.repository is not None}
    throttled: tuple[Spending, ...] = tuple(one for one in seen.throttled if one.installation_id in mine)
    return replace(
        seen,
        stacks=kept,
        runs=tuple(run for run in seen.runs if run.stack_id in ids)[:RUNS_SHOWN],
        waiting=tuple(run for run in seen.waiting if run.stack_id in ids)[:WAITING_SHOWN],
        throttled=throttled,
    )
