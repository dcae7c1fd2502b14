"""The App as GitHub's manifest has it: app.yml with PUBLIC_URL put in, and what can be said of an address beforehand.

Pure. A test holds the manifest equal to app.yml.
Source: https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from app.core.appform import EVENTS, PERMISSIONS, Need
from app.core.host import is_loopback

NAME: Final = "Trackside"
DESCRIPTION: Final = (
    "Turns pushes into tracked Terraform and OpenTofu runs; what was confirmed is applied, exactly as planned."
)
GITHUB: Final = "github.com"
GITHUB_API: Final = "api.github.com"
_ORGANISATION: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,99})")
_VERSION: Final = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\.|\b)")
UNKNOWN_VERSION: Final = (0, 0)
"""Of a server that does not tell its own: as old as can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Who meets whom: this installation, and its GitHub."""

    public_url: str
    server_url: str
    api_url: str


def is_github(server_url: str) -> bool:
    """True for github.com, False for an Enterprise Server and the sandbox."""
    return (urlsplit(server_url).hostname or "") == GITHUB


def server_version(text: str) -> tuple[int, int] | None:
    """Major and minor of an Enterprise Server's version; None for what is none."""
    found = _VERSION.match(text.strip())
    return (int(found[1]), int(found[2])) if found else None


def left_out(version: tuple[int, int] | None) -> tuple[Need, ...]:
    """What a server of that version lacks; None: github.com, which lacks nothing."""
    return () if version is None else tuple(need for need in (*PERMISSIONS, *EVENTS) if need.since > version)


def manifest(public_url: str, without: Iterable[Need] = ()) -> dict[str, Any]:
    """What is handed to GitHub. Shape: GitHub App manifest parameters."""
    lacking = set(without)
    return {
        "name": NAME,
        "description": DESCRIPTION,
        "url": public_url,
        "hook_attributes": {"url": f"{public_url}/webhooks/github", "active": True},
        "redirect_url": f"{public_url}/setup/callback",
        "callback_urls": [f"{public_url}/login/callback"],
        "setup_url": f"{public_url}/setup",
        "setup_on_update": True,
        "public": False,
        "request_oauth_on_install": False,
        "default_permissions": {need.name: need.level for need in PERMISSIONS if need not in lacking},
        "default_events": [need.name for need in EVENTS if need not in lacking],
    }


def is_organisation(name: str) -> bool:
    """True for what can be the name of an organisation."""
    return _ORGANISATION.fullmatch(name) is not None


def registration_url(server_url: str, organisation: str, state: str) -> str:
    """Where the manifest is posted to; an empty organisation: the person's own account."""
    place = f"/organizations/{organisation}" if organisation else ""
    return f"{server_url}{place}/settings/apps/new?{urlencode({'state': state})}"


def origin(url: str) -> str:
    """Scheme, host and port of an address, as a browser's Origin header and a content policy have it."""
    parts = urlsplit(url)
    standard = {"https": 443, "http": 80}.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port and parts.port != standard else "")


def address_problem(addresses: Addresses) -> str:
    """Why these addresses can make no App that works, with the way out; empty when they can."""
    public, api = urlsplit(addresses.public_url), urlsplit(addresses.api_url)
    is_here = is_loopback(public.hostname or "")
    is_public = is_github(addresses.server_url)
    if is_public != ((api.hostname or "") == GITHUB_API):
        return (
            f"GITHUB_SERVER_URL is {addresses.server_url} and GITHUB_API_URL is {addresses.api_url}: that is not one "
            "GitHub. Set both to the same one (an Enterprise Server's API is https://HOST/api/v3), and start again"
        )
    if is_here and is_public:
        return (
            f"PUBLIC_URL is {addresses.public_url}, which means this machine alone: github.com could not deliver a "
            "webhook there, and refuses such an App. Set PUBLIC_URL to the https address under which GitHub reaches "
            "this installation, and start again"
        )
    if public.scheme != "https" and not is_here:
        return (
            f"PUBLIC_URL is {addresses.public_url}, without https: webhooks, and the code that brings the App's key, "
            "would travel in clear. Put a proxy with TLS in front, set PUBLIC_URL to its https address, and start again"
        )
    return ""
