"""An archive's own address: used as it is, never followed elsewhere, never shown, and given up when it misbehaves."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.errors import BrokenError, RetryableError
from app.core.protocol import Outcome, TransferAnswer
from app.worker.transfer import checked_host, download, upload
from tests.worker.world import World

CANARY = "X-Amz-Signature=canary"


class _Store(BaseHTTPRequestHandler):
    answers: list[tuple[int, dict[str, str], bytes]]
    asked: list[tuple[str, str, bytes]]

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.asked.append((self.command, self.headers.get("authorization", ""), body))
        status, headers, data = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        for name, value in ({"content-length": str(len(data))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = _any  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def store(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[tuple[str, list[tuple[str, str, bytes]]]]:
    """A store that gives these answers, the last one for ever; its address, and what it was asked."""
    asked: list[tuple[str, str, bytes]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Store", (_Store,), {"answers": list(answers), "asked": asked}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/archive?{CANARY}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as made:
        yield made


@pytest.mark.parametrize(
    "url",
    [
        "http://store.example.org/a",
        "http://169.254.169.254/latest/meta-data",
        "ftp://127.0.0.1/a",
        "file:///etc/passwd",
        "https://user:word@store.example.org/a",
        "https://",
        "http://[::1/a",
        "http://127.0.0.1.example.org/a",
    ],
)
def test_an_address_that_is_neither_https_nor_here_is_not_used(url: str) -> None:
    with pytest.raises(BrokenError, match="using the address of an archive"):
        checked_host(url)


def test_a_redirect_is_not_followed(client: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(b"sealed")
    with store((200, {}, b"elsewhere")) as (elsewhere, seen), store((307, {"location": elsewhere}, b"")) as (url, _):
        with pytest.raises(BrokenError, match="the store answers 307") as caught:
            download(client, TransferAnswer(url=url), io.BytesIO())
        with pytest.raises(BrokenError, match="the store answers 307"):
            upload(client, TransferAnswer(url=url, headers={"content-length": "6"}), tmp_path / "archive")
        assert seen == []
        assert CANARY not in str(caught.value)


def test_a_header_that_is_none_of_a_stores_is_not_sent(client: httpx.Client) -> None:
    for name in ("authorization", "host", "cookie", "transfer-encoding"):
        with pytest.raises(BrokenError, match="none of a store's"):
            download(client, TransferAnswer(url="https://store.example.org", headers={name: "x"}), io.BytesIO())


@pytest.mark.parametrize("status", [403, 404, 412, 429, 500, 503])
def test_what_may_go_better_with_a_fresh_address_is_told_apart(client: httpx.Client, status: int) -> None:
    with store((status, {}, b"")) as (url, _), pytest.raises(RetryableError, match=str(status)) as caught:
        download(client, TransferAnswer(url=url), io.BytesIO())
    assert CANARY not in str(caught.value)


def test_an_answer_that_breaks_off_is_no_archive(client: httpx.Client) -> None:
    with store((200, {"content-length": "100"}, b"half")) as (url, _), pytest.raises(RetryableError) as caught:
        download(client, TransferAnswer(url=url), io.BytesIO())
    assert CANARY not in f"{caught.value}{caught.value.__cause__}"


def test_a_worker_asks_again_until_the_store_takes_its_archive(world: World) -> None:
    """The store refuses twice; the archive arrives whole, the assignment's token never leaves for the store."""
    with store((503, {}, b""), (412, {}, b""), (200, {}, b"")) as (url, asked):
        world.book.store_url, world.book.store_headers = url, {"if-none-match": "*"}
        world.start()
        world.assign(world.repository.commit({"main.tf": 'resource "terraform_data" "one" {}\n'}))
        result = world.result()
    assert result.outcome is Outcome.PLANNED
    assert [(method, token) for method, token, _ in asked] == [("PUT", "")] * 3
    assert [len(body) for _, _, body in asked] == [result.archive_size_bytes] * 3
    assert len(result.archive_sha256) == 64
    assert world.book.archive == b"", "nothing went through the control plane"
    assert CANARY not in world.book.log
