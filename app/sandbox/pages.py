"""Pages for people: placeholder."""

from app.sandbox.world import World
from starlette.routing import Route


def routes(world: World) -> list[Route]:
    return []
