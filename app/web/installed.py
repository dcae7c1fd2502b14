"""The page to which GitHub leads whoever has installed the App, or has changed its installation.

Whoever may not see any of it gets a thank-you and no more: the number in its address is anybody's to guess. Everything
else of the set-up is not there once there is an App.
"""

import re
from dataclasses import replace
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.core.names import InstallationId
from app.core.visitor import may_see
from app.flows.installed import Installed
from app.web.doors import Doors
from app.web.gate import Gate, Guest
from app.web.templating import Renderer

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")


class InstalledPage:
    """The page of one process."""

    def __init__(self, doors: Doors, gate: Gate, renderer: Renderer) -> None:
        self._find, self._gate, self._renderer = doors.find_installed, gate, renderer

    def routes(self) -> list[Route]:
        """Its one address."""
        return [Route("/setup", self.installed)]

    async def installed(self, request: Request) -> Response:
        """GET /setup?installation_id=N: which repositories are served, and what is next; 404 without a number."""
        number = request.query_params.get("installation_id", "")
        if _NUMBER.fullmatch(number) is None:
            return self._renderer.error(404, "")
        guest = await self._gate.guest(request) if self._gate.may_come(request) else None
        if guest is None or (guest.visitor is None and not guest.reads_all):
            return self._renderer.page("installed.html", {"found": None})
        found = await self._gate.threaded(self._find, InstallationId(int(number)))
        if found is None and guest.reads_all:
            return self._renderer.error(404, "", guest)
        seen = found if found is None or guest.reads_all else await self._seen(guest, found)
        return self._renderer.page("installed.html", {"found": seen}, guest=guest)

    async def _seen(self, guest: Guest, found: Installed) -> Installed | None:
        """What the visitor may know of it; None: nothing. Raises: RetryableError without GitHub's word."""
        people = self._gate.people
        if not found.is_served or people is None or guest.visitor is None:
            return None
        repositories = [one.repository for one in found.served]
        known = await self._gate.threaded(people.visits.permissions, guest.visitor, repositories)
        served = tuple(
            one for one in found.served if may_see(known.permissions.get(one.repository.id), is_veiled=False)
        )
        return replace(found, served=served, more=0) if served else None
