"""What the pages show: repositories, commits with their checks, pull requests, deployments, deliveries."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from app.sandbox import checks, refs
from app.sandbox.bare import EMPTY_TREE, Commit, FileDiff
from app.sandbox.errors import SandboxError
from app.sandbox.pages import View
from app.sandbox.people import Repo
from app.sandbox.records import CheckRun, Pull, Repository
from app.sandbox.world import World, has_commit

_SHOWN_COMMITS = 40
_SHOWN_LINES = 400
_HUES = 360


@dataclass(frozen=True, slots=True)
class Shown:
    """A check run as a page shows it: its buttons, or why there are none."""

    run: CheckRun
    buttons: list[dict[str, str]]
    note: str

    @property
    def mark(self) -> str:
        """The word that its icon stands for: the conclusion, else the status."""
        return self.run.conclusion or self.run.status


def _shown(world: World, repo: Repository, sha: str) -> list[Shown]:
    found = []
    for run in sorted(checks.list_runs(world, repo, sha), key=lambda run: run.name):
        offered = bool(run.actions)
        shows = offered and world.shows_buttons(repo, run)
        note = (
            ""
            if shows or not offered
            else "GitHub offers this check's buttons in a pull request's Checks tab: this commit is in none."
        )
        if offered and run.status != "completed":
            note = "Buttons appear when the check has completed."
        found.append(Shown(run, list(run.actions) if shows else [], note))
    return found


def _mark(world: World, repo: Repository, sha: str) -> str:
    """One word for all checks of a commit; empty without any."""
    runs = checks.list_runs(world, repo, sha)
    if any(run.status != "completed" for run in runs):
        return "in_progress"
    words = {run.conclusion for run in runs}
    order = ("failure", "timed_out", "cancelled", "action_required", "success", "neutral", "skipped", "stale")
    return next((word for word in order if word in words), "")


def _rows(view: View, commits: Iterable[Commit]) -> list[dict[str, Any]]:
    rows = []
    for one in commits:
        author = view.world.user_by_email(one.author.email)
        row = {"commit": one, "mark": _mark(view.world, view.repo.record, one.sha)}
        rows.append(row | {"author": author.login if author else one.author.name})
    return rows


def _lines(files: Sequence[FileDiff]) -> list[dict[str, Any]]:
    kinds = {"+": "add", "-": "del", "@": "hunk"}
    shown = []
    for one in files:
        lines = one.patch.splitlines()
        marked = [(kinds.get(line[:1], ""), line) for line in lines[:_SHOWN_LINES]]
        shown.append({"file": one, "lines": marked, "left_out": max(0, len(lines) - _SHOWN_LINES)})
    return shown


def _frame(view: View, tab: str) -> dict[str, Any]:
    repo = view.repo
    open_pulls = sum(pull.state == "open" for pull in repo.record.pulls.values())
    role = view.world.role(repo.record, view.viewer.login)
    return {"repo": repo.record, "base": f"/{repo.full_name}", "tab": tab, "open_pulls": open_pulls, "role": role}


def index(view: View) -> Response:
    """Every repository that the viewer may see."""
    rows = []
    for _, record in sorted(view.world.repositories.items()):
        if view.world.role(record, view.viewer.login) == "none":
            continue
        tip = record.git.find_ref(refs.HEADS + record.default_branch)
        commit = record.git.commit(tip) if tip else None
        row = {"repo": record, "commit": commit, "mark": _mark(view.world, record, tip) if tip else ""}
        rows.append(row | {"open_pulls": sum(pull.state == "open" for pull in record.pulls.values())})
    return view.page("index.html", rows=rows, title="Repositories")


def avatar(view: View) -> Response:
    """A letter on a colour."""
    number = int(view.params["id"]) if view.params["id"].isdigit() else 0
    user = next((one for one in view.world.users.values() if one.id == number), view.world.app.owner)
    hue, letter = user.id * 67 % _HUES, user.login[0].upper()
    radius = 8 if user.type != "User" else 20
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40">'
        f'<rect width="40" height="40" rx="{radius}" fill="hsl({hue} 45% 52%)"/>'
        f'<text x="20" y="27" font-family="sans-serif" font-size="20" font-weight="600" text-anchor="middle" '
        f'fill="#fff">{letter}</text></svg>'
    )
    return Response(svg, media_type="image/svg+xml")


def code(view: View) -> Response:
    """A branch: its commits with their marks, its files."""
    repo = view.repo
    branch = view.query.get("branch") or repo.record.default_branch
    heads = [ref.removeprefix(refs.HEADS) for ref in repo.record.git.refs(refs.HEADS)]
    if not heads:
        return view.page(
            "message.html",
            title=repo.full_name,
            text="This repository is empty: push something to it.",
            **_frame(view, "code"),
        )
    sha = repo.sha(branch)
    commits = _rows(view, repo.record.git.log(f"-{_SHOWN_COMMITS}", sha))
    files = repo.record.git.paths(sha)
    return view.page(
        "code.html",
        title=repo.full_name,
        branch=branch,
        heads=heads,
        commits=commits,
        files=files,
        clone_url=repo.clone_url,
        **_frame(view, "code"),
    )


def tree(view: View) -> Response:
    """A branch's page, as GitHub addresses it."""
    return RedirectResponse(f"/{view.repo.full_name}?branch={quote(view.params['branch'])}", status_code=302)


def blob(view: View) -> Response:
    """A file at a revision."""
    repo, path, revision = view.repo, view.params["path"], view.params["revision"]
    text = repo.read_file(path, revision)
    return view.page("blob.html", title=path, text=text, file=path, branch=revision, **_frame(view, "code"))


def edit(view: View) -> Response:
    """A form for one file of a branch, or for a new one."""
    repo, path = view.repo, view.query.get("path", "")
    branch = view.query.get("branch") or repo.record.default_branch
    text = repo.read_file(path, branch) if path else ""
    return view.page("edit.html", title=path or "New file", file=path, branch=branch, text=text, **_frame(view, "code"))


def pulls(view: View) -> Response:
    """Pull requests, and the form for a new one."""
    repo = view.repo
    state = view.query.get("state", "open")
    found = [one for _, one in sorted(repo.record.pulls.items(), reverse=True) if state in ("all", one.state)]
    rows = [{"pull": one, "mark": _mark(view.world, repo.record, one.head_sha)} for one in found]
    heads = [ref.removeprefix(refs.HEADS) for ref in repo.record.git.refs(refs.HEADS)]
    return view.page("pulls.html", title="Pull requests", rows=rows, state=state, heads=heads, **_frame(view, "pulls"))


def _pull_state(pull: Pull) -> str:
    return "merged" if pull.merged_at else "draft" if pull.draft and pull.state == "open" else pull.state


def pull(view: View) -> Response:
    """A pull request: conversation, commits, checks, files."""
    repo, number = view.repo, int(view.params["number"])
    one, git = repo.pull(number), repo.record.git
    part = view.query.get("part", "conversation")
    base = git.merge_base(one.base_sha, one.head_sha) or one.base_sha
    values = {
        "pull": one,
        "state": _pull_state(one),
        "part": part,
        "commits": _rows(view, git.log("--reverse", f"{base}..{one.head_sha}")),
        "files": _lines(git.diff(base, one.head_sha)),
        "shown": _shown(view.world, repo.record, one.head_sha),
        "landed": _shown(view.world, repo.record, one.merge_commit_sha)
        if one.merged_at and one.merge_commit_sha
        else [],
    }
    return view.page("pull.html", title=f"{one.title} · #{number}", **values, **_frame(view, "pulls"))


def branches(view: View) -> Response:
    """Branches and tags with their marks, and forms to make and delete them."""
    repo, git = view.repo, view.repo.record.git
    rows: dict[str, list[dict[str, Any]]] = {"heads": [], "tags": []}
    for kind, prefix in (("heads", refs.HEADS), ("tags", refs.TAGS)):
        for ref in git.refs(prefix):
            sha = repo.sha(ref)
            row = {
                "name": ref.removeprefix(prefix),
                "commit": git.commit(sha),
                "mark": _mark(view.world, repo.record, sha),
            }
            rows[kind].append(row)
    return view.page("branches.html", title="Branches and tags", **rows, **_frame(view, "branches"))


def deployments(view: View) -> Response:
    """Environments with what stands on each, and every deployment's history."""
    repo = view.repo
    found = repo.deployments()
    environments: dict[str, Any] = {}
    for one in found:
        environments.setdefault(one.environment, one)
    rows = [
        {"deployment": one, "history": one.statuses[::-1], "commit": repo.record.git.commit(one.sha)} for one in found
    ]
    return view.page(
        "deployments.html", title="Deployments", environments=environments, rows=rows, **_frame(view, "deployments")
    )


def commit(view: View) -> Response:
    """A commit: its checks with their buttons, its changes, what was said."""
    repo = view.repo
    sha = repo.sha(view.params["sha"])
    one = repo.record.git.commit(sha)
    files = repo.record.git.diff(one.parents[0] if one.parents else EMPTY_TREE, sha)
    values = {
        "commit": one,
        "row": _rows(view, [one])[0],
        "files": _lines(files),
        "shown": _shown(view.world, repo.record, sha),
        "comments": repo.commit_comments(sha),
        "pulls": _pulls_with(repo, sha),
        "older": _older(repo, sha),
        "deployed": repo.deployments(sha),
    }
    return view.page("commit.html", title=f"{one.title} · {sha[:7]}", **values, **_frame(view, "code"))


def _pulls_with(repo: Repo, sha: str) -> list[Pull]:
    return [pull for pull in repo.record.pulls.values() if sha in pull.landed or has_commit(repo.record, pull, sha)]


def _older(repo: Repo, sha: str) -> list[CheckRun]:
    """Check runs that a newer one of the same name has replaced, newest first."""
    latest = {run.id for run in repo.check_runs(sha)}
    return [run for run in repo.check_runs(sha, latest=False) if run.id not in latest]


def compare(view: View) -> Response:
    """Two revisions compared."""
    repo = view.repo
    left, dots, right = view.params["basehead"].partition("...")
    if not dots:
        raise SandboxError("a comparison is written BASE...HEAD")
    new_ref = set(left) == {"0"}
    head = repo.sha(right)
    base = EMPTY_TREE if new_ref else repo.record.git.merge_base(repo.sha(left), head) or EMPTY_TREE
    commits = _rows(view, repo.record.git.log("-40", head if base == EMPTY_TREE else f"{base}..{head}"))
    files = _lines(repo.record.git.diff(base, head))
    return view.page(
        "compare.html",
        title=f"{left}…{right}",
        left=left,
        right=right,
        commits=commits,
        files=files,
        **_frame(view, "code"),
    )


def run(view: View) -> Response:
    """To the page on which GitHub shows a check run: the pull request's Checks tab, else the commit."""
    repo, number = view.repo, int(view.params["id"])
    found = repo.record.check_runs.get(number)
    if found is None:
        raise SandboxError(f"there is no check run {number} in {repo.full_name}")
    pull = next((one for one in repo.record.pulls.values() if one.head_sha == found.head_sha), None)
    page = f"pull/{pull.number}?part=checks" if pull else f"commit/{found.head_sha}"
    return RedirectResponse(f"/{repo.full_name}/{page}#check-{number}", status_code=302)


def deliveries(view: View) -> Response:
    """The App's delivery log."""
    return view.page(
        "deliveries.html", title="Webhook deliveries", log=view.world.post.log()[:200], url=view.world.post.url
    )


def delivery(view: View) -> Response:
    """One attempt with what was sent and what came back."""
    one = view.world.post.get(int(view.params["id"]))
    payload = json.dumps(one.payload, indent=2, ensure_ascii=False)
    return view.page("delivery.html", title=f"{one.event} · {one.guid}", one=one, payload=payload)
