"""The REST surface of an OPA server, over HTTP or a unix socket, with the embedded OPA behind it.

Only the wire is made here: paths, parameters, content types, status codes, the token; what it does not know it refuses,
and a test fails. What policies mean is OPA's own. Source: OPA's REST API reference, policy and data API.
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
from app.policy.lenient import SHIM_MODULE, lenient_text, replacements, shim
from app.policy.pool import PoolBackend
from app.policy.program import Ask, Envelope, NoAnswer, Program
from app.policy.worker import Limits


class StandIn:
    """Policies by id, and an engine. `is_silent`: it never answers; `is_forgetful`: it keeps nothing it is given."""

    def __init__(self, token: str) -> None:
        self.token, self.policies, self.is_silent = token, dict[str, str](), False
        self.is_forgetful = False
        self.backend = PoolBackend(1, Limits())
        self.released = threading.Event()
        self.refused: list[str] = []

    def ask(self, query: str, question: Any, *, is_strict: bool = True) -> Envelope | NoAnswer:
        """What OPA says with the policies that stand here; not strict: failing functions are undefined."""
        modules = sorted(self.policies.items())
        if not is_strict:
            calls = {name: arity for _, text in modules for name, arity in self._calls(text).items()}
            query += replacements(calls)
            modules = [*((name, lenient_text(text)) for name, text in modules), (SHIM_MODULE, shim(calls))]
        key = str(hash((tuple(modules), is_strict)))
        program = Program(key=key, modules=tuple(modules), package="", is_lenient=not is_strict)
        return self.backend.evaluate(program, Ask(query=query, question=json.dumps(question).encode(), timeout_s=10))

    def _calls(self, text: str) -> dict[str, int]:
        envelope = self.backend.inspect(text, 10)
        assert isinstance(envelope, Envelope)
        assert envelope.summary is not None
        calls: dict[str, int] = envelope.summary["calls"]
        return calls

    def compiles(self, name: str) -> str:
        """What OPA has against the policies of one folder, each folder a package of its own; empty: nothing."""
        folder = name.rpartition("/")[0]
        modules = tuple(each for each in sorted(self.policies.items()) if each[0].startswith(f"{folder}/"))
        program = Program(key=str(hash(modules)), modules=modules, package="")
        said = self.backend.evaluate(program, Ask(query="x := true", question=b"null", timeout_s=10))
        return said.error.message if isinstance(said, Envelope) and said.error else ""


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
            assert stand_in.refused == []


class _Handler(BaseHTTPRequestHandler):
    """The routes of OPA's API that we use."""

    state: StandIn
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body = self._body().decode()
        name = self._policy()
        if name is None or not self._is_kind("text/plain") or not self._allowed():
            return
        self._change(name, {**self.state.policies, name: body})

    def do_DELETE(self) -> None:
        self._body()
        name = self._policy()
        if name is None or not self._allowed():
            return
        if name not in self.state.policies:
            self._answer(404, {"code": "resource_not_found", "message": f"storage_not_found_error: policy id {name!r}"})
            return
        self._change(name, {each: text for each, text in self.state.policies.items() if each != name})

    def do_GET(self) -> None:
        name = self._policy()
        if name is None or not self._allowed():
            return
        raw = self.state.policies.get(name)
        if raw is None:
            self._answer(404, {"code": "resource_not_found", "message": f"storage_not_found_error: policy id {name!r}"})
        else:
            self._answer(200, {"result": {"id": name, "raw": raw, "ast": {}}})

    def do_POST(self) -> None:
        body, parts = self._body(), urlsplit(self.path)
        if not parts.path.startswith("/v1/data/") or parts.query not in ("", "strict-builtin-errors=true"):
            self._refuse(f"POST {self.path}")
            return
        if not self._is_kind("application/json") or not self._allowed():
            return
        question = json.loads(body)
        if set(question) != {"input"}:
            self._refuse(f"a body with {sorted(question)}")
            return
        if self.state.is_silent:
            self.state.released.wait(30)
            return
        reference = unquote(parts.path).removeprefix("/v1/data/").replace("/", ".")
        said = self.state.ask(f"x := data.{reference}", question["input"], is_strict=bool(parts.query))
        if isinstance(said, NoAnswer):
            self._answer(500, {"code": "internal_error", "message": said.message})
        elif said.error:
            self._answer(500, _errors("internal_error", said.error.message))
        else:
            self._answer(200, {"decision_id": "1", **({"result": said.value} if said.result else {})})

    def _change(self, name: str, policies: dict[str, str]) -> None:
        """The server's policies are these from now on, if they compile together."""
        before, self.state.policies = self.state.policies, policies
        refused = self.state.compiles(name)
        if refused:
            self.state.policies = before
            self._answer(400, _errors("invalid_parameter", refused))
        elif self.state.is_forgetful:
            self.state.policies = before
            self._answer(200, {})
        else:
            self._answer(200, {})

    def _is_kind(self, wanted: str) -> bool:
        if self.headers.get("Content-Type") == wanted:
            return True
        self._refuse(f"content type {self.headers.get('Content-Type')}")
        return False

    def _refuse(self, what: str) -> None:
        """A request that the reference does not have: the test that made it fails."""
        self.state.refused.append(what)
        self._answer(400, {"code": "invalid_parameter", "message": f"the stand-in does not know {what}"})

    def log_message(self, *_arguments: object) -> None:
        """Nothing is logged."""

    def address_string(self) -> str:
        """A unix socket has no address."""
        return ""

    def _policy(self) -> str | None:
        if not self.path.startswith("/v1/policies/") or "?" in self.path:
            self._refuse(f"{self.command} {self.path}")
            return None
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
        self.send_header("Content-Type", "application/json")
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
