"""The other plane, wired: a worker's settings in, a worker out. Touches neither database nor App."""

import os
import socket
from importlib.metadata import version
from pathlib import Path

from app.engine.isolation import find_isolation
from app.engine.limits import MIB, Limits
from app.engine.release import ReleaseMirror
from app.settings import WorkerSettings
from app.vault.openpgp import SigningKeys
from app.vault.stream import stream_cipher
from app.worker.config import WorkerConfig
from app.worker.loop import Worker

MIRRORS = "mirrors"


def open_worker(settings: WorkerSettings, *, name: str = "", work_root: Path | None = None) -> Worker:
    """A worker: it knows the control plane's address and its pool's token, and how to make an archive's cipher."""
    folder = settings.data_dir / "worker"
    search_path = os.environ.get("PATH", os.defpath)
    config = WorkerConfig(
        control_url=settings.control_url,
        token=settings.worker_token,
        pool=settings.worker_pool,
        name=name or settings.worker_name or socket.gethostname(),
        version=version("trackside"),
        concurrency=settings.worker_concurrency,
        grace_s=settings.worker_grace_s,
        work_root=work_root,
        mirror_root=folder / MIRRORS,
        terraform_bin=str(settings.terraform_bin or ""),
        tofu_bin=str(settings.tofu_bin or ""),
        search_path=search_path,
        isolation=find_isolation(settings.isolation, readable=settings.isolation_readable, search_path=search_path),
        limits=_limits(settings),
        tools_root=settings.tools_dir,
        releases=_releases(settings),
        providers_mirror=settings.providers_mirror,
    )
    return Worker(config, stream_cipher)


def _limits(settings: WorkerSettings) -> Limits:
    return Limits(
        init_s=settings.init_timeout_s,
        plan_s=settings.plan_timeout_s,
        apply_s=settings.apply_timeout_s,
        hook_s=settings.hook_timeout_s,
        run_s=settings.run_timeout_s,
        silence_s=settings.silence_timeout_s,
        output_bytes=settings.max_output_mb * MIB,
        memory_bytes=settings.max_memory_mb * MIB,
        processes=settings.max_processes,
        workspace_bytes=settings.max_workspace_mb * MIB,
    )


def _releases(settings: WorkerSettings) -> ReleaseMirror:
    return ReleaseMirror(
        url=settings.tools_mirror,
        tofu_url=settings.tofu_mirror,
        tofu_index_url=settings.tofu_index,
        verify=SigningKeys(settings.tools_keyring).verify if settings.tools_keyring else None,
    )
