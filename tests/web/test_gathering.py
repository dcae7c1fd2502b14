"""Deliveries that wait together are written together; each is answered for itself."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from app.core.errors import BrokenError, RetryableError
from app.core.names import DeliveryId
from app.core.record import NewDelivery
from app.web.gathering import MAX_TOGETHER, Gathering


@dataclass
class Disk:
    """Writes slowly until it is told to be quick."""

    batches: list[list[str]] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    bad: dict[str, Exception] = field(default_factory=dict)
    begun: threading.Event = field(default_factory=threading.Event)
    quick: threading.Event = field(default_factory=threading.Event)

    def __call__(self, batch: Sequence[NewDelivery]) -> frozenset[DeliveryId]:
        guids = [one.guid for one in batch]
        self.batches.append(list(guids))
        self.begun.set()
        assert self.quick.wait(10)
        for guid in guids:
            if guid in self.bad:
                raise self.bad[guid]
        new = frozenset(guids) - self.known
        self.known |= new
        return new


def arrive(disk: Disk, *guids: str, at_once: int = 1) -> list[bool | BaseException]:
    """The first `at_once` come, are being written when the others come; how each was answered."""

    async def all_of_them() -> list[bool | BaseException]:
        gathering = Gathering(disk, threads)
        made = [NewDelivery(guid=DeliveryId(guid), event="push", body=b"{}") for guid in guids]
        early = [asyncio.create_task(gathering.store(one)) for one in made[:at_once]]
        await asyncio.get_running_loop().run_in_executor(None, disk.begun.wait)
        late = [asyncio.create_task(gathering.store(one)) for one in made[at_once:]]
        await asyncio.sleep(0)
        disk.quick.set()
        return await asyncio.gather(*early, *late, return_exceptions=True)

    with ThreadPoolExecutor(2) as threads:
        return asyncio.run(all_of_them())


def test_what_comes_while_one_is_being_written_makes_the_next_batch() -> None:
    disk = Disk()
    assert arrive(disk, "a", "b", "c", "d") == [True] * 4
    assert disk.batches == [["a"], ["b", "c", "d"]]


def test_a_batch_has_a_bound_and_the_order_of_arrival() -> None:
    disk = Disk()
    guids = [f"{number:03}" for number in range(2 * MAX_TOGETHER)]
    assert arrive(disk, *guids) == [True] * len(guids)
    assert [len(batch) for batch in disk.batches] == [1, MAX_TOGETHER, MAX_TOGETHER - 1]
    assert [guid for batch in disk.batches for guid in batch] == guids


def test_of_one_guid_twice_in_a_batch_the_first_is_new() -> None:
    assert arrive(Disk(known={"b"}), "a", "b", "c", "c", "a") == [True, False, True, False, False]


def test_what_the_database_cannot_take_does_not_keep_the_others_out() -> None:
    disk = Disk(bad={"c": BrokenError("storing c: refused")})
    answers = arrive(disk, "a", "b", "c", "d")
    assert [str(one) for one in answers] == ["True", "True", "storing c: refused", "True"]
    assert disk.batches == [["a"], ["b", "c", "d"], ["b"], ["c"], ["d"]]


def test_a_database_that_is_away_is_asked_once_for_all() -> None:
    disk = Disk(bad={"b": RetryableError("storing: no database")})
    answers = arrive(disk, "a", "b", "c")
    assert [str(one) for one in answers] == ["True", "storing: no database", "storing: no database"]
    assert disk.batches == [["a"], ["b", "c"]]


def test_after_trouble_the_next_delivery_is_written_as_ever() -> None:
    disk = Disk(bad={"a": ZeroDivisionError("unforeseen")})
    assert [str(one) for one in arrive(disk, "a", "b")] == ["unforeseen", "True"]


def test_a_process_that_ends_answers_who_still_waits() -> None:
    async def come_late() -> bool:
        return await Gathering(Disk(), threads).store(NewDelivery(guid=DeliveryId("a"), event="push", body=b"{}"))

    with ThreadPoolExecutor(1) as threads:
        threads.shutdown()
        with pytest.raises(RuntimeError, match="after shutdown"):
            asyncio.run(asyncio.wait_for(come_late(), 10))


def test_a_sender_that_went_away_keeps_nobody_from_being_answered() -> None:
    disk = Disk()

    async def come_and_go() -> bool:
        gathering = Gathering(disk, threads)
        first, second, third = (
            asyncio.create_task(gathering.store(NewDelivery(guid=DeliveryId(guid), event="push", body=b"{}")))
            for guid in "abc"
        )
        await asyncio.get_running_loop().run_in_executor(None, disk.begun.wait)
        first.cancel()
        second.cancel()
        disk.quick.set()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await third

    with ThreadPoolExecutor(1) as threads:
        assert asyncio.run(come_and_go())
    assert disk.known == set("abc")
