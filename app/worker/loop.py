"""A worker process: slots that claim by long poll and execute what they get, until it is told to stop.

Reads the protocol from its outside: claim, hold, execute, again. A stopping worker gives planning runs back and waits
for those that apply, for a while; then it interrupts them.
"""

from contextlib import ExitStack, closing
from queue import Empty, SimpleQueue
from random import random
from threading import Event, Lock, Thread
from time import monotonic
from typing import Final

import structlog

from app.core.errors import RetryableError, TracksideError, UserError
from app.core.protocol import MAX_WAIT_S, Assignment, ClaimRequest, Outcome, ResultReport
from app.core.workers import MAX_ENGINES, MAX_LABEL_CHARS
from app.engine.files import is_disk_full
from app.engine.git import Mirror
from app.engine.leftovers import remove_leftovers
from app.engine.workspace import Workspace, WorkspaceRoot
from app.worker.client import ControlPlane, Drained, Hold
from app.worker.config import MakeCipher, WorkerConfig
from app.worker.ending import Ending
from app.worker.executor import execute, steps_of
from app.worker.identity import TokenFile
from app.worker.job import Job
from app.worker.lease import Lease
from app.worker.log import JobLog, LogShipper

_PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0)
"""How long to wait after the first, second, … claim in a row that broke."""
_DRAINED_PAUSE_S: Final = 5.0
"""How long a drained worker waits before it asks again: how soon it feels that it is resumed."""
_LOOK_S: Final = 0.1
_SPREAD: Final = 0.25
"""By how much of itself a poll may be shorter: workers that were started at once must not ask at once for ever."""
_log = structlog.get_logger(__name__)


class Worker:
    """One worker process."""

    def __init__(self, config: WorkerConfig, make_cipher: MakeCipher, *, mirror: Mirror | None = None) -> None:
        self._config, self._make_cipher = config, make_cipher
        self._mirror = mirror or Mirror(config.mirror_root)
        self._root = WorkspaceRoot(config.work_root)
        self._lock = Lock()
        self._endings: set[Ending] = set()
        self._stop = Event()
        self._engines: tuple[str, ...] = ()
        self._drained: set[str] = set()

    @property
    def config(self) -> WorkerConfig:
        """What it was told when it was made."""
        return self._config

    def run(self, stop: Event, *, hurry: Event | None = None) -> None:
        """Claim and execute in `concurrency` slots until `stop` is set and every slot has ended.

        Applies are waited for until `hurry` is set or the worker's grace is over; then they are interrupted.
        """
        self._engines = _engines(self._config)
        plane = ControlPlane(self._config.control_url, self._config.token)
        slots = [
            Thread(target=self._slot, args=(plane, f"{self._config.name}/{number}", stop), name=f"slot-{number}")
            for number in range(1, self._config.concurrency + 1)
        ]
        self._stop = stop
        _log.info(
            "worker started",
            name=self._config.name,
            pool=self._config.pool,
            slots=len(slots),
            engines=", ".join(self._engines) or "none",
        )
        self._tell_isolation()
        self._look_around()
        for slot in slots:
            slot.start()
        while not stop.wait(_LOOK_S):
            pass  # without an end to each wait, a signal that the kernel hands to another thread wakes nobody
        with self._lock:
            endings = list(self._endings)
        for ending in endings:
            ending.give_back()
        self._finish(slots, hurry or Event())
        plane.close()
        _log.info("worker ended", name=self._config.name)

    def _tell_isolation(self) -> None:
        """Say what keeps the runs' code apart from this machine; loudly when nothing does."""
        isolation = self._config.isolation
        if isolation.is_on:
            _log.info("runs are isolated", by=isolation.summary)
        else:
            what = "plans and hooks run as this worker's user and can read all that it can: its token, other runs"
            _log.warning("runs are NOT isolated", reason=isolation.why_not, meaning=what)

    def _look_around(self) -> None:
        """Say what is here to work with; drop what killed workers left, and what nothing has used in a long time."""
        self._remove_leftovers()
        for line in self._config.toolbox().inventory():
            _log.info("engines", have=line)
        try:
            removed = self._config.providers.sweep()
        except (OSError, TracksideError) as error:
            _log.warning("removing unused providers", error=str(error))
        else:
            _log.info("providers", origin=self._config.providers_mirror or "their registries", removed=len(removed))

    def _remove_leftovers(self) -> None:
        try:
            found = remove_leftovers(self._root.path)
        except TracksideError as error:
            _log.warning("removing workspaces of killed workers", error=str(error))
            return
        for run in found.removed:
            _log.info("removed the workspace of a killed worker", run=run)
        for state in found.states:
            what = "its apply could not save it: bring it in with `trackside state push`, then remove the workspace"
            _log.warning("a state is left in a workspace", path=str(state), meaning=what)
        for why in found.stuck:
            _log.warning("removing the workspace of a killed worker", error=why)

    def _finish(self, slots: list[Thread], hurry: Event) -> None:
        """Wait until every slot has ended; what applies then still is interrupted, once."""
        with self._lock:
            applying = sum(ending.is_applying for ending in self._endings)
        if applying:
            _log.info("worker ends", waits_for_applies=applying, at_most_s=self._config.grace_s)
        until, is_patient = monotonic() + self._config.grace_s, True
        while any(slot.is_alive() for slot in slots):
            next(slot for slot in slots if slot.is_alive()).join(_LOOK_S)
            if is_patient and (hurry.is_set() or monotonic() >= until):
                is_patient = False
                self._interrupt("asked to hurry" if hurry.is_set() else "the grace is over")

    def _interrupt(self, why: str) -> None:
        with self._lock:
            endings = list(self._endings)
        for ending in endings:
            if ending.is_applying:
                _log.warning("interrupting an apply", reason=why)
            ending.interrupt()

    def _slot(self, plane: ControlPlane, name: str, stop: Event) -> None:
        failures = 0
        while not stop.is_set():
            try:
                assignment = _claim(plane, self._request(name), stop)
                self._note_drained(name, assignment.reason if isinstance(assignment, Drained) else "")
                if isinstance(assignment, Drained):
                    stop.wait(_DRAINED_PAUSE_S)
                    continue
                if assignment is None or self.execute(plane, assignment) is not Outcome.RETURNED:
                    failures = 0
                    continue
                raise RetryableError(f"run {assignment.run_id} could not begin and was given back")
            except Exception as error:  # a slot outlives whatever one assignment brings
                pause_s = _PAUSES_S[min(failures, len(_PAUSES_S) - 1)]
                failures += 1
                _log.warning("slot pauses", slot=name, pause_s=pause_s, error=f"{type(error).__name__}: {error}")
                stop.wait(pause_s)

    def _request(self, slot: str) -> ClaimRequest:
        return ClaimRequest(
            worker=slot,
            wait_s=min(self._config.poll_s, MAX_WAIT_S) * (1 - _SPREAD * random()),  # noqa: S311 - no secret
            pool=self._config.pool,
            version=self._config.version,
            engines=self._engines,
            slots=self._config.concurrency,
        )

    def _note_drained(self, slot: str, reason: str) -> None:
        """Say once, for all slots, that this worker gets no runs, and once that all of them do again."""
        with self._lock:
            was_so = bool(self._drained)
            (self._drained.add if reason else self._drained.discard)(slot)
            is_so = bool(self._drained)
        if is_so and not was_so:
            _log.warning("drained", reason=reason)
        elif was_so and not is_so:
            _log.info("resumed", name=self._config.name)

    def execute(self, plane: ControlPlane, assignment: Assignment) -> Outcome | None:
        """Run one assignment to its end; how it ended, as far as it was said. Its workspace is gone afterwards."""
        hold, ending = Hold(plane, assignment), Ending(self._config.patience, self._config.limits)
        with self._lock:
            self._endings.add(ending)
        if self._stop.is_set():
            ending.give_back()
        try:
            with ExitStack() as life:
                workspace, token = self._open(plane, assignment, life)
                life.enter_context(Lease(hold, ending, token))
                log = JobLog(LogShipper(hold), _secrets(assignment, self._config))
                token.know = log.know
                job = Job(
                    config=self._config,
                    assignment=assignment,
                    hold=hold,
                    workspace=workspace,
                    mirror=self._mirror,
                    make_cipher=self._make_cipher,
                    ending=ending,
                    log=log,
                    token=token,
                    state=assignment.state,
                )
                try:
                    end = execute(job, steps_of(assignment.phase))
                    return end.outcome if end else None
                finally:
                    log.close()
                    job.leave()
        finally:
            with self._lock:
                self._endings.discard(ending)

    def _open(self, plane: ControlPlane, assignment: Assignment, life: ExitStack) -> tuple[Workspace, TokenFile]:
        """The run's fresh workspace, held for its life, with its identity in it; without one the run is given back."""
        try:
            workspace = self._root.open(assignment.run_id, is_isolated=self._config.isolation.is_on)
            try:
                life.enter_context(workspace.held())
                token = life.enter_context(closing(TokenFile(workspace.home, assignment.oidc_token)))
                return workspace, token
            except OSError:
                workspace.close()
                raise
        except (TracksideError, OSError) as error:
            why = "no workspace to be had"
            if is_disk_full(error):
                why += f": there is no space left on the disk of worker {self._config.name} ({self._root.path})"
            _give_back(plane, assignment, str(error) if isinstance(error, UserError) else why)
            raise


def _claim(plane: ControlPlane, request: ClaimRequest, stop: Event) -> Assignment | Drained | None:
    """The next assignment. A stop does not wait for the poll: what it still brings is given back at once."""
    answers: SimpleQueue[Assignment | Drained | Exception | None] = SimpleQueue()
    lock, is_abandoned = Lock(), Event()

    def ask() -> None:
        answer: Assignment | Drained | Exception | None
        with plane.kept_open():
            try:
                answer = plane.claim(request)
            except Exception as error:  # raised again in the thread that waits for the answer
                answer = error
            with lock:
                if not is_abandoned.is_set():
                    answers.put(answer)
                    return
            if isinstance(answer, Assignment):
                _give_back(plane, answer, "the worker shuts down", is_shutdown=True)

    Thread(target=ask, name=f"claim {request.worker}", daemon=True).start()
    while True:
        try:
            answer = answers.get(timeout=0.1)
        except Empty:
            with lock:
                if stop.is_set() and answers.empty():
                    is_abandoned.set()
                    return None
            continue
        if isinstance(answer, Exception):
            raise answer
        return answer


def _give_back(plane: ControlPlane, assignment: Assignment, reason: str, *, is_shutdown: bool = False) -> None:
    hold = Hold(plane, assignment)
    report = ResultReport(fencing=hold.fencing, outcome=Outcome.RETURNED, reason=reason, is_shutdown=is_shutdown)
    try:
        hold.result(report)
    except TracksideError as error:
        _log.warning("giving back an assignment", run=assignment.run_id, error=str(error))


def _engines(config: WorkerConfig) -> tuple[str, ...]:
    """The labels of the engines that are here, for people."""
    toolbox, found = config.toolbox(), []
    for name in ("terraform", "tofu"):
        try:
            found += toolbox.labels(name)
        except TracksideError:
            continue  # a stack that asks for it is told what is missing
    return tuple(label[:MAX_LABEL_CHARS] for label in found[:MAX_ENGINES])


def _secrets(assignment: Assignment, config: WorkerConfig) -> list[str]:
    """Every value that must not leave, as far as it is known at the start."""
    known = [config.token.reveal(), assignment.token, assignment.clone_token, assignment.data_key]
    known += [assignment.state.password] if assignment.state else []
    known += [assignment.oidc_token, *assignment.redacted]
    return known + [assignment.environment.get(name, "") for name in assignment.secret_names]
