"""OPA embedded: a pool of child processes, started when first needed, killed when they do not answer.

One question at a time to each child. Importable where the engine is not installed; asking it says so then.
"""

import importlib.util
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from app.core.contract import PolicyType
from app.core.errors import UserError
from app.policy.engine import PolicyEngine
from app.policy.program import Ask, AskMany, Envelope, NoAnswer, Program, Timed
from app.policy.worker import Died, Limits, Worker

_LIBRARY: Final = "libopabridge.so"
_BUSY_S: Final = 120.0
"""How long a question waits for a free worker: longer than any one evaluation may take."""
_HOLD_S: Final = 1.0
"""After so long a child that has many questions gives itself back, so that others get their turn."""
_CPU_FACTOR: Final = 4
"""Processor seconds per second of the clock: garbage collection runs on threads of its own."""


Answer = TypeVar("Answer")


class OpaPool(PolicyEngine):
    """Policies, asked in `workers` child processes (default: one per core). Thread-safe; close it, or use `with`."""

    backend: "PoolBackend"

    def __init__(
        self,
        workers: int | None = None,
        *,
        timeouts_s: Mapping[PolicyType, float] | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(PoolBackend(workers or os.cpu_count() or 1, limits or Limits()), timeouts_s)


class PoolBackend:
    """The children. A place of the pool holds a worker, or None until one is needed there."""

    def __init__(self, workers: int, limits: Limits) -> None:
        self._limits = limits
        self._workers = workers
        self._lock = threading.Lock()
        self._owner = 0
        self._free: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        self._all: set[Worker] = set()
        self._isolation: dict[str, str] = {}
        self._is_closed = False

    @property
    def width(self) -> int:
        """As many as there are children."""
        return self._workers

    @property
    def is_lenient_itself(self) -> bool:
        """The embedded engine is always strict."""
        return False

    @property
    def isolation(self) -> dict[str, str]:
        """What a child cannot do; starts one when none was started yet."""
        if not self._isolation:
            self.inspect("package spacelift", 10)
        return dict(self._isolation)

    @property
    def pids(self) -> tuple[int, ...]:
        """Of the children that run now."""
        return tuple(worker.pid for worker in self._all if worker.is_alive)

    def inspect(self, text: str, timeout_s: float) -> Envelope | NoAnswer:
        """The summary of a policy's text, or the errors of parsing it as v1."""
        body = msgspec.json.encode({"name": "policy.rego", "text": text})
        head: dict[str, object] = {"op": "inspect", "cpu_s": timeout_s * _CPU_FACTOR}
        return self._with_worker(lambda worker: _exchange(worker, head, None, body, timeout_s))

    def evaluate(self, program: Program, ask: Ask) -> Envelope | NoAnswer:
        """The answer of a program to a question."""
        head: dict[str, object] = {
            "op": "eval",
            "key": program.key,
            "lenient": program.is_lenient,
            "query": ask.query,
            "coverage": ask.coverage,
            "trace": ask.trace,
            "cpu_s": ask.timeout_s * _CPU_FACTOR + 1,
        }
        return self._with_worker(lambda worker: _exchange(worker, head, program, ask.question, ask.timeout_s))

    def evaluate_many(self, program: Program, many: AskMany) -> list[Timed]:
        """The answers as far as they come: until one is missing, or the child has been held long enough."""
        found: list[Timed] = []
        failed = self._with_worker(lambda worker: _exchange_many(worker, program, many, found))
        if failed is not None:
            found.append(Timed(failed, many.timeout_s))
        return found

    def close(self) -> None:
        """End every child. A question that is under way ends as a crash."""
        with self._lock:
            self._is_closed = True
            workers, self._all = self._all, set()
        for worker in workers:
            worker.kill()

    def _with_worker(self, use: Callable[[Worker], Answer]) -> Answer | NoAnswer:
        """What comes of using a free worker; one that died of it, or was left in the middle of an answer, is not
        given back."""
        self._belong()
        try:
            worker = self._free.get(timeout=_BUSY_S)
        except queue.Empty:
            return NoAnswer("unavailable", "every worker of the policy engine is busy")
        try:
            if worker is None or not worker.is_alive:
                self._forget(worker)
                worker = None
                worker = self._start()
            answer = use(worker)
            self._isolation = worker.isolation
            return answer
        except Died as died:
            self._forget(worker)
            worker = None
            if died.kind == "timeout":
                worker = self._start()  # it gets ready while nobody waits
            return NoAnswer(died.kind, str(died))
        except BaseException:  # the rest of its answer is still to come: the next question would be given it
            self._forget(worker)
            worker = None
            raise
        finally:
            self._free.put(worker)

    def _start(self) -> Worker:
        worker = Worker(find_library(), self._limits)
        with self._lock:
            if not self._is_closed:
                self._all.add(worker)
                return worker
        worker.kill()
        raise UserError("asking a policy: the policy engine was closed")

    def _forget(self, worker: Worker | None) -> None:
        if worker is not None:
            with self._lock:
                self._all.discard(worker)
            worker.kill()

    def _belong(self) -> None:
        """Children belong to the process that started them: after a fork this process starts its own."""
        with self._lock:
            if self._owner != os.getpid():
                self._owner = os.getpid()
                self._all = set()
                self._free = queue.LifoQueue()
                for _ in range(self._workers):
                    self._free.put(None)


def find_library() -> Path:
    """The engine's shared library; its package is never imported. Raises: UserError when not installed."""
    spec = importlib.util.find_spec("opa_bindings")
    folder = next(iter(spec.submodule_search_locations or ()), None) if spec else None
    if folder is None or not (Path(folder) / _LIBRARY).is_file():
        raise UserError("no policy engine: install requirements-opa.lock, or set OPA_URL")
    return Path(folder) / _LIBRARY


def _exchange(
    worker: Worker, head: dict[str, object], program: Program | None, body: bytes, timeout_s: float
) -> Envelope | NoAnswer:
    """One question and its answer; a program that the child does not have is sent along. Raises: Died."""
    modules = [list(module) for module in program.modules] if program else None
    is_known = program is None or program.key in worker.known
    said, answer = worker.ask(head if is_known else {**head, "modules": modules}, body, timeout_s)
    if said.get("state") == "need":
        said, answer = worker.ask({**head, "modules": modules}, body, timeout_s)
    if program is not None:
        worker.known.add(program.key)
    return _read(said, answer)


def _exchange_many(worker: Worker, program: Program, many: AskMany, found: list[Timed]) -> None:
    """One message with several questions; their answers are added to `found` as they come. Raises: Died."""
    head: dict[str, object] = {
        "op": "batch",
        "key": program.key,
        "lenient": program.is_lenient,
        "query": many.query,
        "coverage": False,
        "trace": False,
        "cpu_s": many.timeout_s * _CPU_FACTOR + 1,
        "hold_s": _HOLD_S,
        "shared": len(many.shared),
        "owns": [len(own) for own in many.owns],
    }
    body = many.shared + b"".join(many.owns)
    modules = [list(module) for module in program.modules]
    is_known = program.key in worker.known
    began = time.monotonic()
    said, answer = worker.ask(head if is_known else {**head, "modules": modules}, body, many.timeout_s)
    if said.get("state") == "need":
        said, answer = worker.ask({**head, "modules": modules}, body, many.timeout_s)
    worker.known.add(program.key)
    while True:
        found.append(Timed(_read(said, answer), time.monotonic() - began))
        if said.get("last"):
            return
        began = time.monotonic()
        said, answer = worker.next(many.timeout_s)


def _read(said: Mapping[str, object], answer: bytes) -> Envelope | NoAnswer:
    if said.get("state") == "large":
        return NoAnswer("memory", "the answer is too long")
    if said.get("state") == "deep":
        return NoAnswer("contract", "nested too deeply")
    try:
        return msgspec.json.decode(answer, type=Envelope)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        return NoAnswer("contract", f"the answer cannot be read: {error}"[:300])
