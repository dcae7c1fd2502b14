"""/external: CI marks what a queued run waits for. Authorised by the one token of EXTERNAL_TOKEN; closed without one.

Form here, meaning behind the door.
"""

import msgspec
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.core.errors import UserError
from app.core.names import RunId
from app.core.run import ExternalState
from app.web.access import bearer
from app.web.answers import encoded, problem
from app.web.body import BodyRefused, read_body
from app.web.doors import Doors
from app.web.ulid import is_ulid

MAX_BODY_BYTES = 4096
MARKS = (ExternalState.FINISHED, ExternalState.SKIPPED, ExternalState.FAILED)


class Mark(msgspec.Struct, frozen=True):
    """The body: what became of the dependency."""

    state: ExternalState


class External:
    """The routes of one process."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    def routes(self) -> list[Route]:
        """Everything under /external."""
        return [Route("/{run_id}/{dependency:path}", self.mark, methods=["POST"])]

    async def mark(self, request: Request) -> Response:
        """200 with what follows from it; 401, 404 for what can be no run, 422 when the run does not wait for that."""
        if not bearer(request.scope, self._doors.external_token):
            return problem(401, "checking the token: it is not the one of EXTERNAL_TOKEN")
        run_id, name = request.path_params["run_id"], request.path_params["dependency"]
        if not is_ulid(run_id) or not 0 < len(name) <= 200:
            return problem(404, "looking up the run: there is none")
        body = await read_body(request.scope, request.receive, max_bytes=MAX_BODY_BYTES)
        if isinstance(body, BodyRefused):
            return problem(body.status, body.error)
        try:
            mark = msgspec.json.decode(body, type=Mark)
        except (ValueError, RecursionError):
            mark = None
        if mark is None or mark.state not in MARKS:
            return problem(400, 'reading the body: write {"state": "finished"}, "skipped" or "failed"')
        try:
            said = await to_thread.run_sync(self._doors.mark_external, RunId(run_id), name, mark.state)
        except UserError as error:
            return problem(422, str(error))
        return encoded({"said": said})
