"""GitHub's JSON for commits, comparisons, refs, branches and contents.

Shape: of every function here: the schema of the same name in GitHub's OpenAPI description (2022-11-28).
"""

import base64
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from app.sandbox.bare import Commit, FileDiff, Signature, Tag, TreeEntry
from app.sandbox.clock import iso
from app.sandbox.records import Repository
from app.sandbox.shapes import Json, page_url, repository_url, user
from app.sandbox.world import World


def signature(who: Signature) -> Json:
    """Who and when, as git has it."""
    return {"name": who.name, "email": who.email, "date": iso(who.at)}


def verification(world: World, sha: str) -> Json:
    """`verification` of a commit or a tag: that GitHub verified a signature, never whose it is."""
    found = world.signed.get(sha)
    if found is None:
        return {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None}
    armour = "-----BEGIN PGP SIGNATURE-----\n\nsandbox\n-----END PGP SIGNATURE-----\n"
    return {
        "verified": True,
        "reason": "valid",
        "signature": armour,
        "payload": f"object {sha}\n",
        "verified_at": iso(found.at),
    }


def git_commit(world: World, repo: Repository, one: Commit) -> Json:
    """`git-commit`."""
    api, page = repository_url(world, repo), page_url(world, repo)
    return {
        "sha": one.sha,
        "node_id": f"C_{repo.id}_{one.sha}",
        "url": f"{api}/git/commits/{one.sha}",
        "html_url": f"{page}/commit/{one.sha}",
        "author": signature(one.author),
        "committer": signature(one.committer),
        "message": one.message,
        "tree": {"sha": one.tree, "url": f"{api}/git/trees/{one.tree}"},
        "parents": [
            {"sha": sha, "url": f"{api}/git/commits/{sha}", "html_url": f"{page}/commit/{sha}"} for sha in one.parents
        ],
        "verification": verification(world, one.sha),
    }


def git_tag(world: World, repo: Repository, one: Tag) -> Json:
    """`git-tag`: the object of an annotated tag."""
    api = repository_url(world, repo)
    return {
        "node_id": f"TA_{repo.id}_{one.sha}",
        "tag": one.name,
        "sha": one.sha,
        "url": f"{api}/git/tags/{one.sha}",
        "message": one.message,
        "tagger": signature(one.tagger),
        "object": {"sha": one.target, "type": one.kind, "url": f"{api}/git/{one.kind}s/{one.target}"},
        "verification": verification(world, one.sha),
    }


def commit(world: World, repo: Repository, one: Commit) -> Json:
    """`commit` without stats and files."""
    api, page = repository_url(world, repo), page_url(world, repo)
    return {
        "sha": one.sha,
        "node_id": f"C_{repo.id}_{one.sha}",
        "url": f"{api}/commits/{one.sha}",
        "html_url": f"{page}/commit/{one.sha}",
        "comments_url": f"{api}/commits/{one.sha}/comments",
        "commit": {
            "url": f"{api}/git/commits/{one.sha}",
            "author": signature(one.author),
            "committer": signature(one.committer),
            "message": one.message,
            "comment_count": sum(comment.commit_id == one.sha for comment in repo.commit_comments),
            "tree": {"sha": one.tree, "url": f"{api}/git/trees/{one.tree}"},
            "verification": verification(world, one.sha),
        },
        "author": _account(world, one.author),
        "committer": _account(world, one.committer),
        "parents": [
            {"sha": sha, "url": f"{api}/commits/{sha}", "html_url": f"{page}/commit/{sha}"} for sha in one.parents
        ],
    }


def _account(world: World, who: Signature) -> Json | None:
    found = world.user_by_email(who.email)
    return None if found is None else user(world, found)


def short_commit(one: Commit) -> Json:
    """`simple-commit`, as check suites carry it."""
    return {
        "id": one.sha,
        "tree_id": one.tree,
        "message": one.message,
        "timestamp": iso(one.committer.at),
        "author": {"name": one.author.name, "email": one.author.email},
        "committer": {"name": one.committer.name, "email": one.committer.email},
    }


def file_diff(world: World, repo: Repository, one: FileDiff, sha: str) -> Json:
    """`diff-entry`; `sha` is the commit in which the file is seen."""
    api, page, path = repository_url(world, repo), page_url(world, repo), quote(one.path)
    shape: Json = {
        "sha": one.sha,
        "filename": one.path,
        "status": one.status,
        "additions": one.additions,
        "deletions": one.deletions,
        "changes": one.additions + one.deletions,
        "blob_url": f"{page}/blob/{sha}/{path}",
        "raw_url": f"{page}/raw/{sha}/{path}",
        "contents_url": f"{api}/contents/{path}?ref={sha}",
    }
    if one.patch:
        shape["patch"] = one.patch
    if one.previous:
        shape["previous_filename"] = one.previous
    return shape


def stats(files: Sequence[FileDiff]) -> Json:
    """The sums of a commit's files."""
    additions, deletions = sum(one.additions for one in files), sum(one.deletions for one in files)
    return {"total": additions + deletions, "additions": additions, "deletions": deletions}


def branch(world: World, repo: Repository, name: str, tip: Commit) -> Json:
    """`branch-with-protection`; of its protection only whether there is one."""
    api, page = repository_url(world, repo), page_url(world, repo)
    return {
        "name": name,
        "commit": commit(world, repo, tip),
        "_links": {"self": f"{api}/branches/{name}", "html": f"{page}/tree/{name}"},
        "protected": name in repo.protected,
        "protection": {
            "enabled": False,
            "required_status_checks": {"enforcement_level": "off", "contexts": [], "checks": []},
        },
        "protection_url": f"{api}/branches/{name}/protection",
    }


def short_branch(world: World, repo: Repository, name: str, sha: str) -> Json:
    """`short-branch`."""
    return {
        "name": name,
        "commit": {"sha": sha, "url": f"{repository_url(world, repo)}/commits/{sha}"},
        "protected": False,
    }


def git_ref(world: World, repo: Repository, ref: str, sha: str, kind: str) -> Json:
    """`git-ref`; `kind` is commit or tag."""
    api = repository_url(world, repo)
    return {
        "ref": ref,
        "node_id": f"REF_{repo.id}_{ref}",
        "url": f"{api}/git/{ref}",
        "object": {"type": kind, "sha": sha, "url": f"{api}/git/{kind}s/{sha}"},
    }


def content(world: World, repo: Repository, entry: TreeEntry, ref: str) -> Json:
    """One entry of `content-directory`: everything but the content."""
    api, page, path = repository_url(world, repo), page_url(world, repo), quote(entry.path)
    kind = {"blob": "symlink" if entry.mode == "120000" else "file", "tree": "dir", "commit": "submodule"}[entry.type]
    url = f"{api}/contents/{path}?ref={quote(ref)}"
    git_url = f"{api}/git/{'trees' if kind == 'dir' else 'blobs'}/{entry.sha}"
    html_url = f"{page}/{'tree' if kind == 'dir' else 'blob'}/{quote(ref)}/{path}"
    return {
        "type": kind,
        "size": entry.size,
        "name": entry.path.rpartition("/")[2],
        "path": entry.path,
        "sha": entry.sha,
        "url": url,
        "git_url": git_url,
        "html_url": html_url,
        "download_url": f"{page}/raw/{quote(ref)}/{path}" if kind == "file" else None,
        "_links": {"self": url, "git": git_url, "html": html_url},
    }


def content_file(world: World, repo: Repository, entry: TreeEntry, ref: str) -> Json:
    """`content-file`, its bytes in base64 with line breaks; without content over 1 MB, as GitHub does it."""
    shape = content(world, repo, entry, ref)
    if shape["type"] not in {"file", "symlink"}:
        return shape
    if entry.size > 1_000_000:
        return shape | {"encoding": "none", "content": ""}
    data = repo.git.blob(entry.sha)
    extra: dict[str, Any] = {"target": data.decode("utf-8", "replace")} if shape["type"] == "symlink" else {}
    return shape | {"encoding": "base64", "content": base64.encodebytes(data).decode()} | extra
