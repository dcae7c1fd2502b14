"""API routes of the App itself: who it is, its installations and tokens, its webhook's delivery log, rate limits.

Source: https://docs.github.com/rest/apps
"""

from typing import Final

from app.sandbox import access, shapes
from app.sandbox.api import MOST_PER_PAGE, Answer, Call, route
from app.sandbox.errors import ApiError, SandboxError, not_found
from app.sandbox.records import Installation

_OUTCOMES: Final = {"success": range(200, 400), "failure": range(400, 600)}
"""What the filter `status` means, by status code: an attempt that nobody answered is neither."""


def _installation(call: Call) -> Installation:
    found = call.world.installations.get(call.params["id"])
    if found is None:
        raise not_found()
    return found


@route("GET", "/app", auth="app")
def get_app(call: Call) -> Answer:
    """The App."""
    return Answer(shapes.app(call.world) | {"installations_count": len(call.world.installations)})


@route("POST", "/app-manifests/{code}/conversions", auth="anyone")
def convert_manifest(call: Call) -> Answer:
    """What an App that was made of a manifest needs to know: for its code, once, within an hour."""
    made = call.world.made_apps.pop(call.params["code"], None)
    if made is None or made.expires_at <= call.world.now() or made.app is not call.world.app:
        raise not_found()
    return Answer(shapes.made_app(call.world, made), 201)


@route("GET", "/meta", auth="anyone")
def get_meta(call: Call) -> Answer:
    """What GitHub tells of itself: an Enterprise Server its version."""
    version = call.world.server_version
    about = {"verifiable_password_authentication": True}
    return Answer(about | {"installed_version": version} if version else about)


@route("GET", "/app/installations", auth="app")
def list_installations(call: Call) -> Answer:
    """Every installation, ordered by id."""
    found = [one for _, one in sorted(call.world.installations.items())]
    return call.page(found, lambda one: shapes.installation(call.world, one))


@route("GET", "/app/installations/{id:int}", auth="app")
def get_installation(call: Call) -> Answer:
    """One installation."""
    return Answer(shapes.installation(call.world, _installation(call)))


@route("POST", "/app/installations/{id:int}/access_tokens", auth="app")
def create_token(call: Call) -> Answer:
    """A new installation token."""
    one = _installation(call)
    if one.suspended_at is not None:
        raise ApiError(403, "This installation has been suspended")
    return Answer(shapes.token(call.world, access.mint(call.world, one, call.fields)), 201)


@route("GET", "/repos/{owner}/{repo}/installation", auth="app")
def get_repository_installation(call: Call) -> Answer:
    """The installation that covers a repository."""
    found = call.world.installation_of(call.repo)
    if found is None:
        raise not_found()
    return Answer(shapes.installation(call.world, found))


@route("DELETE", "/installation/token", auth="installation")
def revoke_token(call: Call) -> Answer:
    """End the token that asks."""
    if call.caller.token is not None:
        call.world.tokens.pop(call.caller.token.value, None)
    return Answer(None, 204)


@route("GET", "/installation/repositories", auth="installation")
def list_repositories(call: Call) -> Answer:
    """What the token that asks may see, ordered by id."""
    token = call.caller.token
    held = call.world.installed_repositories(token.installation) if token else []
    found = [repo for repo in held if token and (token.repository_ids is None or repo.id in token.repository_ids)]
    result = call.page(found, lambda repo: shapes.repository(call.world, repo), key="repositories")
    selection = "selected" if token and token.repository_ids is not None else "all"
    return Answer(result.body | {"repository_selection": selection}, 200, result.headers)


@route("GET", "/app/hook/config", auth="app")
def get_hook_config(call: Call) -> Answer:
    """Where deliveries go; without a webhook no address is named."""
    url = call.world.post.url
    config = {"content_type": "json", "insecure_ssl": "0"}
    return Answer(config | {"url": url, "secret": "********"} if url else config)


@route("GET", "/app/hook/deliveries", auth="app")
def list_deliveries(call: Call) -> Answer:
    """The delivery log of three days, newest first; a cursor in the Link header leads on."""
    size = max(1, min(MOST_PER_PAGE, call.number("per_page", 30)))
    wanted = call.request.query.get("status")
    cursor = call.request.query.get("cursor", "").removeprefix("v1_")
    codes = _OUTCOMES.get(wanted or "")
    log = [one for one in call.world.post.log() if codes is None or one.status_code in codes]
    if cursor.isdigit():
        log = [one for one in log if one.id <= int(cursor)]
    headers = {}
    if len(log) > size:
        url = f"{call.world.api_url}/app/hook/deliveries?per_page={size}&cursor=v1_{log[size].id}"
        headers["Link"] = f'<{url}>; rel="next"'
    return Answer([shapes.delivery_item(one) for one in log[:size]], 200, headers)


@route("GET", "/app/hook/deliveries/{id:int}", auth="app")
def get_delivery(call: Call) -> Answer:
    """One attempt, with what was sent and what came back."""
    try:
        return Answer(shapes.delivery(call.world.post.get(call.params["id"])))
    except SandboxError as error:
        raise not_found() from error


@route("POST", "/app/hook/deliveries/{id:int}/attempts", auth="app")
def redeliver(call: Call) -> Answer:
    """Send a delivery again, under its GUID."""
    try:
        call.world.post.redeliver(call.params["id"])
    except SandboxError as error:
        raise not_found() from error
    return Answer({}, 202)


@route("GET", "/rate_limit", auth="anyone")
def rate_limit(call: Call) -> Answer:
    """The caller's budget; asking costs nothing."""
    window = call.world.rates.window(call.caller.rate_key)
    core = {
        "limit": window.limit,
        "remaining": window.remaining,
        "used": window.limit - window.remaining,
        "reset": window.reset_at,
    }
    return Answer(
        {"resources": {"core": core, "search": core | {"limit": 30, "remaining": 30, "used": 0}}, "rate": core}
    )
