"""Asks where a provider's package can be downloaded: a network mirror, else the registry that its address names.

Speaks the two protocols, believes neither: what comes is held against the checksums of a lock file by who asked.
Source: https://developer.hashicorp.com/terraform/internals/provider-network-mirror-protocol and
https://developer.hashicorp.com/terraform/internals/provider-registry-protocol
"""

import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from app.core.errors import RetryableError
from app.engine.download import MAX_URL_CHARS, Bounds, Downloader, NotThere, shown
from app.engine.lockfile import Address

ANSWER: Final = Bounds(max_bytes=4 * 1024 * 1024, timeout_s=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where packages come from."""

    mirror_url: str = ""
    """A network mirror, without a slash at its end; empty: each provider's registry."""

    def archive_url(self, address: Address, version: str, system: str, downloader: Downloader) -> str:
        """The address of the package for a system such as `linux_amd64`.

        Raises: NotThere; RetryableError when the answer is not what the protocol says.
        """
        if self.mirror_url:
            base = f"{self.mirror_url}/{address}/{version}.json"
            found = _get(base, downloader, "archives", system, "url")
            return _absolute(base, found)
        host = f"https://{address.host}"
        services = _services(host, downloader)
        os_name, _, machine = system.partition("_")
        base = f"{services.rstrip('/')}/{address.namespace}/{address.type}/{version}/download/{os_name}/{machine}"
        return _absolute(base, _get(base, downloader, "download_url"))


def _services(host: str, downloader: Downloader) -> str:
    """Where the provider registry of a host is, as it says: an https address, or a path on itself."""
    base = f"{host}/.well-known/terraform.json"
    return _absolute(base, _get(base, downloader, "providers.v1"))


def _get(url: str, downloader: Downloader, *keys: str) -> str:
    """The text at a path of keys in a JSON answer. A mirror that does not have a system leaves its key out."""
    try:
        value: Any = json.loads(downloader.read(url, ANSWER))
        for key in keys:
            value = value[key]
    except KeyError as error:
        raise NotThere(f"{shown(url)} has no {error.args[0]}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise RetryableError(f"reading {shown(url)}: not an answer of this protocol") from error
    if not isinstance(value, str) or not 0 < len(value) <= MAX_URL_CHARS:
        raise RetryableError(f"reading {shown(url)}: not an answer of this protocol")
    return value


def _absolute(base: str, found: str) -> str:
    """Where it is: relative to the answer, and by https unless the answer itself came by http."""
    url = urljoin(base, found)
    if urlsplit(url).scheme not in ("https", urlsplit(base).scheme):
        raise RetryableError(f"reading {shown(base)}: names {shown(url)}, which is not https")
    return url
