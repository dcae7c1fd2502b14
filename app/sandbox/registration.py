"""Apps are made of manifests and installed: what GitHub refuses, what it makes, what it hands out for a code.

Strict where GitHub is: unknown permissions and events, events that arrive unasked, addresses. The App that is made is
the one that the sandbox serves from then on; installations of the one before are gone.
Source: https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
"""

import json
import re
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from app.sandbox import events, keys, permits
from app.sandbox.errors import SandboxError
from app.sandbox.records import Installation, User
from app.sandbox.world import App, Draft, MadeApp, World

CODE_LIFE: Final = timedelta(hours=1)
MAX_NAME: Final = 34
MAX_CALLBACKS: Final = 10
_TYPES: Final[Mapping[str, type]] = {
    "name": str,
    "url": str,
    "description": str,
    "hook_attributes": dict,
    "redirect_url": str,
    "callback_urls": list,
    "setup_url": str,
    "setup_on_update": bool,
    "public": bool,
    "request_oauth_on_install": bool,
    "default_permissions": dict,
    "default_events": list,
}
_MERGE_QUEUE_SINCE: Final = (3, 12)
_MERGE_QUEUE: Final = frozenset({"merge_queues", "merge_group"})


def draft(world: World, text: str, owner: User, state: str) -> str:
    """Keep a manifest until somebody says yes to it; the word that it is known by. Raises: SandboxError as GitHub would
    refuse it."""
    try:
        given = json.loads(text)
    except ValueError as error:
        raise SandboxError("the manifest is not valid JSON") from error
    if not isinstance(given, dict):
        raise SandboxError("the manifest is not a JSON object")
    wrong = list(_problems(world, given))
    if wrong:
        raise SandboxError("Invalid GitHub App configuration: " + "; ".join(wrong))
    word = secrets.token_urlsafe(16)
    world.drafts[word] = Draft(given, owner, state)
    return word


def make(world: World, word: str, name: str) -> tuple[Draft, str]:
    """Make the App of a manifest under that name; the manifest, and the code for what the App needs to know."""
    found = world.drafts.get(word)
    if found is None:
        raise SandboxError("this manifest was used already")
    if not 0 < len(name) <= MAX_NAME:
        raise SandboxError(f"Name is missing, or longer than {MAX_NAME} characters")
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "app"
    del world.drafts[word]
    given, pem = found.manifest, keys.make_private_key()
    app = App(
        id=world.next_id(),
        client_id=f"Iv23li{secrets.token_hex(7)}",
        slug=slug,
        name=name,
        owner=found.owner,
        bot=world.find_or_add_user(f"{slug}[bot]", "Bot"),
        public_key=keys.public_half(pem),
        hook_id=world.next_id(),
        permissions=dict(given.get("default_permissions", {})) | {"metadata": "read"},
        events=list(given.get("default_events", [])),
        created_at=world.now(),
        client_secret=secrets.token_hex(20),
        setup_url=given.get("setup_url", ""),
    )
    world.app, world.private_key_pem = app, pem
    world.installations.clear()
    world.tokens.clear()
    hook, secret = given.get("hook_attributes", {}), secrets.token_hex(20)
    url = hook.get("url") if hook.get("active", True) else None
    world.post.move(app_id=app.id, hook_id=app.hook_id, url=url, secret=secret)
    code = secrets.token_hex(20)
    world.made_apps[code] = MadeApp(app, pem, secret, world.now() + CODE_LIFE)
    events.ping(world)
    return found, code


def install(
    world: World, who: User, chosen: set[int] | None, permissions: Mapping[str, str] | None = None
) -> Installation:
    """Install the App on an account, on all its repositories or on those; sends `installation`."""
    now = world.now()
    granted = dict(world.app.permissions if permissions is None else permissions)
    one = Installation(world.next_id(), who, granted, list(world.app.events), now, now, chosen)
    world.installations[one.id] = one
    events.installation_event(world, one, "created", world.installed_repositories(one))
    return one


def _problems(world: World, given: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong with a manifest."""
    wrong = [f"{name} is not a parameter of a manifest" for name in given if name not in _TYPES]
    wrong += [
        f"{name} has the wrong type" for name, kind in _TYPES.items() if not isinstance(given.get(name, kind()), kind)
    ]
    if wrong:
        return wrong
    if not 0 < len(given.get("name", "x")) <= MAX_NAME:
        wrong.append(f"Name is missing, or longer than {MAX_NAME} characters")
    wrong += _address_problems(given)
    wrong += _need_problems(world, given.get("default_permissions", {}), given.get("default_events", []))
    return wrong


def _address_problems(given: Mapping[str, Any]) -> list[str]:
    """Addresses that are missing or none. One of loopback is one here: GitHub refuses it for a webhook."""
    needed = {"url": given.get("url"), "redirect_url": given.get("redirect_url")}
    hook = given.get("hook_attributes", {})
    if hook:
        needed["hook_attributes.url"] = hook.get("url")
    callbacks = given.get("callback_urls", [])
    if len(callbacks) > MAX_CALLBACKS:
        return [f"callback_urls has more than {MAX_CALLBACKS}"]
    needed |= {f"callback_urls[{at}]": url for at, url in enumerate(callbacks)}
    if given.get("setup_url"):
        needed["setup_url"] = given["setup_url"]
    return [f"{name} must be a valid URL" for name, url in needed.items() if not _is_url(url)]


def _is_url(url: object) -> bool:
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _need_problems(world: World, permissions: Mapping[str, Any], wanted: list[Any]) -> list[str]:
    """Permissions and events that there are not, here or at all."""
    version = world.server_version
    is_old = version is not None and tuple(int(part) for part in version.split(".")[:2]) < _MERGE_QUEUE_SINCE
    lacking = _MERGE_QUEUE if is_old else frozenset()
    wrong = [
        f"Default permission records resource is not included in the list: {name}"
        for name in permissions
        if name not in permits.KNOWN_PERMISSIONS or name in lacking
    ]
    wrong += [
        f"Default permission records action is not included in the list: {name}: {level}"
        for name, level in permissions.items()
        if level not in ("read", "write") or not permits.reaches(permits.KNOWN_PERMISSIONS.get(name), level)
    ]
    for event in wanted:
        needs = permits.EVENTS_NEED.get(event) if isinstance(event, str) and event not in lacking else None
        if needs is None:  # `installation` and the others that arrive unasked among them
            wrong.append(f"Default events unsupported: {event}")
        elif not any(permits.reaches(permissions.get(name), "read") for name in needs) and "metadata" not in needs:
            wrong.append(f"Default events are not supported by permissions: {event}")
    return wrong
