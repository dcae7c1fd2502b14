"""Git LFS: what a commit's pointers mean, downloaded by `git lfs` itself into a folder of the run's own.

What a repository's .lfsconfig says is overruled: the files come from the repository's own server, all of them, and no
program is run to fetch one. Source: https://github.com/git-lfs/git-lfs/blob/main/docs/man/git-lfs-config.adoc
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from app.core.errors import RetryableError, UserError
from app.engine.git_source import Source, configured, is_offline, redacted, remote_settings
from app.engine.process import run

TIMEOUT_S: Final = 900
"""For all files of one commit."""


def fetch_lfs(source: Source, sha: str, storage: Path, *, env: Mapping[str, str], mirror: Path) -> None:
    """Have the files of a commit below `storage/objects`. `env` is git's; `mirror` holds the commit.

    Raises: UserError when git-lfs is not installed or its server says no; RetryableError when there was no answer.
    """
    about = f"fetching LFS files of {source.url}"
    if shutil.which("git-lfs", path=env.get("PATH", os.defpath)) is None:
        raise UserError(f"{about}: this worker has no git-lfs; install the package git-lfs, or take `lfs: true` away")
    storage.mkdir(mode=0o700, parents=True, exist_ok=True)
    address = source.url if source.url.endswith(".git") else f"{source.url}.git"
    settings = {
        **remote_settings(source),
        "credential.helper": "",
        "http.followRedirects": "false",
        "lfs.url": f"{address}/info/lfs",
        "lfs.storage": str(storage),
        "lfs.fetchinclude": "",
        "lfs.fetchexclude": "",
        "lfs.basictransfersonly": "true",
        "lfs.standalonetransferagent": "",
        "lfs.locksverify": "false",
        "lfs.transfer.maxretries": "3",
    }
    asked = {**env, **configured(settings), "GIT_DIR": str(mirror), "GIT_ASKPASS": "", "GIT_ALLOW_PROTOCOL": "none"}
    try:
        done = run(["git", "lfs", "fetch", "origin", sha], env=asked, cwd=storage, timeout_s=TIMEOUT_S)
    except RetryableError as error:
        raise RetryableError(f"{about}: no end after {TIMEOUT_S} s") from error
    if done.code == 0:
        return
    said = " ".join(redacted(source, done.error_text(2000)).split())[-500:]
    if is_offline(said):
        raise RetryableError(f"{about}: {said}")
    raise UserError(f"{about}: {said or 'git lfs gave no reason'}")
