"""The worker protocol as an OpenAPI 3.1 document, made of the shapes in app.core.protocol and of one table of calls.

`python -m app.web.worker_openapi` prints it; docs/worker-protocol.openapi.json is that. A test holds the table against
the routes, and the file against this.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from app.core import protocol

TITLE: Final = "Trackside worker protocol"
AT: Final = "/assignments/{assignment_id}"
_REF: Final = "#/components/schemas/{name}"
_WHY: Final = {
    400: "The call cannot be read, or is of another version of the protocol.",
    401: "No such assignment, or not its token: the hold is over.",
    403: "The token belongs to another pool than the worker was started for.",
    409: "The hold is over (ended, expired, or a newer one exists), or the run is not where this call belongs. "
    "The worker stops its engine at once.",
    413: "The body is larger than the protocol takes.",
    422: "The call cannot be carried out; the text says why.",
    423: "The worker, or its pool, is drained: it gets no run. Ask again after `retry-after` seconds.",
    424: "The control plane has no room for it: its disk is full. The run fails with that reason; nothing is repeated.",
    503: "Not now: ask again after `retry-after` seconds.",
}
_OF_ASSIGNMENT: Final = (400, 401, 409, 413, 422, 424, 503)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of the protocol."""

    method: str
    path: str
    does: str
    asks: type[msgspec.Struct] | None = None
    """Shape of the JSON body."""
    answers: type[msgspec.Struct] | None = None
    """Shape of the 200; None: see `nothing` and `bytes_out`."""
    nothing: str = ""
    """When it answers 204."""
    query: Sequence[str] = ()
    """Whole numbers in the query."""
    bytes_in: str = ""
    """Media type of a body that is no JSON."""
    bytes_out: str = ""
    """Media type of an answer that is no JSON."""
    max_bytes: int = protocol.MAX_SMALL_BODY_BYTES
    errors: Sequence[int] = _OF_ASSIGNMENT
    security: str = "assignment"


CALLS: Final = (
    Call(
        method="post",
        path="/claim",
        does="Wait for a run of the token's pool, and take it.",
        asks=protocol.ClaimRequest,
        answers=protocol.Assignment,
        nothing="Nothing came in time.",
        errors=(400, 401, 403, 413, 422, 423, 424, 503),
        security="pool",
    ),
    Call(
        method="post",
        path=f"{AT}/heartbeat",
        does="Renew the lease; learn whether to stop.",
        asks=protocol.Heartbeat,
        answers=protocol.HeartbeatAnswer,
    ),
    Call(
        method="post",
        path=f"{AT}/stage",
        does="Say where the run is.",
        asks=protocol.StageReport,
        answers=protocol.StageAnswer,
    ),
    Call(
        method="post",
        path=f"{AT}/plan",
        does="Hand in the plan; the answer says what comes next.",
        asks=protocol.PlanReport,
        answers=protocol.PlanAnswer,
        max_bytes=protocol.MAX_BODY_BYTES,
    ),
    Call(
        method="post",
        path=f"{AT}/apply",
        does="Ask for permission to apply: 200 with an empty object once `applying` is committed.",
        asks=protocol.ApplyRequest,
    ),
    Call(
        method="post",
        path=f"{AT}/result",
        does="End the assignment.",
        asks=protocol.ResultReport,
        nothing="It is over.",
        max_bytes=protocol.MAX_BODY_BYTES,
    ),
    Call(
        method="post",
        path=f"{AT}/log",
        does="Add to the log at a byte offset; the same offset again changes nothing.",
        nothing="It is kept.",
        query=("fencing", "offset"),
        bytes_in="text/plain",
        max_bytes=protocol.MAX_LOG_CHUNK_BYTES,
    ),
    Call(
        method="post",
        path=f"{AT}/transfer",
        does="Learn where the archive goes, or comes from; without a URL, the calls `archive` are taken.",
        asks=protocol.TransferRequest,
        answers=protocol.TransferAnswer,
    ),
    Call(
        method="put",
        path=f"{AT}/archive",
        does="Store the encrypted workspace.",
        nothing="All of it is stored.",
        query=("fencing",),
        bytes_in="application/octet-stream",
        max_bytes=protocol.MAX_ARCHIVE_BYTES,
    ),
    Call(
        method="get",
        path=f"{AT}/archive",
        does="Fetch the encrypted workspace of the confirmed plan.",
        query=("fencing",),
        bytes_out="application/octet-stream",
    ),
)


def worker_openapi() -> dict[str, Any]:
    """The document."""
    shapes = {shape for call in CALLS for shape in (call.asks, call.answers) if shape is not None}
    ordered = sorted(shapes | {protocol.Problem}, key=lambda shape: shape.__name__)
    _, components = msgspec.json.schema_components(ordered, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for call in CALLS:
        paths.setdefault(f"/worker/v{protocol.VERSION}{call.path}", {})[call.method] = _operation(call)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": str(protocol.VERSION),
            "description": "Made from the code. What each call means is in docs/worker-protocol.md. "
            "Fields that are not known are ignored, so that fields may be added within a version.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The control plane: CONTROL_URL."}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "pool": {"type": "http", "scheme": "bearer", "description": "The pool's token: claims alone."},
                "assignment": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The assignment's own token, which came with it and dies with it.",
                },
            },
        },
    }
    plain: dict[str, Any] = json.loads(json.dumps(document))  # defaults that are tuples become arrays
    return plain


def worker_openapi_text() -> str:
    """The document as it is committed and served."""
    return json.dumps(worker_openapi(), indent=2) + "\n"


def _operation(call: Call) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": f"{call.method}_{call.path.rpartition('/')[2]}",
        "summary": call.does,
        "security": [{call.security: []}],
    }
    parameters = [_in_path("assignment_id")] if call.path.startswith(AT) else []
    parameters += [_in_query(name) for name in call.query]
    if parameters:
        made["parameters"] = parameters
    if call.asks is not None:
        made["requestBody"] = _body("application/json", {"$ref": _REF.format(name=call.asks.__name__)}, call.max_bytes)
    if call.bytes_in:
        made["requestBody"] = _body(call.bytes_in, _raw(call.bytes_in), call.max_bytes)
    made["responses"] = _responses(call)
    return made


def _responses(call: Call) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if call.answers is not None:
        made["200"] = _answer("Done.", "application/json", {"$ref": _REF.format(name=call.answers.__name__)})
    elif call.bytes_out:
        made["200"] = _answer("The bytes.", call.bytes_out, _raw(call.bytes_out))
    elif not call.nothing:
        made["200"] = _answer("Done.", "application/json", {"type": "object"})
    if call.nothing:
        made["204"] = {"description": call.nothing}
    problem = {"$ref": _REF.format(name="Problem")}
    return made | {str(status): _answer(_WHY[status], "application/json", problem) for status in call.errors}


def _answer(description: str, media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _body(media_type: str, schema: dict[str, Any], max_bytes: int) -> dict[str, Any]:
    return {
        "required": True,
        "description": f"At most {max_bytes} bytes.",
        "content": {media_type: {"schema": schema}},
    }


def _raw(media_type: str) -> dict[str, Any]:
    return {"type": "string"} if media_type.startswith("text/") else {"type": "string", "format": "binary"}


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "description": "A ULID."}


def _in_query(name: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": True, "schema": {"type": "integer", "minimum": 0}}


if __name__ == "__main__":
    print(worker_openapi_text(), end="")  # noqa: T201 - what this module is run for
