"""What a worker is told: where the control plane is, what it may use, and what a run on it may take."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, model_validator

from app.core.host import is_loopback
from app.core.names import Secret
from app.settings.base import Environment, variable
from app.settings.values import (
    POOL_NAME,
    WORKER_NAME,
    as_control,
    as_long_secret,
    as_mirror,
    as_paths,
    as_url,
)

Url = Annotated[str, BeforeValidator(as_url)]


class WorkerSettings(Environment):
    """What a worker reads. It knows neither the database nor the App."""

    control_url: Annotated[str, BeforeValidator(as_control)] = variable(
        "The control plane's address: https, or http on this machine.",
        example="https://trackside.example.org",
        min_length=1,
    )
    worker_token: Annotated[Secret, BeforeValidator(as_long_secret)] = variable(
        "The pool's token, as in the control plane's WORKER_TOKENS.", example="(openssl rand -hex 32)"
    )
    terraform_bin: Path | None = variable(
        "The terraform binary of a worker.", example="/usr/local/bin/terraform", default=None, default_is="from PATH"
    )
    tofu_bin: Path | None = variable(
        "The tofu binary of a worker.", example="/usr/local/bin/tofu", default=None, default_is="from PATH"
    )
    tools_dir: Path | None = variable(
        "Folder of terraform and tofu binaries by version: terraform/1.9.8/terraform.",
        example="/var/lib/trackside/tools",
        default=None,
        default_is="DATA_DIR/worker/tools",
    )
    tools_mirror: Url = variable(
        "Where versions that no binary here fits are fetched from, laid out like releases.hashicorp.com; OpenTofu's "
        "releases are below its opentofu/.",
        example="https://releases.hashicorp.com",
        default="",
        default_is="nothing is fetched",
    )
    tofu_mirror: Url = variable(
        "Where OpenTofu's releases are, when they are not below TOOLS_MIRROR.",
        example="https://github.com/opentofu/opentofu/releases/download",
        default="",
        default_is="TOOLS_MIRROR/opentofu",
    )
    tofu_index: Url = variable(
        "The list of OpenTofu's versions.",
        example="https://get.opentofu.org/tofu/api.json",
        default="",
        default_is="TOFU_MIRROR/api.json",
    )
    tools_keyring: Path | None = variable(
        "A file of the public keys whose signature of a release's checksums is believed: the vendors', armored.",
        example="/etc/trackside/vendors.asc",
        default=None,
        default_is="none: without it nothing is fetched, unless TOOLS_UNSIGNED is true",
    )
    tools_unsigned: bool = variable(
        "Whether releases are taken by their checksums alone, without a signature.", example="true", default=False
    )
    providers_mirror: Annotated[str, BeforeValidator(as_mirror)] = variable(
        "A network mirror of providers, by https.",
        example="https://mirror.example.org/providers",
        default="",
        default_is="each provider's registry",
    )
    worker_pool: str = variable(
        "The pool whose runs a worker takes.",
        example="production",
        default="default",
        pattern=rf"^{POOL_NAME.pattern}$",
    )
    worker_concurrency: int = variable(
        "How many runs one worker process carries out at once.", unit="runs", example="2", default=1, ge=1, le=64
    )
    worker_name: str = variable(
        "What a worker is called; each of a pool needs a name of its own, the same after a restart.",
        example="runner-1",
        default="",
        default_is="the host's name",
        pattern=rf"^({WORKER_NAME.pattern})?$",
    )
    worker_grace_s: float = variable(
        "How long a worker that is told to end waits for an apply under way before it interrupts it.",
        unit="seconds",
        example="1800",
        default=600,
        ge=0,
        le=86400,
    )
    isolation: Annotated[Literal["auto", "bubblewrap", "none"], BeforeValidator(lambda value: str(value).lower())] = (
        variable(
            "What keeps plans and hooks apart from the worker's machine: bubblewrap where it works (`auto`), nothing "
            "else than bubblewrap (a worker without it does not start), or nothing.",
            example="bubblewrap",
            default="auto",
        )
    )
    isolation_readable: Annotated[tuple[Path, ...], BeforeValidator(as_paths)] = variable(
        "Folders of the machine that every isolated run may read besides /usr, with colons between.",
        example="/opt/aws-cli:/opt/tools",
        default=(),
        default_is="none",
    )
    init_timeout_s: float = variable(
        "How long init may take; 0: as long as it wants.", unit="seconds", example="600", default=1200, ge=0
    )
    plan_timeout_s: float = variable(
        "How long a plan may take; 0: as long as it wants.", unit="seconds", example="1800", default=3600, ge=0
    )
    apply_timeout_s: float = variable(
        "How long an apply may take before it is interrupted, as by Ctrl-C: Terraform saves its state; 0: as long as "
        "it wants.",
        unit="seconds",
        example="7200",
        default=3600,
        ge=0,
    )
    hook_timeout_s: float = variable(
        "How long one line of a hook may take; 0: as long as it wants.",
        unit="seconds",
        example="300",
        default=600,
        ge=0,
    )
    run_timeout_s: float = variable(
        "How long everything that one assignment runs may take; 0: as long as it wants.",
        unit="seconds",
        example="7200",
        default=4200,
        ge=0,
    )
    silence_timeout_s: float = variable(
        "How long a command may print nothing; 0: as long as it wants.",
        unit="seconds",
        example="900",
        default=420,
        ge=0,
    )
    max_output_mb: int = variable(
        "What one command may print before it is ended (a plan as JSON, too); the log keeps 16 MiB; 0: no limit.",
        unit="MiB",
        example="100",
        default=512,
        ge=0,
    )
    max_memory_mb: int = variable(
        "Memory of all processes of a run together; 0: no limit.", unit="MiB", example="2048", default=4096, ge=0
    )
    max_processes: int = variable(
        "Processes and threads of a run; 0: no limit.", unit="processes", example="500", default=2000, ge=0
    )
    max_workspace_mb: int = variable(
        "Size of a run's workspace, checkout and providers included; 0: no limit.",
        unit="MiB",
        example="4096",
        default=2000,
        ge=0,
    )

    @model_validator(mode="after")
    def _mirrors_are_trusted_for_a_reason(self) -> Self:
        mirrors = (self.tools_mirror, self.tofu_mirror)
        if any(mirrors) and self.tools_keyring is None and not self.tools_unsigned:
            raise ValueError(
                "TOOLS_KEYRING: is not set, and releases would be fetched from a mirror; give a file of the vendors' "
                "public keys, or TOOLS_UNSIGNED=true to take their checksums unsigned"
            )
        if self.tools_unsigned and self.tools_keyring is None:
            for url in (*mirrors, self.tofu_index):
                parts = urlsplit(url)
                if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
                    raise ValueError(
                        "TOOLS_UNSIGNED: needs an https:// mirror: nothing else says who sends the releases"
                    )
        return self
