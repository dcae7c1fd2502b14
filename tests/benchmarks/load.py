"""A client that loads a webhook door over keep-alive connections; runs as a process of its own.

Reads an order as JSON from stdin and answers with what it measured. As plain as can be: it shares the cores with what
it measures. `rate` paces: requests are due at fixed times, and a late answer counts from when it was due.
"""

import asyncio
import hmac
import subprocess
import sys
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TextIO

import msgspec
import uvloop

HEADERS = (
    "POST /webhooks/github HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: GitHub-Hookshot/0000000\r\naccept: */*\r\n"
    "content-type: application/json\r\nx-github-event: push\r\nx-github-hook-id: 90000001\r\n"
    "x-github-hook-installation-target-id: 4711\r\nx-github-hook-installation-target-type: integration\r\n"
    "x-hub-signature-256: {signature}\r\ncontent-length: {length}\r\nx-github-delivery: "
)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to send."""

    port: int
    secret: str
    body_file: str
    connections: int
    count: int
    """Requests altogether."""
    rate: float = 0.0
    """Requests a second; 0: each connection sends its next one after its answer."""
    guid_file: str = ""
    """Where the GUID of every 202 is written at once, in a line of its own."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What came back."""

    took_s: float
    latencies_s: list[float]
    statuses: dict[str, int]
    broken: int
    """Connections that broke off."""


@dataclass(slots=True)
class Load:
    """One order under way."""

    order: Order
    sent: int = 0
    broken: int = 0
    latencies_s: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)

    async def run(self) -> Measured:
        """Send everything; what was measured."""
        body = Path(self.order.body_file).read_bytes()
        signature = "sha256=" + hmac.digest(self.order.secret.encode(), body, "sha256").hex()
        head = HEADERS.format(signature=signature, length=len(body)).encode()
        guids = Path(self.order.guid_file).open("w") if self.order.guid_file else None  # noqa: SIM115 - ends with us
        start = perf_counter()
        try:
            await asyncio.gather(*(self._connection(head, body, start, guids) for _ in range(self.order.connections)))
        finally:
            if guids:
                guids.close()
        took_s = perf_counter() - start
        return Measured(took_s=took_s, latencies_s=self.latencies_s, statuses=dict(self.statuses), broken=self.broken)

    async def _connection(self, head: bytes, body: bytes, start: float, guids: TextIO | None) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.order.port)
            while self.sent < self.order.count:
                number, self.sent = self.sent, self.sent + 1
                begun = perf_counter()
                if self.order.rate:
                    due = start + number / self.order.rate
                    await asyncio.sleep(max(0.0, due - begun))
                    begun = due
                guid = str(uuid.uuid4())
                writer.write(head + guid.encode() + b"\r\n\r\n" + body)
                status = await _answer(reader)
                self.latencies_s.append(perf_counter() - begun)
                self.statuses[status] += 1
                if guids and status == "202":
                    guids.write(guid + "\n")
            writer.close()
        except (OSError, asyncio.IncompleteReadError):
            self.broken += 1


async def _answer(reader: asyncio.StreamReader) -> str:
    """The status of the next answer, read to its end."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return head[9:12].decode()


def start(order: Order) -> "subprocess.Popen[bytes]":
    """The client, begun."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    if child.stdin is not None:
        child.stdin.write(msgspec.json.encode(order))
        child.stdin.close()
        child.stdin = None
    return child


def finish(child: "subprocess.Popen[bytes]") -> Measured:
    """What the client measured, once it has ended."""
    output, _ = child.communicate(timeout=120)
    return msgspec.json.decode(output, type=Measured)


def main() -> None:
    """Carry out the order."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.buffer.write(msgspec.json.encode(runner.run(Load(order).run())))


if __name__ == "__main__":
    main()
