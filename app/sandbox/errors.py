"""How the sandbox says no: to a client of its API as GitHub would, to a person or a test in plain words.

Stands below everything else in the room.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from app.core.errors import UserError

DOCS = "https://docs.github.com/rest"


class SandboxError(UserError):
    """A person, or a test that plays one, asked for what GitHub would not let them do."""


class ApiError(Exception):
    """An answer that is not a success: status, message, and the list of field errors of a 422."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        errors: Sequence[Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Shape: GitHub's error body: message, errors when there are some, documentation_url, status as text."""
        body: dict[str, Any] = {"message": self.message}
        if self.errors is not None:
            body["errors"] = list(self.errors)
        return body | {"documentation_url": DOCS, "status": str(self.status)}


def not_found() -> ApiError:
    """404, also for what the caller may not know of."""
    return ApiError(404, "Not Found")


def invalid(resource: str, field: str, code: str = "invalid", message: str = "") -> ApiError:
    """422 "Validation Failed" with one field error; `code` is one of GitHub's (missing_field, invalid, custom…)."""
    error = {"resource": resource, "field": field, "code": code}
    return ApiError(422, "Validation Failed", errors=[error | ({"message": message} if message else {})])


def unprocessable(message: str) -> ApiError:
    """422 of a body that does not fit the schema: GitHub says so in one sentence."""
    return ApiError(422, f"Invalid request.\n\n{message}")
