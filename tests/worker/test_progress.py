"""How far the engine is goes up with every heartbeat."""

from contextlib import closing

from app.core.names import Secret
from app.core.protocol import MAX_DONE
from app.worker.client import ControlPlane, Hold
from tests.worker.world import POOL_TOKEN, World


def test_a_heartbeat_says_how_many_resources_the_engine_has_dealt_with(world: World) -> None:
    with closing(ControlPlane(world.url, Secret(POOL_TOKEN))) as plane:
        hold = Hold(plane, world.assign("0" * 40))
        for done in (0, 7, MAX_DONE + 1):
            hold.done = done
            hold.heartbeat(timeout_s=10)
    assert world.book.done == [0, 7, MAX_DONE]
