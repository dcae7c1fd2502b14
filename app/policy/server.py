"""OPA as a server that the operator runs: over a unix socket or HTTP, with a bearer token.

Policies are put under names made of their content, each in a package of its own, so that they never meet. Parsing and
refusing go through the same server. Closed by default: no answer in time is no answer.
"""

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from app.core.contract import PolicyType
from app.core.errors import UserError
from app.core.names import Secret
from app.policy.engine import PolicyEngine
from app.policy.frames import joined
from app.policy.lexer import Edit, TokenKind, edited, tokens_of
from app.policy.prelude import ANSWER_MODULE, ANSWER_PACKAGE, POLICY_MODULE, PRELUDE_MODULE
from app.policy.program import Ask, AskMany, EngineError, Envelope, NoAnswer, Program, Result, Timed
from app.policy.tree import summarise
from app.policy.witness import WITNESS_MODULE

_MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
_KEPT: Final = 512
_WIDTH: Final = 4
_PREFIX: Final = "trackside"
_PARSER: Final = Program(
    key="parser",
    package="parser",
    modules=(("parser.rego", "package parser\n\nparsed := rego.parse_module(input.name, input.text)\n"),),
)
_ORDER: Final = (PRELUDE_MODULE, POLICY_MODULE, WITNESS_MODULE, ANSWER_MODULE)
_PARSED: Final = "x := data.parser.parsed"


class OpaServer(PolicyEngine):
    """Policies, asked at `url`: `http(s)://host:port`, or `unix:///path`. Needs OPA 1.x. Thread-safe."""

    def __init__(
        self, url: str, token: Secret | None = None, *, timeouts_s: Mapping[PolicyType, float] | None = None
    ) -> None:
        super().__init__(ServerBackend(url, token), timeouts_s)


class ServerBackend:
    """The server's REST API. Source: OPA's documentation of its policy and query APIs."""

    def __init__(self, url: str, token: Secret | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("unix", "http", "https") or parts.username or parts.password:
            raise UserError("reading OPA_URL: write http://host:port, https://host:port or unix:///path/to/socket")
        is_socket = parts.scheme == "unix"
        headers = {"Authorization": f"Bearer {token.reveal()}"} if token else {}
        self._client = httpx.Client(
            base_url="http://opa" if is_socket else url.rstrip("/"),
            transport=httpx.HTTPTransport(uds=parts.path if is_socket else None, retries=0),
            headers=headers,
            trust_env=False,
            follow_redirects=False,
        )
        self._lock = threading.Lock()
        self._put: OrderedDict[str, tuple[str, ...]] = OrderedDict()

    @property
    def width(self) -> int:
        """Connections that questions of one event may use at the same time."""
        return _WIDTH

    @property
    def is_lenient_itself(self) -> bool:
        """The server is asked strictly, or not."""
        return True

    @property
    def isolation(self) -> dict[str, str]:
        """A server is isolated by its operator."""
        return {"network": "left to the operator of the OPA server"}

    def inspect(self, text: str, timeout_s: float) -> Envelope | NoAnswer:
        """The summary of a policy's text, or the errors of parsing it as v1."""
        question = msgspec.json.encode({"name": "policy.rego", "text": text})
        said = self.evaluate(_PARSER, Ask(query=_PARSED, question=question, timeout_s=timeout_s))
        if isinstance(said, NoAnswer):
            return said
        if said.error:
            message = said.error.message.rpartition("rego.parse_module: ")[2]
            return Envelope(error=EngineError(code="parse_error", message=message))
        if not said.value:
            return NoAnswer("unavailable", "the OPA server did not parse the policy")
        return Envelope(summary=summarise(said.value))

    def evaluate(self, program: Program, ask: Ask) -> Envelope | NoAnswer:
        """The answer of a program to a question."""
        refused = self._ensure(program, ask.timeout_s)
        if refused is not None:
            return refused
        said = self._ask(program, ask)
        if isinstance(said, NoAnswer) or said.error or said.result:
            return said
        # Undefined, or gone: a server that was started again answers the same to what it never heard of.
        if self._is_there(program, ask.timeout_s):
            return said
        with self._lock:
            self._put.pop(program.key, None)
        return self._ensure(program, ask.timeout_s) or self._ask(program, ask)

    def _ask(self, program: Program, ask: Ask) -> Envelope | NoAnswer:
        suffix = _suffix(program)
        reference = _moved(ask.query, program.package, suffix).removeprefix("x := data.")
        path = f"/v1/data/{quote(reference.replace('.', '/'))}" + (
            "?strict-builtin-errors=true" if ask.is_strict else ""
        )
        content = b'{"input":' + ask.question + b"}"
        return self._call("POST", path, content=content, timeout_s=ask.timeout_s)

    def evaluate_many(self, program: Program, many: AskMany) -> list[Timed]:
        """The first answer: the API takes one question at a time."""
        began = time.monotonic()
        ask = Ask(query=many.query, question=joined(many.shared, many.owns[0]), timeout_s=many.timeout_s)
        envelope = self.evaluate(program, ask)
        return [Timed(envelope, time.monotonic() - began)]

    def close(self) -> None:
        """Take our policies off the server, and end the connections."""
        with self._lock:
            put, self._put = self._put, OrderedDict()
        for names in put.values():
            self._delete(names)
        self._client.close()

    def _is_there(self, program: Program, timeout_s: float) -> bool:
        """True when the server still has the program's modules."""
        with self._lock:
            names = self._put.get(program.key, ())
        told = [self._call("GET", f"/v1/policies/{quote(name)}", content=b"", timeout_s=timeout_s) for name in names]
        return bool(told) and all(isinstance(each, Envelope) and each.result for each in told)

    def _ensure(self, program: Program, timeout_s: float) -> Envelope | NoAnswer | None:
        """Put a program's modules on the server, helpers first; None when they stand there."""
        with self._lock:
            if program.key in self._put:
                self._put.move_to_end(program.key)
                return None
        suffix = _suffix(program)
        # Each module is compiled as it comes, and those that are left when one goes: helpers first, and last.
        ordered = sorted(program.modules, key=lambda each: _ORDER.index(each[0]) if each[0] in _ORDER else 0)
        names = tuple(f"{_PREFIX}/{suffix}/{name}" for name, _ in ordered)
        for name, (_, text) in zip(names, ordered, strict=True):
            said = self._call(
                "PUT",
                f"/v1/policies/{quote(name)}",
                content=_moved(text, program.package, suffix).encode(),
                timeout_s=timeout_s,
            )
            if isinstance(said, NoAnswer):
                return said
            if said.error:
                self._delete(names)
                message = said.error.message.replace(f"{_PREFIX}/{suffix}/", "").replace(
                    f"{_PREFIX}_{suffix}", program.package
                )
                return Envelope(error=EngineError(code="prepare_error", message=message))
        dropped: tuple[str, ...] = ()
        with self._lock:
            self._put[program.key] = names
            if len(self._put) > _KEPT:
                dropped = self._put.popitem(last=False)[1]
        self._delete(dropped)
        return None

    def _delete(self, names: tuple[str, ...]) -> None:
        for name in reversed(names):
            self._call("DELETE", f"/v1/policies/{quote(name)}", content=b"", timeout_s=5)

    def _call(self, method: str, path: str, *, content: bytes, timeout_s: float) -> Envelope | NoAnswer:
        kind = "application/json" if method == "POST" else "text/plain"
        deadline = time.monotonic() + timeout_s
        try:
            with self._client.stream(
                method,
                path,
                content=content,
                headers={"Content-Type": kind},
                timeout=httpx.Timeout(timeout_s, connect=5),
            ) as response:
                body = _read(response, deadline)
        except httpx.ReadTimeout:
            return NoAnswer("timeout", f"no answer after {timeout_s:.3g} s")
        except httpx.HTTPError as error:
            return NoAnswer("unavailable", f"the OPA server does not answer: {type(error).__name__}")
        if body is None:
            return NoAnswer("memory", "the answer is too long")
        return _envelope(response.status_code, body)


def _suffix(program: Program) -> str:
    return "p" + hashlib.sha256(program.key.encode()).hexdigest()[:24]


def _read(response: httpx.Response, deadline: float) -> bytes | None:
    """The body; None when it is longer than any answer may be. Raises: ReadTimeout when it is not whole in time."""
    parts, size = [], 0
    for part in response.iter_bytes():
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("reading the answer: it does not end", request=response.request)
        size += len(part)
        if size > _MAX_ANSWER_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


def _envelope(status: int, body: bytes) -> Envelope | NoAnswer:
    try:
        said: dict[str, Any] = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        return NoAnswer("unavailable", f"the OPA server answered {status} without JSON")
    if status in (401, 403):
        return NoAnswer("unavailable", f"the OPA server refused the token ({status})")
    if status == 200:
        return Envelope(result=[Result(bindings={"x": said["result"]})] if "result" in said else None)
    errors = [_error_line(each) for each in said.get("errors") or ()]
    message = "\n".join(errors) or str(said.get("message", ""))[:500] or f"the OPA server answered {status}"
    if status >= 500 and not errors:
        return NoAnswer("unavailable", message)
    return Envelope(error=EngineError(code="eval_error", message=message))


def _error_line(error: Any) -> str:
    """One error of the API in the wording of OPA's own texts."""
    if not isinstance(error, dict):
        return str(error)[:500]
    location = error.get("location") or {}
    place = f"{location.get('file', '')}:{location.get('row', 0)}: " if location.get("file") else ""
    return f"{place}{error.get('code', '')}: {error.get('message', '')}"


def _moved(text: str, package: str, suffix: str) -> str:
    """A module or a query in packages of its own: no line moves."""
    names = {package: f"{_PREFIX}_{suffix}", ANSWER_PACKAGE: f"{_PREFIX}_{suffix}_answer"}
    tokens = tokens_of(text)
    edits = []
    for at, token in enumerate(tokens):
        if token.kind is not TokenKind.NAME or token.text not in names or not at:
            continue
        is_of_data = tokens[at - 1].text == "." and at > 1 and tokens[at - 2].text == "data"
        if tokens[at - 1].text == "package" or is_of_data:
            edits.append(Edit(token.start, token.end, names[token.text]))
    return edited(text, edits)
