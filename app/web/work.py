"""The worker's calls as one door: `claim` is assign's, everything after it conclude's."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO

from app.core.names import AssignmentId
from app.core.protocol import (
    ApplyRequest,
    Assignment,
    ClaimRequest,
    Heartbeat,
    HeartbeatAnswer,
    PlanAnswer,
    PlanReport,
    ResultReport,
    StageAnswer,
    StageReport,
    TransferAnswer,
    TransferRequest,
)
from app.core.workers import Drained
from app.flows.assign import Assign
from app.flows.conclude import Conclude


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Fits `app.web.doors.WorkDoor`."""

    assign: Assign
    conclude: Conclude

    def claim(self, pool: str, request: ClaimRequest) -> Assignment | Drained | None:
        """The next assignment of the pool, or None at once."""
        return self.assign.claim(pool, request)

    def authorise(self, assignment_id: AssignmentId, token: str) -> None:
        """Nothing, when that token belongs to that assignment. Raises: NotAuthorised."""
        self.conclude.authorise(assignment_id, token)

    def heartbeat(self, assignment_id: AssignmentId, token: str, beat: Heartbeat) -> HeartbeatAnswer:
        """Renew the lease."""
        return self.conclude.heartbeat(assignment_id, token, beat)

    def stage(self, assignment_id: AssignmentId, token: str, report: StageReport) -> StageAnswer:
        """The run moves on."""
        return self.conclude.stage(assignment_id, token, report)

    def add_log(self, assignment_id: AssignmentId, token: str, fencing: int, offset: int, data: bytes) -> None:
        """Keep a chunk of log."""
        self.conclude.add_log(assignment_id, token, fencing, offset, data)

    def report_plan(self, assignment_id: AssignmentId, token: str, report: PlanReport) -> PlanAnswer:
        """Take in a plan."""
        return self.conclude.report_plan(assignment_id, token, report)

    def begin_apply(self, assignment_id: AssignmentId, token: str, request: ApplyRequest) -> None:
        """Commit `applying`."""
        self.conclude.begin_apply(assignment_id, token, request)

    def report_result(self, assignment_id: AssignmentId, token: str, report: ResultReport) -> None:
        """The assignment is over."""
        self.conclude.report_result(assignment_id, token, report)

    def offer_archive(self, assignment_id: AssignmentId, token: str, asked: TransferRequest) -> TransferAnswer:
        """Where the workspace may be brought or fetched."""
        return self.conclude.offer_archive(assignment_id, token, asked)

    def put_archive(self, assignment_id: AssignmentId, token: str, fencing: int, chunks: Iterator[bytes]) -> None:
        """Store the workspace."""
        self.conclude.put_archive(assignment_id, token, fencing, chunks)

    def open_archive(self, assignment_id: AssignmentId, token: str, fencing: int) -> AbstractContextManager[BinaryIO]:
        """The stored workspace."""
        return self.conclude.open_archive(assignment_id, token, fencing)
