"""Queries of GraphQL: asked for what REST does not tell. One request each; their errors come with a status of 200.

Source: https://docs.github.com/graphql/guides/forming-calls-with-graphql
"""

from typing import Annotated, Final, TypeVar

import msgspec

from app.core.errors import RetryableError, UserError
from app.core.event import Repository
from app.github.api import GRAPHQL, Ask, read_answer
from app.github.caller import Caller
from app.github.refusals import LIMIT_WAIT_S, NotAccessibleError
from app.github.shapes import first_line

MAX_ERRORS: Final = 100
T = TypeVar("T")


class _Error(msgspec.Struct, frozen=True):
    type: str | None = None
    message: str | None = None


class _Answer(msgspec.Struct, frozen=True):
    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: Annotated[list[_Error], msgspec.Meta(max_length=MAX_ERRORS)] | None = None


class _Data(msgspec.Struct, frozen=True):
    repository: msgspec.Raw = msgspec.Raw(b"null")


def ask_query(
    caller: Caller, repository: Repository, doing: str, query: tuple[str, dict[str, object]], shape: type[T]
) -> T | None:
    """What a query says of a repository (its text, and its variables but for `$owner` and `$name`), or None when
    GitHub knows none of that.

    Raises: RetryableError (also at GraphQL's own limit); NotAccessibleError for a missing permission; UserError.
    """
    text, variables = query
    ask = Ask(
        doing=doing,
        method="POST",
        route=GRAPHQL,
        body={"query": text, "variables": {"owner": repository.owner, "name": repository.name, **variables}},
        is_question=True,
    )
    answer = read_answer(ask, caller.as_installation(repository, ask), _Answer)
    for error in answer.errors or ():
        _refuse(doing, error)
    try:
        data = msgspec.json.decode(answer.data, type=_Data | None)
        return msgspec.json.decode(data.repository, type=shape | None) if data else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RetryableError(f"{doing}: GitHub's answer cannot be read: {error}") from error


def _refuse(doing: str, error: _Error) -> None:
    """Raise what an error means; what is not found is left to the answer, where it is null."""
    said = first_line(error.message or "") or "no message"
    match error.type:
        case "NOT_FOUND":
            return
        case "RATE_LIMITED":
            raise RetryableError(f"{doing}: GitHub's limit is reached: {said}", retry_after_s=LIMIT_WAIT_S)
        case "FORBIDDEN":
            raise NotAccessibleError(f"{doing}: GitHub refused it: {said}")
        case None | "INTERNAL" | "SERVICE_UNAVAILABLE":
            raise RetryableError(f"{doing}: GitHub answered with an error: {said}")
        case _:
            raise UserError(f"{doing}: GitHub refused it: {said}")
