"""Deliveries that arrive while others are being written wait for these, and are then written together.

One commit for many: under load they share the disk's write. A delivery that comes alone waits for nobody.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Final

from app.core.errors import RetryableError
from app.core.names import DeliveryId
from app.core.record import NewDelivery
from app.web.doors import RecordDeliveries

MAX_TOGETHER: Final = 64

Stored = bool | Exception
"""True: it is new. False: its GUID was seen before. An exception: it is not stored."""


class Gathering:
    """One batch at a time is written, in the order of arrival."""

    def __init__(self, record: RecordDeliveries, threads: Executor) -> None:
        self._record = record
        self._threads = threads
        self._waiting: deque[tuple[NewDelivery, asyncio.Future[bool]]] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def store(self, delivery: NewDelivery) -> bool:
        """Return when it is on the disk; False: its GUID was seen before. Raises: what kept it from being stored."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()
        self._waiting.append((delivery, answer))
        if self._writer is None:
            self._writer = loop.create_task(self._write())
        return await answer

    async def _write(self) -> None:
        """Write until nothing waits."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_TOGETHER))]
            try:
                ends = await loop.run_in_executor(self._threads, self._store, [delivery for delivery, _ in batch])
            except RuntimeError as error:  # the threads are gone: this process ends
                ends = [error] * len(batch)
            for (_, answer), end in zip(batch, ends, strict=True):
                _answer(answer, end)
        self._writer = None

    def _store(self, batch: Sequence[NewDelivery]) -> list[Stored]:
        """How each of them ended, in their order. What the database cannot take goes alone: the others are kept."""
        try:
            return _ends(batch, self._record(batch))
        except RetryableError as error:
            return [error] * len(batch)
        except Exception as error:  # one of them may be the reason: each is told its own end
            return [error] if len(batch) == 1 else [end for one in batch for end in self._store([one])]


def _ends(batch: Sequence[NewDelivery], new: frozenset[DeliveryId]) -> list[Stored]:
    """Of two with one GUID in a batch, the first is new."""
    first = {one.guid: number for number, one in reversed(list(enumerate(batch)))}
    return [one.guid in new and first[one.guid] == number for number, one in enumerate(batch)]


def _answer(answer: asyncio.Future[bool], end: Stored) -> None:
    if answer.done():  # its sender is gone
        return
    if isinstance(end, Exception):
        answer.set_exception(end)
    else:
        answer.set_result(end)
