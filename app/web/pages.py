"""What people read: stacks, runs, changes, logs. HTML without scripts; every foreign word escaped and made visible.

The words of a run's state are those of its check run. A page that is not there and one that is not for this reader are
the same 404: `gate` knows who may see what. What is done on them is `acting`'s.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from app.core.deltastrip import MAX_MODULES, strip_svg
from app.core.names import RunId, StackId
from app.core.record import LogChunk
from app.core.reply import CheckReport, Conclusion
from app.core.report_actions import may_choose, page_actions, shown_digest, stack_actions
from app.core.report_check import check_name, check_prose, check_report
from app.core.report_choice import pulled_in
from app.core.runview import RunView, cause
from app.core.words_policy import heard
from app.core.words_stack import stack_prose
from app.flows.report_subject import make_view
from app.web.doors import Doors, RunDetail, StackDetail
from app.web.gate import Gate, Guest
from app.web.prose import prose
from app.web.static_files import static_files
from app.web.templating import Renderer, tone
from app.web.ulid import is_ulid
from app.web.visible import visible

CHANGES_ON_RUN: Final = 100
CHANGES_ON_PAGE: Final = 250
STACKS_ON_PAGE: Final = 500
OUTPUTS_ON_RUN: Final = 200
REVIEWS_ON_RUN: Final = 100
LOG_TAIL_BYTES: Final = 64 * 1024
MAX_PAGE: Final = 10_000
ENVELOPE_TYPE: Final = "application/vnd.dsse.envelope.v1+json"
REFRESH_S: Final = 4
"""How often the page of a run that moves by itself is loaded again."""

_RUN_ID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class LogTail:
    """The end of a run's log, and how much is before it."""

    text: str
    left_out_bytes: int

    @property
    def lines(self) -> list[str]:
        """The text, line by line."""
        return self.text.removesuffix("\n").split("\n")


@dataclass(frozen=True, slots=True)
class Said:
    """What became of a command, on the page that it was given on."""

    html: Markup
    is_refusal: bool


def log_tail(end: bytes, before: int) -> LogTail:
    """The end of a log, from the beginning of a line on where `before` bytes are left out."""
    text = end.partition(b"\n")[2] or end if before else end
    return LogTail(visible(text.decode("utf-8", "replace")), before + len(end) - len(text))


def run_view(detail: RunDetail, doors: Doors) -> RunView:
    """The run as its check run sees it, so that page and check say the same; a page is for those who may read it."""
    url = f"{doors.public_url}/runs/{detail.run.id}"
    view = make_view(detail.run, detail.facts, run_url=url, prefix=doors.command_prefix)
    return replace(view, is_veiled=False, summary=detail.summary, whole=detail.whole, blocked_by=detail.blocked_by)


class Pages:
    """The pages of one process."""

    def __init__(self, doors: Doors, gate: Gate, renderer: Renderer) -> None:
        self._doors, self._reading, self._gate, self._renderer = doors, doors.reading, gate, renderer
        self._static = static_files()

    def routes(self) -> list[Route]:
        """All pages, and the files that they need; the last stands for every address that is none."""
        page = self._gate.page
        return [
            Route("/", page(self.overview)),
            Route("/stacks/{stack_id}", page(self.stack)),
            Route("/runs/{run_id}", page(self.run)),
            Route("/runs/{run_id}/changes", page(self.changes)),
            Route("/runs/{run_id}/log", page(self.log)),
            Route("/runs/{run_id}/strip.svg", page(self.strip)),
            Route("/runs/{run_id}/attestation", page(self.attestation)),
            Route("/static/{name}", self.static),
            Route("/{path:path}", page(self.nothing)),
        ]

    async def nothing(self, _request: Request, guest: Guest) -> Response:
        """What is not there, or not for them."""
        return self._renderer.error(404, "", guest)

    async def overview(self, _request: Request, guest: Guest) -> Response:
        """GET /: what waits for a person, stacks, recent runs."""
        seen, not_asked = await self._gate.overview(guest)
        stacks, more = seen.stacks[:STACKS_ON_PAGE], max(len(seen.stacks) - STACKS_ON_PAGE, 0)
        names = {one.stack.id: one.repository for one in seen.stacks}
        return await self._page(
            "overview.html",
            guest,
            stacks=stacks,
            stacks_more=more,
            runs=seen.runs,
            waiting=seen.waiting,
            throttled=seen.throttled,
            repositories=names,
            not_asked=not_asked,
        )

    async def stack(self, request: Request, guest: Guest) -> Response:
        """GET /stacks/<id>."""
        stack_id = _id(request, "stack_id")
        detail = await self._threaded(self._reading.find_stack, StackId(stack_id)) if stack_id else None
        if detail is None or not await self._gate.may_see(guest, detail.repository, is_veiled=_is_veiled(detail)):
            return await self.nothing(request, guest)
        stack = detail.stack
        return await self._page(
            "stack.html",
            guest,
            detail=detail,
            stack=stack,
            repository=detail.repository,
            said=prose(stack_prose(stack, self._doors.command_prefix)),
            actions=stack_actions(stack) if guest.visitor is not None else (),
            message=await self._message(guest, f"/stacks/{stack_id}"),
        )

    async def run(self, request: Request, guest: Guest) -> Response:
        """GET /runs/<id>: state, what to do, changes, outputs, history, the end of the log."""
        detail = await self._run_detail(request, guest)
        if detail is None:
            return await self.nothing(request, guest)
        tail = await self._threaded(self._tail, detail.run.id)
        view = run_view(detail, self._doors)
        check = check_report(view)
        changes = detail.summary.changes if detail.summary is not None else ()
        message = await self._message(guest, f"/runs/{detail.run.id}")
        is_refused = message is not None and message.is_refusal
        return await self._page(
            "run.html",
            guest,
            **self._of_run(detail, guest),
            view=view,
            title=check.title,
            kind=_kind(check, view),
            said=prose(check_prose(view), _linked(view)),
            pulled_in=frozenset(change.number for change in pulled_in(view)),
            modules=detail.summary.modules[:MAX_MODULES] if detail.summary is not None else (),
            changes=changes[:CHANGES_ON_RUN],
            changes_more=len(changes) - len(changes[:CHANGES_ON_RUN]),
            outputs=view.outputs[:OUTPUTS_ON_RUN],
            outputs_more=max(len(view.outputs) - OUTPUTS_ON_RUN, 0),
            reviews=heard(detail.reviews, detail.run)[-REVIEWS_ON_RUN:],
            reviews_before=max(len(detail.reviews) - REVIEWS_ON_RUN, 0),
            log=tail,
            offers=page_actions(view),
            message=message,
            # A refusal is shown once: it stays until whoever reads it goes on.
            refresh_s=REFRESH_S if tone(detail.run.state) == "live" and not is_refused else 0,
        )

    async def changes(self, request: Request, guest: Guest) -> Response:
        """GET /runs/<id>/changes?page=N: every change of the newest plan."""
        detail, number = await self._run_detail(request, guest), _page_number(request)
        if detail is None or detail.summary is None or number is None:
            return await self.nothing(request, guest)
        changes = detail.summary.changes
        first = (number - 1) * CHANGES_ON_PAGE
        shown = changes[first : first + CHANGES_ON_PAGE]
        if number > 1 and not shown:
            return await self.nothing(request, guest)
        return await self._page(
            "changes.html",
            guest,
            **self._of_run(detail, guest),
            changes=shown,
            number=number,
            is_last=first + CHANGES_ON_PAGE >= len(changes),
        )

    async def log(self, request: Request, guest: Guest) -> Response:
        """GET /runs/<id>/log: all of it, as plain text."""
        detail = await self._run_detail(request, guest)
        if detail is None:
            return await self.nothing(request, guest)
        chunks = await self._threaded(self._reading.read_log, detail.run.id)
        return StreamingResponse(self._log_pieces(chunks), media_type="text/plain")

    async def strip(self, request: Request, guest: Guest) -> Response:
        """GET /runs/<id>/strip.svg: the counts of the newest plan as coloured squares."""
        detail = await self._run_detail(request, guest)
        if detail is None or detail.run.plan is None:
            return await self.nothing(request, guest)
        return Response(strip_svg(detail.run.plan.delta), media_type="image/svg+xml")

    async def attestation(self, request: Request, guest: Guest) -> Response:
        """GET /runs/<id>/attestation: the DSSE envelope of what was applied."""
        detail = await self._run_detail(request, guest)
        if detail is None or not detail.attestation:
            return await self.nothing(request, guest)
        return Response(detail.attestation, media_type=ENVELOPE_TYPE)

    async def static(self, request: Request) -> Response:
        """GET /static/<name>: style and icon; the same for everyone."""
        found = self._static.get(request.path_params["name"])
        if found is None:
            return self._renderer.error(404, "")
        content, media_type = found
        return Response(content, headers={"cache-control": "public, max-age=300"}, media_type=media_type)

    async def _log_pieces(self, chunks: Iterator[LogChunk]) -> AsyncIterator[bytes]:
        while (chunk := await self._threaded(next, chunks, None)) is not None:
            yield chunk.text

    async def _run_detail(self, request: Request, guest: Guest) -> RunDetail | None:
        """The run of the address; None when there is none, or none for them."""
        run_id = _id(request, "run_id")
        detail = await self._threaded(self._reading.find_run, RunId(run_id)) if run_id else None
        if detail is None:
            return None
        is_theirs = await self._gate.may_see(guest, detail.repository, is_veiled=detail.facts.is_veiled)
        return detail if is_theirs else None

    async def _message(self, guest: Guest, path: str) -> Said | None:
        """What became of what they did last, if it is for this page; shown once."""
        if guest.visitor is None or guest.visitor.session.message is None or self._gate.people is None:
            return None
        message = await self._threaded(self._gate.people.visits.take, guest.visitor, path)
        return Said(prose(message.text, _RUN_ID.findall(message.text)), message.is_refusal) if message else None

    def _tail(self, run_id: RunId) -> LogTail:
        return log_tail(*self._reading.read_log_end(run_id, limit=LOG_TAIL_BYTES))

    def _of_run(self, detail: RunDetail, guest: Guest) -> dict[str, Any]:
        run = detail.run
        return {
            "run": run,
            "detail": detail,
            "facts": detail.facts,
            "summary": detail.summary,
            "repository": detail.repository,
            "check": check_name(run),
            "cause": cause(run),
            "prefix": self._doors.command_prefix,
            "may_choose": guest.visitor is not None and may_choose(run),
            "digest": shown_digest(run),
        }

    async def _page(self, template: str, guest: Guest, **values: Any) -> Response:
        return await self._threaded(self._renderer.page, template, values, 200, guest)

    async def _threaded(self, call: Callable[..., _T], *arguments: Any) -> _T:
        return await self._gate.threaded(call, *arguments)


def _id(request: Request, name: str) -> str:
    """The identifier of the address; empty when it has no form."""
    text: str = request.path_params[name]
    return text if is_ulid(text) else ""


def _is_veiled(detail: StackDetail) -> bool:
    repository = detail.repository
    return repository is None or detail.stack.settings.veils(is_private=repository.is_private)


def _kind(check: CheckReport, view: RunView) -> str:
    """The colour of what the check says: decide, bad, or none."""
    if check.conclusion is Conclusion.ACTION_REQUIRED:
        return "decide"
    return "bad" if check.conclusion is Conclusion.FAILURE or view.stack_hold else ""


def _linked(view: RunView) -> frozenset[str]:
    """The other runs that the check names."""
    blocker = view.blocked_by.id if view.blocked_by is not None else ""
    before = (view.run.retry_of or "", view.run.caused_by or "", view.failed_before)
    return frozenset((blocker, *before, *(one.run_id for one in view.triggered))) - {""}


def _page_number(request: Request) -> int | None:
    text = request.query_params.get("page", "1")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    return number if 1 <= number <= MAX_PAGE else None
