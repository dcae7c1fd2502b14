"""The archive between two workers: where one brings it, where the other fetches it, and whether it arrived whole.

Where the store has addresses, the bytes do not pass through the control plane; what counts is what the store says then.
"""

from app.core.protocol import ResultReport, TransferAnswer, TransferRequest
from app.flows.ports import Artifacts


def offer(artifacts: Artifacts, key: str, asked: TransferRequest, *, lease_s: float) -> TransferAnswer:
    """Where the worker may bring or fetch the archive by itself. What was brought before makes way for an upload."""
    if asked.is_upload:
        artifacts.delete(key)
        given = artifacts.offer_put(key, size_bytes=asked.size_bytes, sha256=asked.sha256, expires_s=lease_s)
    else:
        given = artifacts.offer_get(key, expires_s=lease_s)
    if given is None:
        return TransferAnswer()
    return TransferAnswer(url=given.url.reveal(), headers=dict(given.headers))


def what_is_missing(artifacts: Artifacts, key: str, told: ResultReport) -> str:
    """Why the stored archive is not the one that the worker made, in words; empty when it is."""
    found = artifacts.find(key)
    if found is None:
        return "the workspace was not stored"
    if found.size_bytes != told.archive_size_bytes:
        return f"the stored workspace has {found.size_bytes} bytes instead of {told.archive_size_bytes}"
    if found.sha256 and found.sha256 != told.archive_sha256:
        return "the stored workspace is not the one that the worker made: its hash is another"
    return ""
