"""The long poll's waiting room: workers that found nothing wait here until there may be work, first come, first woken.

One is woken at a time, and passes it on when it found work; so a thousand idle workers cost the store one look every
few seconds for each pool, not a thousand. Lives in one event loop.
"""

import asyncio
from collections import defaultdict, deque
from typing import Final

LOOK_AGAIN_S: Final = 3.0
"""How long the first in the row waits before it looks unasked: what a lost signal costs."""


class WaitingRoom:
    """Waiters by pool."""

    def __init__(self, look_again_s: float = LOOK_AGAIN_S) -> None:
        self._look_again_s = look_again_s
        self._waiters: defaultdict[str, deque[asyncio.Future[None]]] = defaultdict(deque)
        self._news: defaultdict[str, int] = defaultdict(int)
        self._looked_at: defaultdict[str, float] = defaultdict(float)

    @property
    def size(self) -> int:
        """How many wait now."""
        return sum(len(waiters) for waiters in self._waiters.values())

    def news(self, pool: str) -> int:
        """A mark to take before looking for work, and to hand to `wait`: what happens in between is not missed."""
        return self._news[pool]

    def wake(self, pool: str) -> None:
        """There may be work in the pool: wake who waits longest. An empty name means any pool."""
        for name in [pool] if pool else list(self._waiters):
            self._news[name] += 1
            waiting = next((waiter for waiter in self._waiters[name] if not waiter.done()), None)
            if waiting is not None:
                waiting.set_result(None)

    async def wait(self, pool: str, news: int, *, timeout_s: float) -> bool:
        """True when it is time to look for work; False when the time is over."""
        if self._news[pool] != news:
            return True
        loop, waiters = asyncio.get_running_loop(), self._waiters[pool]
        until, waiter = loop.time() + timeout_s, loop.create_future()
        waiters.append(waiter)
        try:
            while (left := until - loop.time()) > 0:
                await asyncio.wait({waiter}, timeout=min(left, self._look_again_s))
                now = loop.time()
                if waiter.done() or (now < until and waiters[0] is waiter and self._is_due(pool, now)):
                    return True
            return False
        finally:
            waiters.remove(waiter)

    def _is_due(self, pool: str, now: float) -> bool:
        """True once in every look_again_s: whoever is first in the row looks for all of them."""
        if now - self._looked_at[pool] < self._look_again_s:
            return False
        self._looked_at[pool] = now
        return True
