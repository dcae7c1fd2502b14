"""The documents that clouds and auditors read, and the attestation that readers of a page get."""

from app.core.run import RunState
from app.core.signing import Purpose
from tests.web.made import RUN, detail, put, run
from tests.web.memory import World

OUTSIDE = {"x-forwarded-for": "203.0.113.7"}
DOCUMENTS = {
    "/.well-known/openid-configuration": "issuer",
    "/.well-known/jwks.json": "keys",
    "/.well-known/trackside-attestation-keys.json": "keys",
}


def test_who_we_are_is_open_to_everyone_where_the_pages_are_closed(world: World) -> None:
    world.settings |= {"public_url": "https://trackside.example.org"}
    client = world.client(peer="203.0.113.7", host="trackside.example.org")
    assert client.get("/", headers=OUTSIDE).status_code == 404
    for path, key in DOCUMENTS.items():
        answer = client.get(path, headers=OUTSIDE)
        assert (answer.status_code, key in answer.json()) == (200, True)
        assert answer.headers["cache-control"] == "public, max-age=300"
        assert answer.headers["content-type"] == "application/json"
    found = client.get("/.well-known/openid-configuration").json()
    assert (found["issuer"], found["jwks_uri"]) == (
        "https://trackside.example.org",
        "https://trackside.example.org/.well-known/jwks.json",
    )


def test_each_document_has_the_keys_of_its_own_purpose(world: World) -> None:
    world.settings |= {"key_set": lambda purpose: {"keys": [purpose.value]}}
    client = world.client()
    assert client.get("/.well-known/jwks.json").json() == {"keys": [Purpose.OIDC.value]}
    keys = client.get("/.well-known/trackside-attestation-keys.json").json()
    assert keys == {"keys": [Purpose.ATTESTATION.value]}


def test_an_attestation_is_there_for_whoever_may_see_the_run(world: World) -> None:
    put(world, detail(run(RunState.FINISHED), attestation=b'{"payload":"x"}'))
    path = f"/runs/{RUN}/attestation"
    answer = world.client().get(path)
    assert (answer.content, answer.headers["content-type"]) == (
        b'{"payload":"x"}',
        "application/vnd.dsse.envelope.v1+json",
    )
    assert path in world.client().get(f"/runs/{RUN}").text
    assert world.client().get(path, headers=OUTSIDE).status_code == 404
    put(world, detail(run(RunState.FINISHED)))
    assert world.client().get(path).status_code == 404
    assert path not in world.client().get(f"/runs/{RUN}").text
