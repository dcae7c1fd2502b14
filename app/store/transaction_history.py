"""What only history needs, let go of by age or number: short statements on partial or primary indexes, bounded each.

Never a row that something points at: deliveries keep their GUID and outcome, assignments stay, quarantined states too.
"""

from typing import Final

from sqlalchemy import text

from app.store.wire import Wire

_LOGS: Final = text("""
WITH old AS (
    SELECT id FROM assignments
    WHERE ended_at < clock_timestamp() - make_interval(days => :kept_days)
      AND EXISTS (SELECT FROM log_chunks WHERE assignment_id = assignments.id)
    ORDER BY ended_at LIMIT :limit
), gone AS (
    DELETE FROM log_chunks WHERE assignment_id IN (SELECT id FROM old)
)
SELECT count(*) FROM old
""")
_BODIES: Final = text("""
WITH old AS (
    SELECT guid FROM deliveries
    WHERE received_at < clock_timestamp() - make_interval(days => :kept_days)
      AND outcome <> 'pending' AND octet_length(body) > 0
    ORDER BY received_at LIMIT :limit
), emptied AS (
    UPDATE deliveries SET body = '' WHERE guid IN (SELECT guid FROM old)
)
SELECT count(*) FROM old
""")
_VERSIONS: Final = text("""
DELETE FROM state_versions WHERE id IN (
    SELECT id FROM (
        SELECT id, seq, row_number() OVER (PARTITION BY stack_id ORDER BY seq DESC) AS place
        FROM state_versions WHERE NOT is_quarantined
    ) AS ranked
    WHERE place > :kept ORDER BY seq LIMIT :limit
)
RETURNING artifact_key
""")


class HistoryWrites(Wire):
    """Transaction methods about what grows."""

    def sweep_logs(self, *, kept_days: int, limit: int) -> int:
        """Let go of the logs of up to `limit` assignments that ended so many days ago; how many."""
        return int(self._scalar(_LOGS.bindparams(kept_days=kept_days, limit=limit)))

    def sweep_bodies(self, *, kept_days: int, limit: int) -> int:
        """Empty the bodies of deliveries that were carried out and are older; how many."""
        return int(self._scalar(_BODIES.bindparams(kept_days=kept_days, limit=limit)))

    def sweep_state_versions(self, *, kept: int, limit: int) -> list[str]:
        """Forget versions beyond each stack's newest; the keys of their artifacts."""
        return [row.artifact_key for row in self._all(_VERSIONS.bindparams(kept=kept, limit=limit))]
