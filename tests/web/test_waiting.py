"""The long poll's waiting room: who is woken, when, and how often the store is looked at."""

import asyncio

from app.web.waiting import WaitingRoom


def test_one_signal_wakes_one_worker_the_one_that_waits_longest() -> None:
    async def scene() -> None:
        room = WaitingRoom(look_again_s=60)
        first = asyncio.create_task(room.wait("a", 0, timeout_s=60))
        second = asyncio.create_task(room.wait("a", 0, timeout_s=60))
        await until(lambda: room.size == 2)
        room.wake("a")
        assert await first
        assert not second.done()
        room.wake("a")
        assert await second
        assert room.size == 0

    asyncio.run(scene())


def test_a_signal_of_another_pool_wakes_nobody_and_one_without_a_name_wakes_every_pool() -> None:
    async def scene() -> None:
        room = WaitingRoom(look_again_s=60)
        ours = asyncio.create_task(room.wait("a", 0, timeout_s=60))
        theirs = asyncio.create_task(room.wait("b", 0, timeout_s=60))
        await until(lambda: room.size == 2)
        room.wake("c")
        await asyncio.sleep(0)
        assert not ours.done()
        room.wake("")
        assert await ours
        assert await theirs

    asyncio.run(scene())


def test_a_signal_between_looking_and_waiting_is_not_missed() -> None:
    async def scene() -> None:
        room = WaitingRoom(look_again_s=60)
        news = room.news("a")
        room.wake("a")
        assert await room.wait("a", news, timeout_s=60)

    asyncio.run(scene())


def test_the_time_ends() -> None:
    assert not asyncio.run(WaitingRoom().wait("a", 0, timeout_s=0.02))


def test_without_any_signal_only_the_first_in_the_row_looks_again() -> None:
    async def scene() -> int:
        room = WaitingRoom(look_again_s=0.05)
        looks = await asyncio.gather(*(room.wait("a", 0, timeout_s=0.12) for _ in range(50)))
        return sum(looks)

    assert asyncio.run(scene()) <= 4


async def until(condition: object) -> None:
    """Let the loop turn until it is so."""
    assert callable(condition)
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)
