"""Changes a state's file with the engine itself: `state mv` and `state rm`, in a private folder that goes away.

Knows no stack and no control plane: bytes in, bytes out. The state lies there in clear, readable by this account alone,
for as long as the command takes.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.core.errors import UserError
from app.engine.environment import engine_env
from app.engine.process import run
from app.engine.tools import Engine

TIMEOUT_S: Final = 300.0
MAX_ADDRESS_CHARS: Final = 4096
MAX_SAID_CHARS: Final = 4000


@dataclass(frozen=True, slots=True)
class Changed:
    """The state afterwards, and what the engine said."""

    data: bytes
    said: str


def change_state(engine: Engine, data: bytes, verb: str, addresses: Sequence[str]) -> Changed:
    """The state after `state VERB ADDRESSES…`. Raises: UserError with the engine's own words when it says no."""
    for address in addresses:
        if not address or address.startswith("-") or "\0" in address or len(address) > MAX_ADDRESS_CHARS:
            raise UserError(f"changing the state: {address[:100]!r} is no address of a resource")
    with tempfile.TemporaryDirectory(prefix="trackside-state-") as name:
        folder = Path(name)
        file = folder / "terraform.tfstate"
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(data)
        env = engine_env(home=folder, tmp=folder, data_dir=folder / "data", environment={})
        Path(env["TF_CLI_CONFIG_FILE"]).touch(mode=0o600)  # else the engine warns that it is missing
        files = (f"-state={file}", f"-backup={folder / 'backup'}")
        argv = [*engine.argv, "state", verb, "-no-color", *files, *addresses]
        done = run(argv, env=env, cwd=folder, timeout_s=TIMEOUT_S)
        said = (done.stdout if done.code == 0 else done.stderr).decode("utf-8", "replace").strip()[-MAX_SAID_CHARS:]
        if done.code != 0:
            raise UserError(f"changing the state: {engine.name} state {verb} exited {done.code}: {said}")
        return Changed(file.read_bytes(), said)
