"""Is the process alive, is everything it needs there, what does it count, and the schema of stacks.yml.

For load balancers, Prometheus and editors: nothing here names a repository, a stack or a person.
"""

from collections.abc import Mapping
from typing import Final

import structlog
from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response

from app.web.access import Access
from app.web.answers import encoded, problem
from app.web.doors import Doors
from app.web.metrics import CONTENT_TYPE, Metrics

MAX_WORDS: Final = 300
_log = structlog.get_logger("web.health")


class Health:
    """The four addresses of one process."""

    def __init__(self, doors: Doors, access: Access, metrics: Metrics) -> None:
        self._doors, self._access, self._metrics = doors, access, metrics
        self._threads = CapacityLimiter(2)

    async def healthz(self, _request: Request) -> Response:
        """200 as long as the process answers."""
        return encoded({"status": "ok"})

    async def readyz(self, _request: Request) -> Response:
        """200, or 503 with what is not ready."""
        wrong = await to_thread.run_sync(self._ask, limiter=self._threads)
        parts = {name: what[:MAX_WORDS] or "ok" for name, what in wrong.items()}
        is_ready = not any(wrong.values())
        content = {"status": "ready" if is_ready else "not ready", "parts": parts}
        if is_ready:
            return encoded(content)
        names = ", ".join(name for name, what in wrong.items() if what)
        return encoded({"error": f"not ready: {names}", **content}, 503)

    async def metrics(self, request: Request) -> Response:
        """200 with the numbers, for whoever may read them; else 404."""
        if not self._access.may_read_metrics(request.scope):
            return problem(404, "there is nothing here; METRICS_TOKEN lets a scraper in")
        text = await to_thread.run_sync(self._expose, limiter=self._threads)
        return Response(text, media_type=None, headers={"content-type": CONTENT_TYPE})

    async def schema(self, _request: Request) -> Response:
        """200 with the JSON Schema of stacks.yml, for editors."""
        return _schema(self._doors.stacks_schema)

    async def organisation_schema(self, _request: Request) -> Response:
        """200 with the JSON Schema of an organisation's stacks.yml, for editors."""
        return _schema(self._doors.organisation_schema)

    def _ask(self) -> Mapping[str, str]:
        try:
            return self._doors.readiness()
        except Exception:
            _log.exception("asking what is ready broke")
            return {"readiness": "asking for it broke; the log of the web process says how"}

    def _expose(self) -> bytes:
        return self._metrics.expose(self._doors.gauges())


def _schema(schema: Mapping[str, object]) -> Response:
    return Response(
        encoded(schema).body,
        headers={"cache-control": "public, max-age=3600", "access-control-allow-origin": "*"},
        media_type="application/schema+json",
    )
