"""The page to which GitHub leads whoever has installed the App, or has changed its installation.

Without a look at the pages it is a thank-you and no more: the number in its address is anybody's to guess. Everything
else of the set-up is not there once there is an App.
"""

import re
from collections.abc import Callable
from typing import Final

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.core.names import InstallationId
from app.web.access import Access
from app.web.doors import Doors
from app.web.templating import make_templates

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")


class InstalledPage:
    """The page of one process."""

    def __init__(self, doors: Doors, access: Access, error: Callable[[int, str], Response]) -> None:
        self._find, self._access, self._error = doors.find_installed, access, error
        self._templates = make_templates()

    def routes(self) -> list[Route]:
        """Its one address."""
        return [Route("/setup", self.installed)]

    async def installed(self, request: Request) -> Response:
        """GET /setup?installation_id=N: which repositories are served, and what is next; 404 without a number."""
        number = request.query_params.get("installation_id", "")
        if _NUMBER.fullmatch(number) is None:
            return self._error(404, "")
        found, may_read = None, self._access.may_read_pages(request.scope)
        if may_read:
            found = await to_thread.run_sync(self._find, InstallationId(int(number)))
            if found is None:
                return self._error(404, "")
        html = self._templates.get_template("installed.html").render(found=found)
        return Response(html, media_type="text/html")
