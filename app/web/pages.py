"""What people read: stacks, runs, changes, logs. HTML without scripts; every foreign word escaped and made visible.

The words of a run's state are those of its check run. A page that is not there and one that is not for this reader are
the same 404.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from app.core.deltastrip import MAX_MODULES, strip_svg
from app.core.names import RunId, StackId
from app.core.record import LogChunk
from app.core.reply import CheckReport, Conclusion
from app.core.report_check import check_name, check_prose, check_report
from app.core.report_choice import pulled_in
from app.core.runview import RunView, cause
from app.core.words_policy import heard
from app.core.words_stack import stack_prose
from app.flows.report_subject import make_view
from app.web.access import Access
from app.web.doors import Doors, RunDetail
from app.web.prose import prose
from app.web.static_files import static_files
from app.web.templating import make_templates, tone
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

    def __init__(self, doors: Doors, access: Access) -> None:
        self._doors, self._reading, self._access = doors, doors.reading, access
        self._templates = make_templates()
        self._threads = CapacityLimiter(doors.database_connections)
        self._static = static_files()

    def routes(self) -> list[Route]:
        """All pages, and the files that they need."""
        return [
            Route("/", self.overview),
            Route("/stacks/{stack_id}", self.stack),
            Route("/runs/{run_id}", self.run),
            Route("/runs/{run_id}/changes", self.changes),
            Route("/runs/{run_id}/log", self.log),
            Route("/runs/{run_id}/strip.svg", self.strip),
            Route("/runs/{run_id}/attestation", self.attestation),
            Route("/static/{name}", self.static),
        ]

    def error(self, status: int, text: str) -> Response:
        """A page for a status; 404 has one text, whatever the cause."""
        return self._render("error.html", {"status": status, "text": "" if status == 404 else text}, status)

    async def overview(self, request: Request) -> Response:
        """GET /: what waits for a person, stacks, recent runs."""
        if not self._access.may_read_pages(request.scope):
            return self.error(404, "")
        seen = await self._threaded(self._reading.overview)
        stacks, more = seen.stacks[:STACKS_ON_PAGE], max(len(seen.stacks) - STACKS_ON_PAGE, 0)
        names = {one.stack.id: one.repository for one in seen.stacks}
        return await self._page(
            "overview.html",
            stacks=stacks,
            stacks_more=more,
            runs=seen.runs,
            waiting=seen.waiting,
            throttled=seen.throttled,
            repositories=names,
        )

    async def stack(self, request: Request) -> Response:
        """GET /stacks/<id>."""
        stack_id = self._id(request, "stack_id")
        detail = await self._threaded(self._reading.find_stack, StackId(stack_id)) if stack_id else None
        if detail is None:
            return self.error(404, "")
        stack = detail.stack
        said = prose(stack_prose(stack, self._doors.command_prefix))
        return await self._page("stack.html", detail=detail, stack=stack, repository=detail.repository, said=said)

    async def run(self, request: Request) -> Response:
        """GET /runs/<id>: state, what to do, changes, outputs, history, the end of the log."""
        detail = await self._run_detail(request)
        if detail is None:
            return self.error(404, "")
        tail = await self._threaded(self._tail, detail.run.id)
        view = run_view(detail, self._doors)
        check = check_report(view)
        changes = detail.summary.changes if detail.summary is not None else ()
        return await self._page(
            "run.html",
            **self._of_run(detail),
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
            refresh_s=REFRESH_S if tone(detail.run.state) == "live" else 0,
        )

    async def changes(self, request: Request) -> Response:
        """GET /runs/<id>/changes?page=N: every change of the newest plan."""
        detail, number = await self._run_detail(request), _page_number(request)
        if detail is None or detail.summary is None or number is None:
            return self.error(404, "")
        changes = detail.summary.changes
        first = (number - 1) * CHANGES_ON_PAGE
        shown = changes[first : first + CHANGES_ON_PAGE]
        if number > 1 and not shown:
            return self.error(404, "")
        return await self._page(
            "changes.html",
            **self._of_run(detail),
            changes=shown,
            number=number,
            is_last=first + CHANGES_ON_PAGE >= len(changes),
        )

    async def log(self, request: Request) -> Response:
        """GET /runs/<id>/log: all of it, as plain text."""
        detail = await self._run_detail(request)
        if detail is None:
            return self.error(404, "")
        chunks = await self._threaded(self._reading.read_log, detail.run.id)
        return StreamingResponse(self._log_pieces(chunks), media_type="text/plain")

    async def strip(self, request: Request) -> Response:
        """GET /runs/<id>/strip.svg: the counts of the newest plan as coloured squares."""
        detail = await self._run_detail(request)
        if detail is None or detail.run.plan is None:
            return self.error(404, "")
        return Response(strip_svg(detail.run.plan.delta), media_type="image/svg+xml")

    async def attestation(self, request: Request) -> Response:
        """GET /runs/<id>/attestation: the DSSE envelope of what was applied."""
        detail = await self._run_detail(request)
        if detail is None or not detail.attestation:
            return self.error(404, "")
        return Response(detail.attestation, media_type=ENVELOPE_TYPE)

    async def static(self, request: Request) -> Response:
        """GET /static/<name>: style and icon; the same for everyone."""
        found = self._static.get(request.path_params["name"])
        if found is None:
            return self.error(404, "")
        content, media_type = found
        return Response(content, headers={"cache-control": "public, max-age=300"}, media_type=media_type)

    async def _log_pieces(self, chunks: Iterator[LogChunk]) -> AsyncIterator[bytes]:
        while (chunk := await self._threaded(next, chunks, None)) is not None:
            yield chunk.text

    async def _run_detail(self, request: Request) -> RunDetail | None:
        run_id = self._id(request, "run_id")
        return await self._threaded(self._reading.find_run, RunId(run_id)) if run_id else None

    def _id(self, request: Request, name: str) -> str:
        """The identifier of the address; empty when it has no form, or when this reader may see nothing."""
        text: str = request.path_params[name]
        return text if is_ulid(text) and self._access.may_read_pages(request.scope) else ""

    def _tail(self, run_id: RunId) -> LogTail:
        return log_tail(*self._reading.read_log_end(run_id, limit=LOG_TAIL_BYTES))

    def _of_run(self, detail: RunDetail) -> dict[str, Any]:
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
        }

    async def _page(self, template: str, **values: Any) -> Response:
        return await self._threaded(self._render, template, {**values, "server": self._doors.github_server_url})

    def _render(self, template: str, values: dict[str, Any], status: int = 200) -> Response:
        html = self._templates.get_template(template).render(values)
        return Response(html, status, media_type="text/html")

    async def _threaded(self, call: Callable[..., _T], *arguments: Any) -> _T:
        return await to_thread.run_sync(call, *arguments, limiter=self._threads)


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
