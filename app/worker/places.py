"""What a plan report says beside the plan: where the configuration describes what changes, and the engine's warnings.

Everything leaves redacted; paths are those of the repository.
"""

from collections.abc import Sequence

import msgspec

from app.core.place import MAX_LINE, repository_path
from app.core.plan import Kind, PlanSummary, Remark
from app.engine.hclblocks import find_blocks
from app.engine.messages import Diagnostic
from app.engine.terraform import Planned
from app.worker.job import Job

MAX_DETAIL_CHARS = 4_000


def with_places(job: Job, summary: PlanSummary, planned: Planned) -> PlanSummary:
    """The summary, with the blocks of what changes and the engine's warnings."""
    addresses = [f"output.{one.address}" if one.kind is Kind.OUTPUT else one.address for one in summary.changes]
    return msgspec.structs.replace(
        summary,
        blocks=find_blocks(job.workspace.source, job.assignment.project_root, addresses),
        remarks=remarks_of(job, planned.warnings),
        remarks_left_out=planned.warnings_left_out,
    )


def remarks_of(job: Job, diagnostics: Sequence[Diagnostic]) -> tuple[Remark, ...]:
    """Diagnostics as they may leave the worker."""
    return tuple(_remark(job, one) for one in diagnostics)


def _remark(job: Job, one: Diagnostic) -> Remark:
    path = repository_path(job.assignment.project_root, one.filename) if one.filename else ""
    return Remark(
        is_error=one.is_error,
        summary=job.log.redact(one.summary),
        detail=job.log.redact(one.detail)[:MAX_DETAIL_CHARS],
        address=job.log.redact(one.address),
        path=job.log.redact(path),
        line=min(max(one.line, 0), MAX_LINE) if path else 0,
    )
