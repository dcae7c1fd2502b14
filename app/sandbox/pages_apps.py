"""The pages on which an App is made of a manifest, and installed.

The first is the one page that takes a form of another site, as GitHub's does: it shows the manifest, and makes nothing.
"""

from typing import Final
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from app.sandbox import registration
from app.sandbox.errors import SandboxError
from app.sandbox.pages import View
from app.sandbox.records import User

MANIFESTS: Final = ("/settings/apps/new", "/organizations/{organization}/settings/apps/new")


def show(view: View) -> Response:
    """Ask about a manifest: what the App would be, and under which name."""
    try:
        owner = _owner(view)
        word = registration.draft(view.world, view.form.get("manifest", ""), owner, view.query.get("state", ""))
    except SandboxError as error:
        refused = view.page("message.html", title="This App cannot be made", text=str(error))
        refused.status_code = 422
        return refused
    draft = view.world.drafts[word]
    page = view.page("app_new.html", title="Create GitHub App", word=word, manifest=draft.manifest, owner=owner)
    return view.leading_on(page, draft.manifest["redirect_url"])


def make(view: View) -> Response:
    """Make the App, and lead back to whoever sent the manifest, with a code."""
    draft, code = registration.make(view.world, view.form.get("word", ""), view.form.get("name", "").strip())
    query = {"code": code} | ({"state": draft.state} if draft.state else {})
    return RedirectResponse(f"{draft.manifest['redirect_url']}?{urlencode(query)}", status_code=303)


def app(view: View) -> Response:
    """The App's own page."""
    _named(view)
    accounts = [one.account for one in view.world.installations.values()]
    return view.page("app.html", title=view.world.app.name, accounts=accounts)


def choose(view: View) -> Response:
    """Ask on which repositories it shall be installed."""
    _named(view)
    owner = view.world.app.owner
    mine = [repo for _, repo in sorted(view.world.repositories.items()) if repo.owner is owner]
    page = view.page("app_install.html", title=f"Install {view.world.app.name}", repositories=mine)
    return view.leading_on(page, view.world.app.setup_url) if view.world.app.setup_url else page


def install(view: View) -> Response:
    """Install it on the account that owns it, and lead on to its set-up page, if it has one."""
    _named(view)
    world, owner = view.world, view.world.app.owner
    if any(one.account is owner for one in world.installations.values()):
        raise SandboxError(f"the App is installed on {owner.login} already")
    chosen = None
    if view.form.get("which") == "one":
        number = view.form.get("repository", "")
        repo = world.repositories.get(int(number)) if number.isdecimal() and len(number) < 19 else None
        if repo is None or repo.owner is not owner:
            raise SandboxError(f"{owner.login} has no such repository")
        chosen = {repo.id}
    made = registration.install(world, owner, chosen)
    if not world.app.setup_url:
        return view.back(f"/apps/{world.app.slug}")
    query = urlencode({"installation_id": made.id, "setup_action": "install"})
    return RedirectResponse(f"{world.app.setup_url}?{query}", status_code=303)


def _named(view: View) -> None:
    if view.params["slug"] != view.world.app.slug:
        raise SandboxError(f"there is no App {view.params['slug']!r}")


def _owner(view: View) -> User:
    """Whose the App will be: the organisation of the address, else whoever looks."""
    name = view.params.get("organization")
    if name is None:
        return view.viewer
    found = view.world.users.get(name.lower())
    if found is None or found.type != "Organization":
        raise SandboxError(f"there is no organization {name!r}")
    return found
