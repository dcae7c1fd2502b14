"""Commands that people give on the pages: a form becomes the same command as a button or a comment, and its answer is
shown on the page that the browser is sent back to.
"""

import re
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from app.core.choice import Choice
from app.core.command import MAX_NOTE, Command, Verb
from app.core.names import RunId, StackId, is_sha
from app.core.report_actions import ON_RUN, ON_STACK
from app.core.visitor import MAX_MESSAGE, Message
from app.core.words_login import FORM_UNREADABLE, NOTHING_TICKED
from app.flows.act import Pressed
from app.flows.answer import Done, Not
from app.web.doors_people import People
from app.web.form import Form
from app.web.gate import Gate, Guest
from app.web.templating import Renderer
from app.web.ulid import is_ulid

TICKED: Final = "ticked"
_DIGEST: Final = re.compile(r"[0-9a-f]{16}|")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Acting:
    """The forms of one process."""

    people: People
    gate: Gate
    render: Renderer

    def routes(self) -> list[Route]:
        """One for runs, one for stacks."""
        return [
            Route("/runs/{id}/{command}", self.gate.form(self.on_run), methods=["POST"]),
            Route("/stacks/{id}/{command}", self.gate.form(self.on_stack), methods=["POST"]),
        ]

    async def on_run(self, request: Request, guest: Guest, form: Form) -> Response:
        """POST /runs/<id>/<command>."""
        found, verb = str(request.path_params["id"]), _verb(request, ON_RUN)
        if guest.visitor is None or verb is None or not is_ulid(found):
            return self.render.error(404, "", guest)
        pressed = _pressed(verb, form)
        if pressed is None:
            return self.render.error(400, FORM_UNREADABLE, guest)
        result: Done | Not | None = Not(NOTHING_TICKED)
        if pressed.command.choice is None or pressed.command.choice.only:
            result = await self.gate.threaded(
                lambda visitor: self.people.act.on_run(visitor, RunId(found), pressed, reads_all=guest.reads_all),
                guest.visitor,
            )
        return await self._back(guest, f"/runs/{found}", result)

    async def on_stack(self, request: Request, guest: Guest, form: Form) -> Response:
        """POST /stacks/<id>/<command>."""
        found, verb = str(request.path_params["id"]), _verb(request, ON_STACK)
        if guest.visitor is None or verb is None or not is_ulid(found):
            return self.render.error(404, "", guest)
        head = form.one("head")
        if head and not is_sha(head):
            return self.render.error(400, FORM_UNREADABLE, guest)
        command = Command(verb=verb, note=_note(form), sha=head)
        result = await self.gate.threaded(
            lambda visitor: self.people.act.on_stack(visitor, StackId(found), command, reads_all=guest.reads_all),
            guest.visitor,
        )
        return await self._back(guest, f"/stacks/{found}", result)

    async def _back(self, guest: Guest, path: str, result: Done | Not | None) -> Response:
        """To the page, where the answer is shown; it is in no address, which others could send around."""
        if result is None or guest.visitor is None:
            return self.render.error(404, "", guest)
        message = Message(path=path, text=result.text[:MAX_MESSAGE], is_refusal=isinstance(result, Not))
        await self.gate.threaded(self.people.visits.leave, guest.visitor, message)
        return RedirectResponse(path, 303)


def _verb(request: Request, known: frozenset[Verb]) -> Verb | None:
    text = request.path_params["command"]
    return next((verb for verb in known if verb.value == text), None)


def _pressed(verb: Verb, form: Form) -> Pressed | None:
    """What the form says; None when no page of ours could have said it."""
    digest, number, changes = form.one("digest"), form.one("plan") or "0", form.all("change")
    is_ours = _DIGEST.fullmatch(digest) and _NUMBER.fullmatch(number)
    if not is_ours or not all(_NUMBER.fullmatch(one) for one in changes):
        return None
    is_part = verb is Verb.REPLAN and form.one("part") == TICKED
    choice = Choice(is_only=True, only=tuple(dict.fromkeys(changes))) if is_part else None
    command = Command(verb=verb, choice=choice, note=_note(form))
    return Pressed(command=command, digest_start=digest, shown_plan=int(number))


def _note(form: Form) -> str:
    return " ".join(form.one("note").split())[:MAX_NOTE]
