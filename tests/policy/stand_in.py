"""The REST surface of an OPA server, over HTTP or a unix socket, with the embedded OPA behind it.

Only the wire is made here: paths, status codes, the token. What policies mean is OPA's own. It cannot be lenient about
built-in functions that fail, as a real server can: tests of that need a real one.
"""

import json
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from app.policy.faults import faults_of
from app.policy.pool import PoolBackend
from app.policy.program import Ask, Envelope, NoAnswer, Program
from app.policy.worker import Limits


class StandIn:
    """Policies by id, and one engine. `is_silent`: it takes requests and never answers."""

    def __init__(self, token: str) -> None:
        self.token, self.policies, self.is_silent = token, dict[str, str](), False
        self.backend = PoolBackend(1, Limits())
        self.released = threading.Event()
        self.tokens: list[str] = []

    def ask(self, query: str, question: Any) -> Envelope | NoAnswer:
        """What OPA says with the policies that stand here."""
        modules = tuple(sorted(self.policies.items()))
        program = Program(key=str(hash(modules)), modules=modules, package="")
        return self.backend.evaluate(program, Ask(query=query, question=json.dumps(question).encode(), timeout_s=10))


@contextmanager
def opa_stand_in(token: str, socket: Path | None = None) -> Iterator[tuple[StandIn, str]]:
    """A running server and its URL."""
    stand_in = StandIn(token)

    class Handler(_Handler):
        state = stand_in

    address: Any = str(socket) if socket else ("127.0.0.1", 0)
    kind: Any = socketserver.ThreadingUnixStreamServer if socket else socketserver.ThreadingTCPServer
    with kind(address, Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield stand_in, f"unix://{socket}" if socket else f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            stand_in.released.set()
            server.shutdown()
            thread.join()
            stand_in.backend.close()


class _Handler(BaseHTTPRequestHandler):
    """Three routes of OPA's API. Source: OPA's documentation of its policy and data APIs."""

    state: StandIn
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body, name = self._body().decode(), self._policy()
        if not self._allowed():
            return
        before = self.state.policies.get(name)
        self.state.policies[name] = body
        said = self.state.ask("x := true", None)
        if isinstance(said, Envelope) and said.error:
            self.state.policies.pop(name)
            if before is not None:
                self.state.policies[name] = before
            self._answer(400, _errors("invalid_parameter", said.error.message))
            return
        self._answer(200, {})

    def do_DELETE(self) -> None:
        self._body()
        if self._allowed():
            self._answer(200 if self.state.policies.pop(self._policy(), None) else 404, {})

    def do_POST(self) -> None:
        question = json.loads(self._body()).get("input")
        if not self._allowed():
            return
        if self.state.is_silent:
            self.state.released.wait(30)
            return
        reference = unquote(urlsplit(self.path).path).removeprefix("/v1/data/").replace("/", ".")
        said = self.state.ask(f"x := data.{reference}", question)
        if isinstance(said, NoAnswer):
            self._answer(500, {"code": "internal_error", "message": said.message})
        elif said.error:
            self._answer(500, _errors("internal_error", said.error.message))
        else:
            self._answer(200, {"result": said.value} if said.result else {})

    def log_message(self, *_arguments: object) -> None:
        """Nothing is logged."""

    def address_string(self) -> str:
        """A unix socket has no address."""
        return ""

    def _policy(self) -> str:
        return unquote(self.path).removeprefix("/v1/policies/")

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _allowed(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {self.state.token}":
            return True
        self._answer(401, {"code": "unauthorized", "message": "request rejected by administrative policy"})
        return False

    def _answer(self, status: int, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _errors(code: str, message: str) -> dict[str, Any]:
    """An error of the API as OPA words it: one entry per fault, with its place."""
    faults = faults_of(re.sub(r"^bundle activation failed: ", "", message))
    entries = [
        {"code": each.code, "message": each.text, "location": {"file": each.module, "row": each.line, "col": 1}}
        for each in faults
    ]
    if "rego.parse_module: " in message:
        entries = [
            {"code": "eval_builtin_error", "message": message, "location": {"file": "x.rego", "row": 3, "col": 1}}
        ]
    return {"code": code, "message": "error(s) occurred", "errors": entries}
