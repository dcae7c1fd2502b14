"""What a worker says with its claims, and when it asks: heard by the control plane."""

from app.core.protocol import ClaimRequest
from tests.worker.world import World


def heard(world: World, count: int) -> list[ClaimRequest]:
    """The first claims of a worker."""
    world.book.wait(lambda: len(world.book.asked) >= count)
    return world.book.asked[:count]


def test_a_worker_says_what_it_is(world: World) -> None:
    world.start()
    (asked,) = heard(world, 1)
    assert (asked.worker, asked.pool, asked.slots) == ("worker-1/1", "default", 1)
    assert world.engine.label in asked.engines


def test_workers_that_were_started_at_once_do_not_ask_at_once_for_ever(world: World) -> None:
    world.start()
    waits = [asked.wait_s for asked in heard(world, 8)]
    assert len(set(waits)) > 1
    assert all(0.15 <= wait_s <= 0.2 for wait_s in waits), "at most a quarter less than it was told"
