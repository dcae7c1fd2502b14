"""Git LFS: the batch API of a repository's large files, and the files themselves; downloads alone.

Source: https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md
"""

import hashlib
import json

from app.sandbox.records import Repository

MEDIA_TYPE = "application/vnd.git-lfs+json"
PATH = "info/lfs/objects/"


def pointer(repo: Repository, content: bytes) -> str:
    """Keep a file's content with LFS; what is committed in its place."""
    oid = hashlib.sha256(content).hexdigest()
    repo.lfs[oid] = content
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"


def batch(repo: Repository, body: bytes, address: str) -> tuple[int, bytes]:
    """The answer to a batch request: where each object is, or that it is not there."""
    try:
        asked = json.loads(body)
        operation, objects = asked["operation"], [(str(one["oid"]), int(one["size"])) for one in asked["objects"]]
    except (ValueError, TypeError, KeyError):
        return 422, b'{"message": "Unprocessable Entity"}'
    if operation != "download":
        return 403, b'{"message": "uploads are not offered here"}'
    told = [_object(repo, oid, size, address) for oid, size in objects]
    return 200, json.dumps({"transfer": "basic", "objects": told, "hash_algo": "sha256"}).encode()


def _object(repo: Repository, oid: str, size: int, address: str) -> dict[str, object]:
    if oid not in repo.lfs:
        return {"oid": oid, "size": size, "error": {"code": 404, "message": "Object does not exist on the server"}}
    download = {"href": f"{address}/{PATH}{oid}", "expires_in": 3600}
    return {"oid": oid, "size": size, "authenticated": True, "actions": {"download": download}}
