"""Builds the environment of an engine's process from nothing: planning runs other people's code, which can read it.

Knows which names are ours. Nothing of the worker's own environment but PATH goes in; the stack's variables do, and
state and clone credentials only where the command needs them.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from app.core.errors import UserError
from app.core.names import Secret
from app.engine.files import write_new
from app.engine.process import base_env

MAX_VALUE_BYTES: Final = 128 * 1024 - 4096
"""Linux takes 128 KiB for one variable, name included."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_OURS: Final = re.compile(
    r"PATH|HOME|TMPDIR|SHELLOPTS|BASH_ENV|ENV|IFS|CHECKPOINT_DISABLE|TF_DATA_DIR|TF_INPUT|TF_IN_AUTOMATION|TF_WORKSPACE|TF_REATTACH_PROVIDERS"
    r"|TF_PLUGIN_CACHE_DIR|TOFU_CLI_.*|(?:LD|DYLD|TF_CLI|TF_HTTP|TF_LOG|GIT|TRACKSIDE)_.*|TF_LOG|BASH_FUNC_.*"
)
CLI_CONFIG: Final = "trackside.tfrc"
"""The engine's configuration, in its home folder."""
LAID_OUT: Final = "providers"
"""A filesystem mirror of links, in a run's home: what a run does to it is its own affair."""
_OTHER_AWS: Final = frozenset(
    {
        "AWS_ACCESS_KEY_ID",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    }
)
"""Variables that say where other credentials of AWS are."""
_CLI_CONFIG: Final = """\
# Explicit, so that neither a home folder nor `terraform.d/plugins` in a commit is a source of providers.
disable_checkpoint = true
provider_installation {{
{sources}}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Where an engine gets its providers: laid out ones, and for all others a network mirror or their registries."""

    addresses: tuple[str, ...] = ()
    """Which providers are laid out for this run, in LAID_OUT in its home."""
    mirror_url: str = ""
    """Engines take a mirror by https alone: with any other, only what is laid out can be had."""

    def cli_config(self, home: Path) -> str:
        """The CLI configuration, with the home as the engine sees it.

        Source: https://developer.hashicorp.com/terraform/cli/config/config-file
        """
        names = json.dumps(list(self.addresses))
        laid = f"path = {json.dumps(str(home / LAID_OUT))}\n    include = {names}"
        except_for = f"exclude = {names}" if self.addresses else ""
        sources = [("filesystem_mirror", laid)] if self.addresses else []
        if self.mirror_url.startswith("https://"):
            sources.append(("network_mirror", f"url = {json.dumps(self.mirror_url + '/')}\n    {except_for}"))
        elif not self.mirror_url:
            sources.append(("direct", except_for))
        return _CLI_CONFIG.format(sources="".join(f"  {kind} {{\n    {text}\n  }}\n" for kind, text in sources))


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedState:
    """Where a managed state is, and the credentials of this assignment."""

    address: str
    username: str
    password: Secret
    is_read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneAccess:
    """What fetches private modules: for `init` alone."""

    url: str
    """https URL of the run's repository; the token is sent to its host only."""
    token: Secret


def check_environment(environment: Mapping[str, str], *, stack: str) -> None:
    """Nothing when the stack may set these variables.

    Raises: UserError that names the stack and the variable.
    """
    for name, value in environment.items():
        action = f"preparing stack {stack}: environment variable {name[:100]!r}"
        if not is_name(name):
            raise UserError(f"{action}: not a name")
        if is_ours(name):
            raise UserError(f"{action}: set by Trackside itself, a stack cannot set it")
        if "\0" in value or len(value.encode("utf-8", "surrogateescape")) > MAX_VALUE_BYTES:
            raise UserError(f"{action}: its value holds a NUL or is longer than {MAX_VALUE_BYTES} bytes")


def is_name(name: str) -> bool:
    """True for what can be a variable's name."""
    return _NAME.fullmatch(name) is not None


def is_ours(name: str) -> bool:
    """True for a variable that Trackside sets itself, or that changes an engine behind its back."""
    return _OURS.fullmatch(name.upper()) is not None


def write_cli_config(home: Path, installation: Installation | None = None, *, seen_home: Path | None = None) -> None:
    """Write the engine's configuration anew: a command before may have changed it. `seen_home`: as commands see it."""
    write_new(home / CLI_CONFIG, (installation or Installation()).cli_config(seen_home or home))


def engine_env(*, home: Path, tmp: Path, data_dir: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of every engine command: the stack's, then ours, which win. The folders as the command sees them.

    Source: https://developer.hashicorp.com/terraform/cli/config/environment-variables
    """
    ours = {
        "TMPDIR": str(tmp),
        "TF_INPUT": "0",
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
        "TF_CLI_CONFIG_FILE": str(home / CLI_CONFIG),
        "TF_DATA_DIR": str(data_dir),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    return {**environment, **base_env(home), **ours}


def state_env(state: ManagedState) -> dict[str, str]:
    """The http backend's address and credentials. As `-backend-config` they would be baked into the plan.

    Source: https://developer.hashicorp.com/terraform/language/backend/http
    """
    env = {
        "TF_HTTP_ADDRESS": state.address,
        "TF_HTTP_USERNAME": state.username,
        "TF_HTTP_PASSWORD": state.password.reveal(),
        "TF_HTTP_RETRY_MAX": "4",
        "TF_HTTP_RETRY_WAIT_MIN": "1",
        "TF_HTTP_RETRY_WAIT_MAX": "10",
    }
    if state.is_read_only:
        return env
    locks = {"TF_HTTP_LOCK_ADDRESS": state.address, "TF_HTTP_UNLOCK_ADDRESS": state.address}
    return env | locks | {"TF_HTTP_LOCK_METHOD": "LOCK", "TF_HTTP_UNLOCK_METHOD": "UNLOCK"}


def identity_env(token_file: Path, environment: Mapping[str, str], *, run_id: str) -> dict[str, str]:
    """Where the run's identity token is, and, for a stack that names an AWS role and no other credentials, what makes
    AWS' own tools use it: AWS_ROLE_ARN alone means nothing to them.

    Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html
    """
    env = {"TRACKSIDE_OIDC_TOKEN_FILE": str(token_file)}
    if "AWS_ROLE_ARN" in environment and not _OTHER_AWS & environment.keys():
        env["AWS_WEB_IDENTITY_TOKEN_FILE"] = str(token_file)
        if "AWS_ROLE_SESSION_NAME" not in environment:
            env["AWS_ROLE_SESSION_NAME"] = f"trackside-{run_id}"
    return env


def clone_env(access: CloneAccess) -> dict[str, str]:
    """What lets git fetch private modules from the run's host: a header by environment, and ssh spelled as https."""
    parts = urlsplit(access.url)
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"
    basic = base64.b64encode(f"x-access-token:{access.token.reveal()}".encode()).decode()
    pairs = [
        (f"http.{origin}.extraHeader", f"Authorization: Basic {basic}"),
        (f"url.{origin}.insteadOf", f"git@{parts.hostname}:"),
        (f"url.{origin}.insteadOf", f"ssh://git@{parts.hostname}/"),
    ]
    env = {"GIT_CONFIG_COUNT": str(len(pairs))}
    for number, (key, value) in enumerate(pairs):
        env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return env
