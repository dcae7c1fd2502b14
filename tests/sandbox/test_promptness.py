"""The stand-in answers at once, so that what is timed against it is the product's time."""

from statistics import median
from time import perf_counter

import httpx

from app.sandbox import Served


def test_an_answer_on_a_kept_connection_does_not_wait_for_the_clients_acknowledgement(served: Served) -> None:
    """Without TCP_NODELAY each takes 40 ms on loopback: Nagle's algorithm and delayed acknowledgements meet."""
    spent_s = []
    with httpx.Client(base_url=served.url, trust_env=False) as client:
        for _ in range(15):
            start = perf_counter()
            client.get("/api/rate_limit")
            spent_s.append(perf_counter() - start)
    assert median(spent_s) < 0.03
