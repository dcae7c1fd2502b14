"""Fetches releases of terraform and tofu from a mirror laid out like the vendors' sites, into the tool folder.

A release is there whole and verified, or not at all: the checksums' signature first, then the archive's checksum, then
an unpacked folder that is renamed into place under a lock. Knows no runs, and no keys: wiring hands the check in.
Source: https://releases.hashicorp.com/terraform/ and
https://github.com/opentofu/tofudl/blob/main/MIRROR-SPECIFICATION.md
"""

import json
import platform
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from app.core.errors import RetryableError, UserError
from app.engine.download import Bounds, Downloader, NotThere, never, shown
from app.engine.folderlock import folder_lock
from app.engine.unpack import ZipBounds, unpack
from app.engine.version import is_exact
from app.engine.workspace import remove_tree

VerifySignature = Callable[[bytes, bytes], bool]
"""True when the second value is a signature of the first by a key that the operator trusts."""
INDEX: Final = Bounds(max_bytes=64 * 1024 * 1024, timeout_s=120)
SUMS: Final = Bounds(max_bytes=256 * 1024, timeout_s=60)
ARCHIVE: Final = Bounds(max_bytes=512 * 1024 * 1024, timeout_s=900)
CONTENT: Final = ZipBounds(max_files=50, max_bytes=1024 * 1024 * 1024)
_LOCK_TIMEOUT_S: Final = 1_000
_SUM: Final = re.compile(r"([0-9a-f]{64}) [ *](\S{1,200})")
_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}
MAX_VERSIONS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseMirror:
    """Where releases come from, and who vouches for them."""

    url: str = ""
    """Without a slash at its end; below it `terraform/` and `opentofu/`. Empty: no terraform is fetched."""
    tofu_url: str = ""
    """Where `v1.10.0/tofu_1.10.0_linux_amd64.zip` is; empty: `url`/opentofu."""
    tofu_index_url: str = ""
    """Which versions of tofu there are; empty: `api.json` beside them."""
    verify: VerifySignature | None = field(default=None, repr=False)
    """None: the operator takes the checksums unsigned."""

    def serves(self, name: str) -> bool:
        """True when releases of `terraform` or `tofu` can come from here."""
        return bool(self.url or (name == "tofu" and self.tofu_url))

    def versions(self, name: str, downloader: Downloader) -> list[str]:
        """The versions that there are, in no order; empty when the mirror has no index.

        Raises: RetryableError when it does not answer as it should.
        """
        url = self._index_url(name)
        try:
            document = json.loads(downloader.read(url, INDEX))
            found = document["versions"]
            names = [part["id"] for part in found] if isinstance(found, list) else list(found)
        except NotThere:
            return []
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RetryableError(f"reading {shown(url)}: not a list of versions") from error
        return [version for version in names[:MAX_VERSIONS] if isinstance(version, str) and is_exact(version)]

    def install(self, name: str, version: str, folder: Path, *, is_ending: Callable[[], bool] = never) -> None:
        """Put that release's binary into `folder`/version/name, unless it is there; leftovers of others are removed.

        Raises: UserError when there is no such release or it is not what was signed; RetryableError (also for a
        full disk).
        """
        if not is_exact(version):
            raise UserError(f"fetching {name} {version[:50]!r}: not an exact version")
        target, coming = folder / version, folder / f".coming-{version}"
        with folder_lock(folder, version, timeout_s=_LOCK_TIMEOUT_S, is_ending=is_ending):
            if (target / name).is_file():
                return
            remove_tree(coming)  # of a worker that was killed here
            try:
                coming.mkdir(mode=0o755)
                self._fetch(name, version, coming, Downloader(is_ending=is_ending))
                (coming / "unpacked").rename(target)
            except NotThere as error:
                raise UserError(f"fetching {name} {version}: not on the mirror: {error}") from error
            except OSError as error:
                raise RetryableError(f"fetching {name} {version} into the tool folder: {error.strerror}") from error
            finally:
                remove_tree(coming)

    def _fetch(self, name: str, version: str, coming: Path, downloader: Downloader) -> None:
        base = self._release_url(name, version)
        file_name, sums_name = f"{name}_{version}_{system()}.zip", f"{name}_{version}_SHA256SUMS"
        sums = downloader.read(f"{base}/{sums_name}", SUMS)
        action = f"fetching {name} {version}"
        if self.verify is not None:
            signature_url = f"{base}/{sums_name}.{'sig' if name == 'terraform' else 'gpgsig'}"
            if not self.verify(sums, downloader.read(signature_url, SUMS)):
                raise UserError(
                    f"{action}: {shown(signature_url)} is not a signature of {sums_name} by a key of TOOLS_KEYRING: "
                    "nothing was installed"
                )
        wanted = checksum_of(sums, file_name)
        if not wanted:
            raise UserError(f"{action}: {sums_name} has no checksum of {file_name}: not released for this machine")
        archive = coming / file_name
        found = downloader.save(f"{base}/{file_name}", archive, ARCHIVE)
        if found != wanted:
            raise UserError(
                f"{action}: {shown(f'{base}/{file_name}')} has the SHA-256 {found[:12]}…, and {sums_name} says "
                f"{wanted[:12]}…: nothing was installed"
            )
        names = unpack(archive, coming / "unpacked", CONTENT)
        if name not in names or any("/" in found_name for found_name in names):
            raise UserError(f"{action}: {file_name} is not a release: it holds {', '.join(names)[:200]}")

    def _release_url(self, name: str, version: str) -> str:
        return f"{self.url}/terraform/{version}" if name == "terraform" else f"{self._tofu_url}/v{version}"

    def _index_url(self, name: str) -> str:
        if name == "terraform":
            return f"{self.url}/terraform/index.json"
        return self.tofu_index_url or f"{self._tofu_url}/api.json"

    @property
    def _tofu_url(self) -> str:
        return self.tofu_url or f"{self.url}/opentofu"


def system() -> str:
    """This machine as releases name it: `linux_amd64`."""
    machine = platform.machine()
    return f"{platform.system().lower()}_{_MACHINES.get(machine, machine)}"


def checksum_of(sums: bytes, file_name: str) -> str:
    """What a SHA256SUMS file says of a file, in hex; empty when it says nothing, or two things."""
    found = {
        match[1]
        for line in sums.decode("ascii", "replace").splitlines()
        if (match := _SUM.fullmatch(line.strip())) and match[2] == file_name
    }
    return found.pop() if len(found) == 1 else ""
