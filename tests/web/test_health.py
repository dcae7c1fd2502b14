"""/healthz, /readyz, /metrics and the schema: what load balancers, Prometheus and editors are told."""

import pytest

from app.core.names import Secret
from tests.web.memory import World

TOKEN = "a token for the metrics"


def test_alive(world: World) -> None:
    answer = world.client(peer="203.0.113.9").get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_names_its_parts(world: World) -> None:
    answer = world.client().get("/readyz")
    parts = {"database": "ok", "migrations": "ok", "artifacts": "ok"}
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "parts": parts})


def test_not_ready_names_what_is_not(world: World) -> None:
    world.wrong |= {"migrations": "0002 is pending: run trackside migrate"}
    answer = world.client().get("/readyz")
    assert (answer.status_code, answer.json()["error"]) == (503, "not ready: migrations")
    assert answer.json()["parts"]["migrations"] == "0002 is pending: run trackside migrate"


def test_metrics_are_counters_and_gauges(world: World) -> None:
    client = world.client()
    client.get("/healthz")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    for line in (
        'trackside_requests_total{door="health",status="200"} 1.0',
        'trackside_runs{state="queued"} 2.0',
        'trackside_runs{state="od\\"d"} 1.0',
        "trackside_oldest_pending_delivery_seconds 1.5",
    ):
        assert line in answer.text


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", "Bearer é"])
def test_metrics_with_a_token_want_it_from_everyone(world: World, header: str) -> None:
    world.settings["metrics_token"] = Secret(TOKEN)
    assert world.client().get("/metrics", headers=[(b"authorization", header.encode())]).status_code == 404
    away = world.client(peer="203.0.113.9", host="trackside.example.org")
    assert away.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_metrics_without_a_token_are_for_this_machine(world: World) -> None:
    assert world.client().get("/metrics").status_code == 200
    assert world.client(peer="203.0.113.9").get("/metrics").status_code == 404


def test_the_schema_is_for_everyone(world: World) -> None:
    answer = world.client(peer="203.0.113.9").get("/schema/stacks.json")
    assert (answer.status_code, answer.json()) == (200, {"title": "stacks.yml"})
    answer = world.client(peer="203.0.113.9").get("/schema/organisation.json")
    assert (answer.status_code, answer.json()) == (200, {"title": "organisation"})
