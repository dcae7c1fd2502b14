"""git over smart HTTP: a bridge to `git http-backend`, with GitHub's way of asking for credentials.

Reading takes `contents: read` or a role, pushing takes a person with write access; a push is announced like any other.
Source: https://git-scm.com/docs/git-http-backend
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.engine import process
from app.sandbox import access, lfs, permits, refs
from app.sandbox.access import Caller
from app.sandbox.errors import ApiError
from app.sandbox.records import Repository
from app.sandbox.world import World

SERVICES = ("git-upload-pack", "git-receive-pack")


@dataclass(frozen=True, slots=True)
class GitRequest:
    """One request of a git client; `path` is what follows `.git/`."""

    method: str
    owner: str
    name: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class GitAnswer:
    """What goes back to the git client."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def serve(world: World, request: GitRequest) -> GitAnswer:
    """Answer a git client: 401 asks for credentials, 404 hides what it may not know of, 403 names a missing right."""
    writes = "git-receive-pack" in (request.path, request.query.removeprefix("service="))
    with world.mutex:
        try:
            caller = access.identify(world, request.headers.get("authorization"))
        except ApiError:
            return _ask("Invalid username or token.")
        repo = world.find_repository(request.owner, request.name)
        if repo is None or not access.may_see(world, caller, repo):
            return _ask() if caller.kind == "none" else GitAnswer(404, b"Repository not found.\n")
        if not (_may_write(world, caller, repo) if writes else _may_read(world, caller, repo)):
            return (
                _ask()
                if caller.kind == "none"
                else GitAnswer(403, f"Permission to {repo.full_name}.git denied.\n".encode())
            )
    if request.path.startswith(lfs.PATH):
        return _large_files(world, repo, request)
    if not (writes and request.method == "POST"):
        return _backend(world, repo, request, caller)
    with world.mutex:
        before = repo.git.refs(refs.HEADS, refs.TAGS)
        answer = _backend(world, repo, request, caller)
        changes = refs.differences(before, repo.git.refs(refs.HEADS, refs.TAGS))
        if changes:
            refs.announce(world, repo, changes, caller.actor)
    return answer


def _large_files(world: World, repo: Repository, request: GitRequest) -> GitAnswer:
    """Git LFS: where files are, and one of them."""
    name = request.path.removeprefix(lfs.PATH)
    if name == "batch" and request.method == "POST":
        address = f"{world.server_url}/{repo.full_name}.git"
        return GitAnswer(*lfs.batch(repo, request.body, address), {"Content-Type": lfs.MEDIA_TYPE})
    content = repo.lfs.get(name) if request.method == "GET" else None
    if content is None:
        return GitAnswer(404, b'{"message": "Not found"}', {"Content-Type": lfs.MEDIA_TYPE})
    return GitAnswer(200, content, {"Content-Type": "application/octet-stream"})


def _ask(text: str = "Authentication failed.") -> GitAnswer:
    return GitAnswer(401, f"{text}\n".encode(), {"WWW-Authenticate": 'Basic realm="GitHub"'})


def _may_read(world: World, caller: Caller, repo: Repository) -> bool:
    if caller.kind == "app":
        return False
    try:
        access.require(world, caller, repo, ("contents:read",), method="GET")
    except ApiError:
        return False
    return True


def _may_write(world: World, caller: Caller, repo: Repository) -> bool:
    if caller.kind != "user":
        return False
    return permits.reaches(permits.FOLDED[world.role(repo, caller.actor.login)], "write")


def _backend(world: World, repo: Repository, request: GitRequest, caller: Caller) -> GitAnswer:
    env = process.base_env(world.root) | {
        "GIT_PROJECT_ROOT": str(repo.git.path),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "PATH_INFO": f"/{request.path}",
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": request.query,
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
        "REMOTE_USER": caller.user.login if caller.user else "anonymous",
        "REMOTE_ADDR": "127.0.0.1",
    }
    if "content-encoding" in request.headers:
        env["HTTP_CONTENT_ENCODING"] = request.headers["content-encoding"]
    done = process.run(["git", "http-backend"], env=env, stdin=request.body, timeout_s=300)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line)
    status = int(headers.pop("Status", "200" if done.stdout else "500").partition(" ")[0])
    return GitAnswer(status, body, headers)
