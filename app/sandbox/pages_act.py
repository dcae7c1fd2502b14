"""What the pages' forms do: each is one verb of the driver, done as the person whom the viewer acts as.

After each the viewer is led back to where the form stood, with GitHub's refusal as a note if there was one.
"""

from urllib.parse import quote

from starlette.responses import Response

from app.sandbox import checks
from app.sandbox.errors import SandboxError
from app.sandbox.pages import COOKIE, View
from app.sandbox.people import Repo
from app.sandbox.records import Review


def act_as(view: View) -> Response:
    """Look at everything as somebody else."""
    chosen = view.world.user(view.form.get("login", ""))
    response = view.back()
    response.set_cookie(COOKIE, chosen.login.lower(), httponly=True, samesite="lax")
    return response


def switch_buttons(view: View) -> Response:
    """Offer buttons also where GitHub documents none, or no longer."""
    view.world.buttons_on_commits = view.form.get("on") == "yes"
    return view.back()


def redeliver(view: View) -> Response:
    """Send a delivery again."""
    view.world.post.redeliver(int(view.params["id"]))
    return view.back("/-/deliveries")


def edit(view: View) -> Response:
    """Commit one file to a branch, a new one if a name for it was given."""
    repo, branch, path = view.repo, view.form.get("branch", ""), view.form.get("path", "").strip().strip("/")
    if not path or ".." in path.split("/"):
        raise SandboxError("a file needs a path inside the repository")
    new = view.form.get("new_branch", "").strip()
    content = None if view.form.get("delete") else view.form.get("content", "").replace("\r\n", "\n")
    message = view.form.get("message", "").strip() or f"{'Delete' if content is None else 'Update'} {path}"
    if new:
        repo.push(new, {path: content}, message, author=view.viewer.login, base=branch)
    else:
        repo.push(branch, {path: content}, message, author=view.viewer.login)
    return view.back(f"/{repo.full_name}?branch={quote(new or branch)}")


def open_pull(view: View) -> Response:
    """Open a pull request of a branch."""
    repo, head = view.repo, view.form.get("head", "")
    title = view.form.get("title", "").strip() or head
    number = repo.open_pull(
        head, view.form.get("base"), title, author=view.viewer.login, body=view.form.get("body", "")
    )
    return view.back(f"/{repo.full_name}/pull/{number}")


def on_pull(view: View) -> Response:
    """Comment, tick, merge, close or reopen; edit, label, review."""
    repo, number, by = view.repo, int(view.params["number"]), view.viewer.login
    text = view.form.get("body", "")
    match view.params["verb"]:
        case "comment" | "tick":
            _talk(view, repo, number, by)
        case "title":
            repo.edit_pull(number, title=view.form.get("title", "").strip(), by=by)
        case "draft":
            repo.convert_to_draft(number, by=by)
        case "ready":
            repo.mark_ready(number, by=by)
        case "label":
            repo.add_labels(number, view.form.get("name", "").strip(), by=by)
        case "unlabel":
            repo.remove_label(number, view.form.get("name", ""), by=by)
        case "review":
            _review(repo, number, view.form.get("state", ""), text, by)
        case "dismiss":
            repo.dismiss_review(number, _find_review(repo, number, view.form.get("review", "")), by=by)
        case "merge":
            repo.merge_pull(number, by=by, method=view.form.get("method", "merge"))
        case "close":
            repo.close_pull(number, by=by)
        case "reopen":
            repo.reopen_pull(number, by=by)
        case verb:
            raise SandboxError(f"a pull request knows no {verb!r}")
    return view.back()


def _review(repo: Repo, number: int, state: str, text: str, by: str) -> None:
    match state:
        case "approve":
            repo.approve(number, by=by, body=text)
        case "request changes":
            repo.request_changes(number, text, by=by)
        case _:
            repo.review(number, text, by=by)


def _talk(view: View, repo: Repo, number: int, by: str) -> None:
    """Say something, or click a box of what was said."""
    if view.params["verb"] == "comment":
        repo.comment_on_pull(number, view.form.get("body", ""), by=by)
        return
    wanted = view.form.get("comment", "")
    found = next((one for one in repo.comments(number) if str(one.id) == wanted), None)
    if found is None:
        raise SandboxError(f"#{number} has no such comment")
    line = view.form.get("line", "")
    repo.tick(found, view.form.get("box", ""), line=int(line) if line.isdecimal() and len(line) < 7 else None, by=by)


def _find_review(repo: Repo, number: int, wanted: str) -> Review:
    found = next((one for one in repo.pull(number).reviews if str(one.id) == wanted), None)
    if found is None:
        raise SandboxError(f"#{number} has no such review")
    return found


def on_ref(view: View) -> Response:
    """Make a tag, delete a branch or a tag."""
    repo, name, by = view.repo, view.form.get("name", "").strip(), view.viewer.login
    match view.form.get("verb"):
        case "tag":
            repo.tag(name, view.form.get("revision") or None, by=by, message=view.form.get("message") or None)
        case "delete-branch":
            repo.delete_branch(name, by=by)
        case "delete-tag":
            repo.delete_tag(name, by=by)
        case verb:
            raise SandboxError(f"a ref knows no {verb!r}")
    return view.back()


def comment_on_commit(view: View) -> Response:
    """Say something on a commit."""
    view.repo.comment_on_commit(view.params["sha"], view.form.get("body", ""), by=view.viewer.login)
    return view.back()


def press(view: View) -> Response:
    """Click a button; an identifier that the check run no longer offers is sent all the same, as from an old page."""
    repo, number, identifier = view.repo, int(view.params["id"]), view.form.get("identifier", "")
    run = repo.record.check_runs.get(number)
    if run is None:
        raise SandboxError(f"there is no check run {number}")
    checks.press_raw(view.world, repo.record, run, identifier, view.viewer)
    return view.back()


def rerequest(view: View) -> Response:
    """Ask for a check again."""
    view.repo.rerequest(int(view.params["id"]), by=view.viewer.login)
    return view.back()
