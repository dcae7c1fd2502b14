"""The wall where GitHub's payloads stop: a body becomes an event of ours, Ignored(why) or Malformed(what it lacks).

Lenient in what it does not need, strict and bounded in what it does. Knows no database and asks GitHub nothing.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from app.core.event import Event, Ignored, Malformed
from app.github.payload_check import read_check_run, read_check_suite
from app.github.payload_comment import read_commit_comment, read_issue_comment
from app.github.payload_pull import read_merge_group, read_pull_request, read_review
from app.github.payload_push import read_push
from app.github.payload_repository import read_chosen, read_installation, read_repository, read_target
from app.github.shapes import MAX_LINE_CHARS, first_line

Reader = Callable[[bytes], Event | Ignored]

_AT: Final = re.compile(r" - at `\$\.?([^`]*)`\Z")
_LACKS: Final = re.compile(r"Object missing required field `([^`]+)`")


def make_reader(app_id: int) -> Callable[[str, bytes], Event | Ignored | Malformed]:
    """The reader of deliveries for one App: (X-GitHub-Event, raw body) to what it is. Never raises for a body."""
    readers: dict[str, Reader] = {
        "push": read_push,
        "check_run": partial(read_check_run, app_id=app_id),
        "check_suite": partial(read_check_suite, app_id=app_id),
        "issue_comment": partial(read_issue_comment, app_id=app_id),
        "commit_comment": read_commit_comment,
        "pull_request": read_pull_request,
        "pull_request_review": read_review,
        "merge_group": read_merge_group,
        "repository": read_repository,
        "installation": read_installation,
        "installation_repositories": read_chosen,
        "installation_target": read_target,
    }

    def read(event: str, body: bytes) -> Event | Ignored | Malformed:
        reader = readers.get(event)
        return _ignore(event) if reader is None else _read(event, reader, body)

    return read


def _ignore(event: str) -> Ignored:
    name = first_line(event)[:40]
    if name == "ping":
        return Ignored("ping")
    return Ignored(f"{name or 'unnamed'} events are not handled")


def _read(event: str, reader: Reader, body: bytes) -> Event | Ignored | Malformed:
    try:
        return reader(body)
    except msgspec.ValidationError as error:
        return Malformed(f"{event}: {_what_lacks(str(error))}"[:MAX_LINE_CHARS])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Malformed(f"{event}: the body is not JSON: {first_line(str(error))}"[:MAX_LINE_CHARS])
    except RecursionError:
        return Malformed(f"{event}: the body is nested too deeply")


def _what_lacks(message: str) -> str:
    """msgspec's words as a path of the payload: `repository.id is missing`, `ref: expected ...`."""
    found = _AT.search(message)
    path, message = (found.group(1), message[: found.start()]) if found else ("", message)
    lacks = _LACKS.fullmatch(message)
    if lacks:
        return f"{path}.{lacks.group(1)} is missing" if path else f"{lacks.group(1)} is missing"
    if message.endswith("got `null`"):
        return f"{path or 'the body'} is null"
    return f"{path or 'the body'}: {message[:1].lower()}{message[1:]}"
