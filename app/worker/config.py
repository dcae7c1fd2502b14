"""What a worker is told when it starts: plain values, built by wiring from the settings.

Knows no environment variable. Everything else that a worker needs comes with each assignment.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.core.names import Secret
from app.engine.archive import StreamCipher
from app.engine.child import Patience
from app.engine.isolation import Isolation
from app.engine.limits import Limits

MakeCipher = Callable[[Secret, Mapping[str, str]], StreamCipher]
"""Makes the cipher of one run's archive from its data key (base64, as the assignment brings it) and its context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """One worker process."""

    control_url: str
    """The control plane's base URL, without `/worker/v1`."""
    token: Secret
    """The pool's token: claims, nothing else."""
    pool: str
    name: str
    """Shown to people; the slot's number is added to it."""
    mirror_root: Path
    """Where bare mirrors of repositories are kept between runs."""
    concurrency: int = 1
    """How many assignments at once: slots."""
    work_root: Path | None = None
    """Where workspaces are; None: the one path that all workers share, without which no plan is applied elsewhere."""
    keep_root: Path | None = None
    """Where a state that could not be saved is kept; None: `errored` beside the mirrors."""
    terraform_bin: str = ""
    tofu_bin: str = ""
    search_path: str = os.defpath
    """Where engines are looked for when no binary is named."""
    poll_s: float = 20.0
    """How long one claim waits for work."""
    patience: Patience = Patience()  # noqa: RUF009 - frozen
    isolation: Isolation = Isolation()  # noqa: RUF009 - frozen
    """How the runs' commands are kept apart from this machine."""
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    """What one assignment's commands may take."""

    @property
    def errored_root(self) -> Path:
        """Where a state that could not be saved is kept."""
        return self.keep_root or self.mirror_root.parent / "errored"
