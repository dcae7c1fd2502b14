"""The child process that holds OPA: reads questions from a pipe, answers, and keeps compiled policies by their content.

Runs with nothing but the standard library, an empty environment and tight limits. Nobody imports it but the interpreter
that a worker starts; it ends with its parent.
"""

import ctypes
import json
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from math import ceil
from typing import Any, BinaryIO

from app.policy.frames import HEAD, MAX_ANSWER_BYTES, joined
from app.policy.tree import summarise

_KEPT_PROGRAMS = 64
_KEPT_VERDICTS = 20_000
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_NO_NEW_PRIVS, _PR_SET_DUMPABLE = 38, 4
_Callback = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint64, ctypes.c_char_p, ctypes.c_char_p)


class Library:
    """The shared library's functions. Source: the binding's own declarations, same version."""

    def __init__(self, path: str) -> None:
        self.c = ctypes.CDLL(path)
        handle, text, flag = ctypes.c_uint64, ctypes.c_char_p, ctypes.c_int
        self.c.OpaNew.restype, self.c.OpaNew.argtypes = handle, []
        self.c.OpaDestroy.restype, self.c.OpaDestroy.argtypes = None, [handle]
        self.c.OpaFreeString.restype, self.c.OpaFreeString.argtypes = None, [ctypes.c_void_p]
        for name, arguments in (
            ("OpaAddPolicy", [handle, text, text]),
            ("OpaRegisterBuiltin", [handle, text, flag, _Callback]),
            ("OpaEvalQuery", [handle, text, text, flag, flag]),
        ):
            function = getattr(self.c, name)
            function.restype, function.argtypes = ctypes.c_void_p, arguments
        self.libc = ctypes.CDLL(None)
        self.libc.malloc.restype, self.libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]

    def call(self, function: Any, *arguments: Any) -> bytes:
        """The JSON envelope that a function returns; its buffer is freed."""
        pointer = function(*arguments)
        if not pointer:
            return b'{"error": {"code": "internal", "message": "no answer"}}'
        try:
            return ctypes.string_at(pointer)
        finally:
            self.c.OpaFreeString(pointer)

    def query(self, handle: int, question: bytes, data: bytes, *, coverage: bool = False, trace: bool = False) -> bytes:
        """The envelope of one evaluation."""
        return self.call(self.c.OpaEvalQuery, handle, question, data, int(coverage), int(trace))


class Verdicts:
    """Whether a built-in function would fail on some arguments: OPA itself is asked, in an engine of its own.

    What makes OPA's default (a failing call is undefined) out of the binding's strict mode.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._known: OrderedDict[tuple[str, str], bool] = OrderedDict()
        self._handle, self._asked = 0, 0
        self.callback = _Callback(self._answer)

    def _answer(self, _handle: int, _name: bytes, arguments: bytes) -> int | None:
        try:
            function, rendered = json.loads(arguments)
            answer = json.dumps({"result": self._is_fine(function, rendered)}).encode()
        except Exception as error:  # nothing may cross into the library
            answer = json.dumps({"error": type(error).__name__}).encode()
        buffer = self._library.libc.malloc(len(answer) + 1)
        if buffer:
            ctypes.memmove(buffer, answer + b"\0", len(answer) + 1)
        return buffer if isinstance(buffer, int) else None

    def _is_fine(self, function: str, rendered: str) -> bool:
        key = (function, rendered)
        if key in self._known:
            return self._known[key]
        if self._asked % 256 == 0:  # each query is kept by the engine: a new one now and then
            if self._handle:
                self._library.c.OpaDestroy(self._handle)
            self._handle = self._library.c.OpaNew()
        self._asked += 1
        question = f"x := {function}({rendered[1:-1]})".encode()
        envelope = json.loads(self._library.query(self._handle, question, b""))
        is_fine = not envelope.get("error")
        self._known[key] = is_fine
        if len(self._known) > _KEPT_VERDICTS:
            self._known.popitem(last=False)
        return is_fine


class Engine:
    """Compiled programs by their key, the least recently used one dropped first."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._programs: OrderedDict[str, int] = OrderedDict()
        self._verdicts = Verdicts(library)
        self._parser = library.c.OpaNew()
        self._cpu = CpuLimit()

    def answers(self, head: dict[str, Any], body: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
        """The answers to one message: to a batch as many as there is time for, the last of them marked."""
        if head["op"] != "batch":
            yield self.answer(head, body)
            return
        until = time.monotonic() + head["hold_s"]
        shared, at = body[: head["shared"]], head["shared"]
        for left, size in zip(reversed(range(len(head["owns"]))), head["owns"], strict=True):
            said, envelope = self.answer(head, joined(shared, body[at : at + size]))
            is_last = not left or said["state"] == "need" or time.monotonic() > until
            yield {**said, "last": is_last}, envelope
            if is_last:
                return
            at += size

    def answer(self, head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """The answer to one question: a small head, and a body that is passed on as it is."""
        self._cpu.grant(head["cpu_s"])
        if head["op"] == "inspect":
            return self._inspect(body)
        handle = self._program(head)
        if handle is None:
            return {"state": "need"}, b""
        if isinstance(handle, bytes):
            return {"state": "done"}, handle
        envelope = self._library.query(
            handle, head["query"].encode(), body, coverage=head["coverage"], trace=head["trace"]
        )
        if len(envelope) > MAX_ANSWER_BYTES:
            return {"state": "large"}, b""
        return {"state": "done"}, envelope

    def _program(self, head: dict[str, Any]) -> int | bytes | None:
        """The program's handle, the envelope of what stops it from being made, or None: not here, send it."""
        key, modules = head["key"], head.get("modules")
        if key in self._programs:
            self._programs.move_to_end(key)
            return self._programs[key]
        if modules is None:
            return None
        handle: int = self._library.c.OpaNew()
        if head["lenient"]:
            register = self._library.c.OpaRegisterBuiltin
            self._library.call(register, handle, b"trackside.is_fine", 2, self._verdicts.callback)
        for path, text in modules:
            envelope = self._library.call(self._library.c.OpaAddPolicy, handle, path.encode(), text.encode())
            if json.loads(envelope).get("error"):
                self._library.c.OpaDestroy(handle)
                return envelope
        self._programs[key] = handle
        if len(self._programs) > _KEPT_PROGRAMS:
            self._library.c.OpaDestroy(self._programs.popitem(last=False)[1])
        return handle

    def _inspect(self, body: bytes) -> tuple[dict[str, Any], bytes]:
        envelope = self._library.query(self._parser, b"x := rego.parse_module(input.name, input.text)", body)
        try:
            read = json.loads(envelope)
        except RecursionError:
            return {"state": "deep"}, b""
        if read.get("error"):
            return {"state": "done"}, envelope
        return {"state": "done"}, json.dumps({"summary": summarise(read["result"][0]["bindings"]["x"])}).encode()


class CpuLimit:
    """Seconds of processor time that are left; the parent's clock is the tighter limit."""

    def __init__(self) -> None:
        self._until = 0

    def grant(self, cpu_s: float) -> None:
        """Give this process that many seconds from now on, or a little more."""
        import resource

        used = time.process_time()
        if used + cpu_s > self._until:
            self._until = ceil(used + 2 * cpu_s)
            resource.setrlimit(resource.RLIMIT_CPU, (self._until, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def isolate(memory_bytes: int) -> dict[str, str]:
    """Take everything from this process that an evaluation does not need. Shape: what, and how it went."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    report = {"network": "shared: this system has no network namespaces", "new_privileges": "possible"}
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
            report["new_privileges"] = "none"
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        if libc.unshare(_CLONE_NEWNET) == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
            report["network"] = "none"
        else:
            report["network"] = f"shared: {os.strerror(ctypes.get_errno())}"
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        report["memory"] = f"{memory_bytes} bytes"
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    return report


def end_with_parent(descriptor: int) -> None:
    """End this process when the pipe's other end is gone: also in the middle of an evaluation."""

    def watch() -> None:
        os.read(descriptor, 1)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def send(pipe: BinaryIO, head: dict[str, Any], body: bytes = b"") -> None:
    """Write one frame."""
    encoded = json.dumps(head).encode()
    pipe.write(HEAD.pack(len(encoded), len(body)) + encoded + body)
    pipe.flush()


def main() -> None:
    """Serve the pipe until it ends. Arguments: the library's path, the watched descriptor, the memory limit (bytes)."""
    library_path, watched, memory_bytes = sys.argv[-3], int(sys.argv[-2]), int(sys.argv[-1])
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    report = isolate(memory_bytes)
    end_with_parent(watched)
    engine = Engine(Library(library_path))
    send(answers, {"state": "ready", "isolation": report})
    while True:
        lengths = questions.read(HEAD.size)
        if len(lengths) < HEAD.size:
            return
        head_bytes, body_bytes = HEAD.unpack(lengths)
        head = json.loads(questions.read(head_bytes))
        for said, envelope in engine.answers(head, questions.read(body_bytes)):
            send(answers, said, envelope)


if __name__ == "__main__":
    main()
