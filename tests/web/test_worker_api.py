"""/worker/v1: who is let in, what is taken, how a claim waits, and how archives pass through."""

import asyncio
import hashlib
import threading
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from anyio import to_thread

from app.core.errors import LeaseLost, RetryableError, UserError
from app.core.protocol import MAX_ARCHIVE_BYTES, MAX_LOG_CHUNK_BYTES, ResultReport
from app.core.run import RunState, Step, StepRefused
from app.core.workers import Drained
from app.web.transfer import Upload, UploadBrokenError
from tests.web.made import run
from tests.web.memory import ASSIGNMENT, OTHER_TOKEN, POOL_TOKEN, TOKEN, World, as_json, served

AT = f"/worker/v1/assignments/{ASSIGNMENT}"
POOL = {"authorization": f"Bearer {POOL_TOKEN}"}
OURS = {"authorization": f"Bearer {TOKEN}"}
DIGEST = "d" * 64
PLAN = {
    "fencing": 1,
    "digest": DIGEST,
    "engine": "terraform 1.11.4",
    "has_changes": True,
    "summary": {"changes": [{"number": 1, "kind": "resource", "action": "create", "address": "a.b"}]},
}


def claim(**changes: object) -> bytes:
    """A claim's body that does not wait."""
    return as_json({"worker": "host/1", "wait_s": 0} | changes)


def test_a_claim_brings_an_assignment(world: World) -> None:
    world.work.waiting.append("default")
    answer = world.client().post("/worker/v1/claim", content=claim(), headers=POOL)
    assert (answer.status_code, answer.json()["id"], answer.json()["phase"]) == (200, ASSIGNMENT, "plan")
    assert answer.headers["cache-control"] == "no-store"


def test_a_claim_without_work_is_204(world: World) -> None:
    answer = world.client().post("/worker/v1/claim", content=claim(), headers=POOL)
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_pools_token_claims_for_its_pool_alone(world: World) -> None:
    world.work.waiting.append("other")
    client = world.client()
    assert client.post("/worker/v1/claim", content=claim(), headers=POOL).status_code == 204
    other = {"authorization": f"Bearer {OTHER_TOKEN}"}
    assert client.post("/worker/v1/claim", content=claim(), headers=other).status_code == 200


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {POOL_TOKEN}", f"Bearer {TOKEN}", "Bearer ü"]
)
def test_a_claim_with_another_token_is_refused(world: World, header: str) -> None:
    world.work.waiting.append("default")
    headers = [(b"authorization", header.encode())]
    answer = world.client().post("/worker/v1/claim", content=claim(), headers=headers)
    assert (answer.status_code, list(answer.json())) == (401, ["error"])
    assert world.work.looks == 0


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b"{}", "worker"),
        (claim(worker=""), "worker"),
        (claim(worker="x" * 201), "worker"),
        (claim(worker="a\nb"), "worker"),
        (claim(worker="a\x00b"), "worker"),
        (claim(wait_s="soon"), "wait_s"),
        (claim(protocol=2), "same release"),
        (b"[" * 60_000, "Expected `object`"),
        (b'{"worker": "a", "x": ' + b"[" * 30_000, "reading the body"),
        (b'{"worker": "\xff"}', "reading the body"),
        (claim(slots=0), "slots must be 1 to 1000"),
        (claim(version="x" * 81), "at most 20 engines must be printable"),
        (claim(engines=["terraform 1.11.4"] * 21), "at most 20 engines must be printable"),
        (claim(engines=["terraform\n1.11.4"]), "at most 20 engines must be printable"),
    ],
)
def test_a_malformed_claim_is_told_what_is_wrong(world: World, body: bytes, complaint: str) -> None:
    answer = world.client().post("/worker/v1/claim", content=body, headers=POOL)
    assert answer.status_code == 400
    assert complaint in answer.json()["error"]


def test_a_waiting_claim_is_woken_by_the_signal(world: World) -> None:
    with served(world.app()) as url:
        answers: list[httpx.Response] = []

        def ask() -> None:
            answers.append(httpx.post(f"{url}/worker/v1/claim", content=claim(wait_s=30), headers=POOL, timeout=40))

        waiting = threading.Thread(target=ask)
        started = time.monotonic()
        waiting.start()
        assert world.work.looked.wait(10)
        world.work.waiting.append("default")
        world.signal.tell("default")
        waiting.join(20)
        took = time.monotonic() - started
    assert answers[0].status_code == 200
    assert took < 2.5, "the signal wakes it, not the look every three seconds"


def test_a_drained_worker_is_told_so_at_once_and_when_to_ask_again(world: World) -> None:
    world.work.waiting.append("default")
    world.work.drained["host/1"] = Drained(pool="default", name="host", by="ops", is_pool=False)
    answer = world.client().post("/worker/v1/claim", content=claim(wait_s=30), headers=POOL)
    assert (answer.status_code, answer.headers["retry-after"]) == (423, "5")
    assert answer.json()["error"] == (
        "worker host is drained by ops: no run is given out; `trackside workers resume host --pool default` ends that"
    )
    assert world.work.waiting == ["default"]


def test_a_worker_that_is_drained_while_it_waits_passes_the_signal_on(world: World) -> None:
    with served(world.app()) as url:
        answers: dict[str, httpx.Response] = {}

        def ask(worker: str) -> None:
            body = claim(worker=worker, wait_s=30)
            answers[worker] = httpx.post(f"{url}/worker/v1/claim", content=body, headers=POOL, timeout=40)

        waiting = [threading.Thread(target=ask, args=(worker,)) for worker in ("first/1", "second/1")]
        for number, thread in enumerate(waiting, start=1):
            thread.start()
            while world.work.looks < number:
                world.work.looked.wait(0.01)
        world.work.drained["first/1"] = Drained(pool="default", name="first", by="ops", is_pool=False)
        world.work.waiting.append("default")
        started = time.monotonic()
        world.signal.tell("default")
        for thread in waiting:
            thread.join(20)
    assert (answers["first/1"].status_code, answers["second/1"].status_code) == (423, 200)
    assert time.monotonic() - started < 2.5, "the signal was passed on, not found by the look every three seconds"


def test_a_worker_of_another_pool_than_its_tokens_gets_nothing(world: World) -> None:
    world.work.waiting.append("default")
    answer = world.client().post("/worker/v1/claim", content=claim(pool="prod"), headers=POOL)
    assert answer.status_code == 403
    assert "it belongs to pool default, and the worker was started for pool prod" in answer.json()["error"]
    assert world.client().post("/worker/v1/claim", content=claim(pool="default"), headers=POOL).status_code == 200


def test_one_signal_is_enough_for_several_workers_and_runs(world: World) -> None:
    with served(world.app()) as url:
        statuses: list[int] = []

        def ask() -> None:
            answer = httpx.post(f"{url}/worker/v1/claim", content=claim(wait_s=20), headers=POOL, timeout=40)
            statuses.append(answer.status_code)

        workers = [threading.Thread(target=ask) for _ in range(5)]
        for worker in workers:
            worker.start()
        while world.work.looks < len(workers):
            world.work.looked.wait(0.01)
        world.work.waiting += ["default"] * len(workers)
        started = time.monotonic()
        world.signal.tell("")
        for worker in workers:
            worker.join(20)
    assert statuses == [200] * len(workers)
    assert time.monotonic() - started < 3


def test_every_call_of_an_assignment_reaches_its_door(world: World) -> None:
    client = world.client()
    beat = client.post(f"{AT}/heartbeat", content=as_json({"fencing": 1}), headers=OURS)
    stage = client.post(f"{AT}/stage", content=as_json({"fencing": 1, "stage": "planning"}), headers=OURS)
    plan = client.post(f"{AT}/plan", content=as_json(PLAN), headers=OURS)
    apply = {"fencing": 1, "digest": DIGEST, "engine": "tofu 1.9.0"}
    begin = client.post(f"{AT}/apply", content=as_json(apply), headers=OURS)
    result = client.post(f"{AT}/result", content=as_json({"fencing": 1, "outcome": "applied"}), headers=OURS)
    assert [one.status_code for one in (beat, stage, plan, begin, result)] == [200, 200, 200, 200, 204]
    assert beat.json() == {"lease_s": 30.0, "stop": True, "oidc_token": ""}
    assert plan.json() == {"next": "archive", "environment": None, "secret_names": [], "oidc_token": ""}
    assert begin.json() == {}
    assert [name for name, _ in world.work.said] == ["stage", "plan", "apply", "result"]


@pytest.mark.parametrize("call", ["heartbeat", "stage", "plan", "apply", "result", "log", "archive", "transfer"])
def test_every_call_wants_the_assignments_own_token(world: World, call: str) -> None:
    bodies = {"plan": PLAN, "stage": {"fencing": 1, "stage": "planning"}, "result": {"fencing": 1, "outcome": "failed"}}
    bodies["apply"] = {"fencing": 1, "digest": DIGEST, "engine": "terraform 1.11.4"}
    bodies["transfer"] = {"fencing": 1, "is_upload": False}
    method = "PUT" if call == "archive" else "POST"
    body = as_json(bodies.get(call, {"fencing": 1}))
    client = world.client()
    for path, headers in (
        (AT, {}),
        (AT, POOL),
        (AT, {"authorization": "Bearer x" * 100}),
        ("/worker/v1/assignments/01JD00000000000000000000A2", OURS),
        ("/worker/v1/assignments/nonsense", OURS),
    ):
        answer = client.send(method, f"{path}/{call}?fencing=1&offset=0", content=body, headers=headers)
        assert (answer.status_code, list(answer.json())) == (401, ["error"]), path
    assert world.work.said == []


@pytest.mark.parametrize("call", ["heartbeat", "stage", "plan", "apply", "result", "log", "archive", "transfer"])
def test_an_older_fencing_number_is_409(world: World, call: str) -> None:
    world.work.fencing = 2
    bodies = {"plan": PLAN, "stage": {"fencing": 1, "stage": "planning"}, "result": {"fencing": 1, "outcome": "failed"}}
    bodies["apply"] = {"fencing": 1, "digest": DIGEST, "engine": "terraform 1.11.4"}
    bodies["transfer"] = {"fencing": 1, "is_upload": False}
    method = "PUT" if call == "archive" else "POST"
    body = as_json(bodies.get(call, {"fencing": 1}))
    answer = world.client().send(method, f"{AT}/{call}?fencing=1&offset=0", content=body, headers=OURS)
    assert answer.status_code == 409
    assert "another one holds the run" in answer.json()["error"]


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("heartbeat", {}),
        ("heartbeat", {"fencing": "1"}),
        ("heartbeat", {"fencing": -1}),
        ("heartbeat", {"fencing": 2**60}),
        ("stage", {"fencing": 1, "stage": "applying"}),
        ("stage", {"fencing": 1, "stage": "planning", "state_mode": "elsewhere"}),
        ("plan", PLAN | {"digest": "D" * 64}),
        ("plan", PLAN | {"engine": "terraform"}),
        ("plan", PLAN | {"engine": "terraform 1.0\nx"}),
        ("plan", PLAN | {"summary": {"changes": [{}]}}),
        ("plan", PLAN | {"summary": {"changes": [], "delta": {"resources": {"create": -1}}}}),
        ("plan", PLAN | {"summary": {"changes": [], "delta": {"outputs": {"import": 2**60}}}}),
        ("apply", {"fencing": 1, "digest": "", "engine": "terraform 1.11.4"}),
        ("result", {"fencing": 1, "outcome": "splendid"}),
        ("result", {"fencing": 1, "outcome": "failed", "log_bytes_left_out": -1}),
    ],
)
def test_a_malformed_message_is_400(world: World, call: str, body: dict[str, object]) -> None:
    answer = world.client().post(f"{AT}/{call}", content=as_json(body), headers=OURS)
    assert (answer.status_code, answer.json()["error"].split(":")[0]) == (400, "reading the body")
    assert world.work.said == []


def test_a_reason_is_cut_and_freed_of_what_no_database_takes(world: World) -> None:
    body = {"fencing": 1, "outcome": "failed", "reason": "a\x00b" + "x" * 9000}
    assert world.client().post(f"{AT}/result", content=as_json(body), headers=OURS).status_code == 204
    [(_, report)] = world.work.said
    assert isinstance(report, ResultReport)
    assert (len(report.reason), report.reason[:3], report.reason[-1]) == (4000, "abx", "…")


def test_a_large_body_is_read_from_an_authorised_worker_alone(world: World) -> None:
    read: list[int] = []

    def body() -> Iterator[bytes]:
        for _ in range(64):
            read.append(1)
            yield b" " * 65_536

    with served(world.app()) as url:
        headers = {"authorization": "Bearer wrong"}
        try:
            status = httpx.post(f"{url}{AT}/plan", content=body(), headers=headers).status_code
        except httpx.WriteError:
            status = 401
    assert status == 401
    assert world.work.said == []


def test_a_body_over_its_bound_is_413(world: World) -> None:
    client = world.client()
    assert client.post(f"{AT}/heartbeat", content=b" " * 70_000, headers=OURS).status_code == 413
    log = client.post(f"{AT}/log?fencing=1&offset=0", content=b"x" * (MAX_LOG_CHUNK_BYTES + 1), headers=OURS)
    assert log.status_code == 413


def test_log_chunks_are_raw_bytes_at_an_offset(world: World) -> None:
    client = world.client()
    for offset, data in ((0, b"one\n"), (4, b"\xff\x00two"), (0, b"one\n")):
        answer = client.post(f"{AT}/log?fencing=1&offset={offset}", content=data, headers=OURS)
        assert answer.status_code == 204
    assert world.work.log == {0: b"one\n", 4: b"\xff\x00two"}


@pytest.mark.parametrize(
    "query",
    ["", "fencing=1", "offset=0", "fencing=-1&offset=0", "fencing=1&offset=9999999999999999", "fencing=²&offset=0"],
)
def test_a_log_chunk_without_its_numbers_is_400(world: World, query: str) -> None:
    assert world.client().post(f"{AT}/log?{query}", content=b"x", headers=OURS).status_code == 400


def test_where_an_archive_goes_is_told_for_sizes_that_an_archive_may_have(world: World) -> None:
    client = world.client()

    def ask(**fields: object) -> httpx.Response:
        body = as_json({"fencing": 1, "is_upload": True, "sha256": DIGEST} | fields)
        return client.post(f"{AT}/transfer", content=body, headers=OURS)

    told = ask(size_bytes=7)
    assert (told.status_code, told.json()) == (200, {"url": "https://store/7", "headers": {"if-none-match": "*"}})
    for fields in ({"sha256": "x"}, {"size_bytes": -1}, {"size_bytes": 2**53}, {"sha256": ""}):
        assert ask(**fields).status_code == 400, fields


def test_an_archive_goes_up_in_pieces(world: World) -> None:
    piece, count = b"0123456789abcdef" * 65_536, 24

    with served(world.app()) as url:
        upload = (piece for _ in range(count))
        answer = httpx.put(f"{url}{AT}/archive?fencing=1", content=upload, headers=OURS, timeout=30)
    assert answer.status_code == 204
    assert world.work.archive == hashlib.sha256(piece * count).digest()
    assert sum(world.work.pieces) == len(piece) * count
    assert max(world.work.pieces) < 2 * 1024 * 1024


def test_an_archive_that_says_it_is_too_large_is_refused_at_once(world: World) -> None:
    headers = OURS | {"content-length": str(MAX_ARCHIVE_BYTES + 1)}
    answer = world.client().put(f"{AT}/archive?fencing=1", content=b"x", headers=headers)
    assert answer.status_code == 413
    assert world.work.archive is None


def test_an_upload_ends_with_an_error_once_it_is_over_its_limit() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * (1024 * 1024)

    async def scene() -> list[int]:
        taken: list[int] = []

        def take() -> None:
            for piece in Upload(pieces(), max_bytes=3 * 1024 * 1024):
                taken.append(len(piece))

        with pytest.raises(UploadBrokenError) as caught:
            await to_thread.run_sync(take)
        assert caught.value.status == 413
        return taken

    assert sum(asyncio.run(scene())) == 3 * 1024 * 1024


def test_an_upload_that_breaks_off_is_not_kept(world: World) -> None:
    with served(world.app()) as url:

        def broken() -> Iterator[bytes]:
            yield b"x" * (2 * 1024 * 1024)
            raise ConnectionError("unplugged")

        with pytest.raises(ConnectionError):
            httpx.put(f"{url}{AT}/archive?fencing=1", content=broken(), headers=OURS)
    assert world.work.archive is None


def test_an_archive_comes_down_whole_and_is_closed(world: World) -> None:
    with served(world.app()) as url:
        answer = httpx.get(f"{url}{AT}/archive?fencing=1", headers=OURS)
    assert answer.content == b"archive" * 1_000_000
    assert world.work.closed.wait(5)


def test_an_archive_is_closed_when_the_worker_goes_away(world: World) -> None:
    with served(world.app()) as url, httpx.stream("GET", f"{url}{AT}/archive?fencing=1", headers=OURS) as answer:
        next(answer.iter_raw(1000))
    assert world.work.closed.wait(5)


@pytest.mark.parametrize(
    ("trouble", "status", "words"),
    [
        (UserError("storing the archive of run X: the run is over"), 422, "the run is over"),
        (RetryableError("asking the database: gone", retry_after_s=7), 503, "ask again later"),
        (LeaseLost("assignment is over"), 409, "assignment is over"),
        (StepRefused(run(RunState.APPLYING), Step.AWAIT), 409, "is applying: cannot await"),
        (ZeroDivisionError("a detail of the inside"), 500, "something broke here"),
    ],
)
def test_errors_become_problems_without_details(world: World, trouble: Exception, status: int, words: str) -> None:
    world.work.trouble = trouble
    answer = world.client().post(f"{AT}/heartbeat", content=as_json({"fencing": 1}), headers=OURS)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert words in answer.json()["error"]
    assert "detail" not in answer.text
    assert answer.headers.get("retry-after") == ("7" if status == 503 else None)


def test_unknown_addresses_and_methods_are_problems_too(world: World) -> None:
    client = world.client()
    assert client.get("/worker/v1/nothing").json() == {"error": "Not Found"}
    answer = client.get("/worker/v1/claim")
    assert (answer.status_code, "error" in answer.json(), answer.headers["x-content-type-options"]) == (
        405,
        True,
        "nosniff",
    )
