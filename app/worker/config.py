"""What a worker is told when it starts: plain values, built by wiring from the settings.

Knows no environment variable. Everything else that a worker needs comes with each assignment.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from app.core.names import Secret
from app.engine.archive import StreamCipher
from app.engine.child import Patience
from app.engine.download import never
from app.engine.isolation import Isolation
from app.engine.limits import Limits
from app.engine.origin import Origin
from app.engine.providers import ProviderStore
from app.engine.release import ReleaseMirror
from app.engine.tools import Toolbox

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
    version: str = ""
    """Of Trackside; shown to people."""
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
    tools_root: Path | None = None
    """The tool folder: engines by version. None: `tools` beside the mirrors."""
    releases: ReleaseMirror = ReleaseMirror()  # noqa: RUF009 - frozen
    """Where the tool folder is filled from."""
    providers_root: Path | None = None
    """Where provider packages are kept for all runs. None: `providers` beside the mirrors."""
    providers_mirror: str = ""
    """A network mirror of providers; empty: their registries."""
    poll_s: float = 20.0
    """How long one claim waits for work."""
    grace_s: float = 600.0
    """How long a worker that was told to end waits for an apply; then it is interrupted."""
    patience: Patience = Patience()  # noqa: RUF009 - frozen
    isolation: Isolation = Isolation()  # noqa: RUF009 - frozen
    """How the runs' commands are kept apart from this machine."""
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    """What one assignment's commands may take."""

    @property
    def errored_root(self) -> Path:
        """Where a state that could not be saved is kept."""
        return self.keep_root or self.mirror_root.parent / "errored"

    @property
    def providers(self) -> ProviderStore:
        """The packages that all runs share."""
        root = self.providers_root or self.mirror_root.parent / "providers"
        return ProviderStore(root=root, origin=Origin(mirror_url=self.providers_mirror))

    @property
    def run_isolation(self) -> Isolation:
        """How a run's commands are kept apart: they can read the shared packages, and none can write them."""
        packages = self.providers.packages
        roots = (packages,) if packages.is_dir() else ()
        return replace(self.isolation, readable=(*self.isolation.readable, *roots))

    def toolbox(self, is_ending: Callable[[], bool] = never) -> Toolbox:
        """This worker's engines; `is_ending` is asked while one is fetched."""
        return Toolbox(
            terraform_bin=self.terraform_bin,
            tofu_bin=self.tofu_bin,
            search_path=self.search_path,
            folder=self.tools_root or self.mirror_root.parent / "tools",
            mirror=self.releases,
            is_ending=is_ending,
        )
