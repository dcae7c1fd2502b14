"""`trackside …` as somebody types it on the server, without two seconds of imports each time.

A process that has loaded the program, and has done nothing with it, is forked for each command: the command is a
process of its own, with the environment, the streams and the exit code that it would have.
"""

import array
import atexit
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping

_ROOM = 1 << 20


class Operator:
    """Somebody at the server's terminal."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        argv = [sys.executable, "-m", "tests.operator", str(theirs.fileno())]
        # Not waited for: it ends when the socket closes, with the process that asks.
        self._loaded = subprocess.Popen(argv, pass_fds=[theirs.fileno()], start_new_session=True)
        theirs.close()
        self._asks = ours
        atexit.register(self._end)

    def _end(self) -> None:
        self._asks.close()
        self._loaded.wait(10)

    def type(
        self, words: tuple[str, ...], env: Mapping[str, str], stdin: str, timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        """What the command printed, and its exit code. Raises: TimeoutExpired, and the command is killed."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(stdin.encode())
            given.seek(0)
            answers, theirs = socket.socketpair()
            with answers:
                with theirs:
                    fds = array.array("i", [given.fileno(), out.fileno(), err.fileno(), theirs.fileno()])
                    document = json.dumps({"words": words, "env": dict(env)}).encode()
                    self._asks.sendmsg([len(document).to_bytes(4, "big")], _rights(fds))
                    self._asks.sendall(document)
                code = _outcome(answers, words, timeout_s)
            texts = [(stream.seek(0), stream.read().decode())[1] for stream in (out, err)]
        return subprocess.CompletedProcess(["trackside", *words], code, *texts)


def _rights(fds: "array.array[int]") -> list[tuple[int, int, "array.array[int]"]]:
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]


def _outcome(answers: socket.socket, words: tuple[str, ...], timeout_s: float) -> int:
    answers.settimeout(timeout_s)
    pid = int.from_bytes(answers.recv(4), "big")
    try:
        code = answers.recv(1)
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        raise subprocess.TimeoutExpired(["trackside", *words], timeout_s) from None
    return code[0] if code else -signal.SIGKILL


@functools.cache
def operator() -> Operator:
    """The one of this test process."""
    return Operator()


def _serve(asked: socket.socket) -> None:
    """Fork for each command that is asked for, until nobody is left who asks."""
    import app.cli
    import app.on_server
    import app.wiring  # noqa: F401 - what takes the time

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        head, rights, _, _ = asked.recvmsg(4, socket.CMSG_SPACE(4 * array.array("i").itemsize))
        if not head:
            return
        fds = array.array("i")
        fds.frombytes(rights[0][2])
        document = bytearray()
        while len(document) < int.from_bytes(head, "big"):
            document += asked.recv(_ROOM)
        if os.fork() == 0:
            asked.close()
            _carry_out(json.loads(document), fds)
        for fd in fds:
            os.close(fd)


def _carry_out(command: dict[str, object], fds: "array.array[int]") -> None:
    """Be the command; never returns."""
    from app.cli import main

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    code = 1
    with socket.socket(fileno=fds[3]) as answer:
        answer.sendall(os.getpid().to_bytes(4, "big"))
        try:
            for number in (0, 1, 2):
                os.dup2(fds[number], number)
                os.close(fds[number])
            env, words = command["env"], command["words"]
            assert isinstance(env, dict)
            assert isinstance(words, list)
            os.environ.clear()
            os.environ.update(env)
            sys.argv = ["trackside", *words]
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            answer.sendall(bytes([code & 0xFF]))
            os._exit(code & 0xFF)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
