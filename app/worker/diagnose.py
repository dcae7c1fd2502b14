"""Looks a worker's machine over: the control plane, the token, isolation, engines, git, providers' origin, free space.

Asks and changes nothing; above all it claims nothing. `doctor` runs each method by itself, under its own time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

import httpx
import msgspec

from app.core import words_doctor as words
from app.core.finding import Finding, fine, problem, warning
from app.core.protocol import VERSION, ClaimRequest, Problem
from app.engine.programs import LEAST_GIT, find_version, free_bytes, is_git_recent
from app.engine.workspace import WorkspaceRoot
from app.worker.config import WorkerConfig

REGISTRY: Final = "https://registry.terraform.io"
LEAST_FREE_BYTES: Final = 512 * 1024 * 1024
_TIMEOUT_S: Final = 10.0
_MAX_BODY_BYTES: Final = 64 * 1024
_NOBODY: Final = ClaimRequest(worker="", protocol=VERSION, wait_s=0)
"""A claim without a name: the control plane looks at its token and its protocol, and then refuses it."""
_NAMELESS: Final = "worker must be"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnoseWorker:
    """The questions, each with what it finds."""

    config: WorkerConfig

    def checks(self) -> Sequence[tuple[str, Callable[[], Iterator[Finding]]]]:
        """Everything, by subject."""
        return (("control plane", self.control_plane), ("token", self.token), *self.machine())

    def machine(self) -> Sequence[tuple[str, Callable[[], Iterator[Finding]]]]:
        """What is about this machine alone."""
        return (
            ("engines", self.engines),
            ("git", self.git),
            ("providers", self.providers),
            ("free space", self.space),
        )

    def control_plane(self) -> Iterator[Finding]:
        """Whether it is reached."""
        url, began = self.config.control_url, monotonic()
        try:
            status, _body = _ask("GET", f"{url}/healthz")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            yield problem("control plane", words.not_reached(url, type(error).__name__))
            return
        if status == httpx.codes.OK:
            yield fine("control plane", words.reaches(url, monotonic() - began))
        else:
            yield problem("control plane", words.control_unready(url, status))

    def token(self) -> Iterator[Finding]:
        """Whether it takes the pool's token, and speaks this worker's protocol."""
        url = f"{self.config.control_url}/worker/v1/claim"
        headers = {"authorization": f"Bearer {self.config.token.reveal()}", "content-type": "application/json"}
        try:
            status, answer = _ask("POST", url, content=msgspec.json.encode(_NOBODY), headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            yield problem("token", words.not_reached(self.config.control_url, type(error).__name__))
            return
        said = _said(answer)
        if status == httpx.codes.UNAUTHORIZED:
            yield problem("token", words.POOL_REFUSES)
        elif status == httpx.codes.BAD_REQUEST and _NAMELESS in said:
            yield fine("token", words.POOL_ACCEPTS)
        else:
            yield problem("token", words.token_unclear(status, said))

    def engines(self) -> Iterator[Finding]:
        """Which there are, with their versions."""
        toolbox = self.config.toolbox()
        lines = list(toolbox.inventory())
        if lines and all(line.endswith(": none") for line in lines):
            yield problem("engines", words.NO_ENGINE)
            return
        for line in lines:
            yield fine("engines", line)

    def git(self) -> Iterator[Finding]:
        """Which git, and whether it can fetch large files."""
        version = find_version("git", search_path=self.config.search_path)
        least = ".".join(map(str, LEAST_GIT))
        if is_git_recent(version):
            yield fine("git", version)
        else:
            yield problem("git", words.git_too_old(version or "no git on PATH", least))
        lfs = find_version("git-lfs", search_path=self.config.search_path)
        yield fine("git-lfs", lfs) if lfs else warning("git-lfs", words.NO_LFS)

    def providers(self) -> Iterator[Finding]:
        """Whether somebody answers where providers come from."""
        mirror = self.config.providers_mirror
        origin, began = mirror or REGISTRY, monotonic()
        try:
            _ask("GET", origin if mirror else f"{origin}/.well-known/terraform.json")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            yield warning("providers", words.origin_silent(origin, type(error).__name__))
        else:
            yield fine("providers", words.reaches(origin, monotonic() - began))

    def space(self) -> Iterator[Finding]:
        """Whether runs have room, and what is kept between them."""
        root = WorkspaceRoot(self.config.work_root).path
        wanted = self.config.limits.workspace_bytes * self.config.concurrency
        yield _room(root, wanted)
        yield _room(self.config.mirror_root, 0)


def _room(folder: Path, wanted_bytes: int) -> Finding:
    there, free = free_bytes(folder)
    if free < LEAST_FREE_BYTES:
        return problem("free space", words.space_short(str(there), free, max(wanted_bytes, LEAST_FREE_BYTES)))
    if free < wanted_bytes:
        return warning("free space", words.space_short(str(there), free, wanted_bytes))
    return fine("free space", words.space(str(there), free))


def _ask(method: str, url: str, *, content: bytes = b"", headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Status and the beginning of the body. Raises: httpx.HTTPError, httpx.InvalidURL."""
    body = b""
    with httpx.stream(
        method, url, content=content, headers=dict(headers or {}), trust_env=False, timeout=_TIMEOUT_S
    ) as answer:
        for piece in answer.iter_raw(_MAX_BODY_BYTES):
            body += piece
            if len(body) >= _MAX_BODY_BYTES:
                break
    return answer.status_code, body[:_MAX_BODY_BYTES]


def _said(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=Problem).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "no readable answer"
