"""What an engine prints becomes lines for people, without secrets and without control characters."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.statepoint import Obstacle
from app.engine.messages import Messages, find_obstacle
from app.engine.stream import MASKED, Lines, RedactedStream, Redactor, clean

KEY = "-----BEGIN KEY-----\nabcdefghijklmnop\nqrstuvwxyz012345\n-----END KEY-----\n"


@pytest.mark.parametrize(
    ("errors", "obstacle"),
    [
        ({"Saved plan is stale": ""}, Obstacle.STALE),
        ({"Saved plan does not match the given state": ""}, Obstacle.STALE),
        ({"Error acquiring the state lock": "held\n\nLock Info:\n  ID: 1"}, Obstacle.LOCKED),
        ({"Error acquiring the state lock": "open /state: permission denied"}, None),
        ({"Error acquiring the state lock": "Lock Info:", "Invalid reference": ""}, None),
        ({"Saved plan is stale": "", "Error acquiring the state lock": "Lock Info:"}, None),
        ({}, None),
    ],
)
def test_only_what_the_engine_met_before_anything_is_an_obstacle(
    errors: dict[str, str], obstacle: Obstacle | None
) -> None:
    messages = Messages()
    for summary, detail in errors.items():
        diagnostic = {"severity": "error", "summary": summary, "detail": detail}
        messages.read(json.dumps({"@message": "x", "diagnostic": diagnostic}))
    assert find_obstacle(messages.errors) is obstacle


@pytest.mark.parametrize(
    "said",
    [
        "pa55word&more",
        json.dumps("pa55word&more"),
        '"pa55word\\u0026more"',
        "pa55word%26more",
        base64.b64encode(b"pa55word&more").decode(),
        base64.b64encode(b"user:pa55word&more").decode(),
        base64.b64encode(b"me:pa55word&more:and more").decode(),
    ],
)
def test_a_secret_is_found_in_every_dress(said: str) -> None:
    redacted = Redactor(["pa55word&more"]).text(f"before {said} after")
    assert MASKED in redacted
    assert said.strip('"')[4:-4] not in redacted


def test_each_line_of_a_secret_of_many_lines_is_found() -> None:
    assert Redactor([KEY]).text("| qrstuvwxyz012345 |") == f"| {MASKED} |"


def test_values_too_short_to_hide_are_left_alone() -> None:
    assert Redactor(["", "a", "yes"]).text("yes, a value") == "yes, a value"


@given(st.lists(st.sampled_from(["s3cret", "s3cret-long", KEY, "x", "\n", "s3c", "-----BEGIN KEY-----\n"])), st.data())
def test_no_secret_passes_wherever_the_chunks_are_cut(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    said: list[str] = []
    stream = RedactedStream(Redactor(["s3cret", "s3cret-long", KEY]), said.append)
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        stream.write(text[start:end])
    stream.flush()
    whole = "".join(said)
    assert not any(secret in whole for secret in ("s3cret", "abcdefghijklmnop", "qrstuvwxyz"))
    assert whole.count("x") <= text.count("x")


def test_a_whole_line_leaves_at_once() -> None:
    said: list[str] = []
    RedactedStream(Redactor(["s3cret"]), said.append).write("a line that ends in s\n")
    assert said == ["a line that ends in s\n"]


@given(st.binary(max_size=200), st.integers(1, 20))
def test_lines_are_the_same_however_they_arrive(data: bytes, step: int) -> None:
    once: list[str] = []
    often: list[str] = []
    for said, size in ((once, max(1, len(data))), (often, step)):
        lines = Lines(said.append)
        for start in range(0, len(data), size):
            lines.feed(data[start : start + size])
        lines.close()
    assert once == often


def test_an_endless_line_is_cut_and_counted() -> None:
    said: list[str] = []
    lines = Lines(said.append, max_bytes=10)
    lines.feed(b"0123456789abc")
    lines.feed(b"def\nnext")
    lines.close()
    assert said == ["0123456789… (6 more bytes)", "next"]


@pytest.mark.parametrize("kept", [4, 7, 9])  # the last but one in the middle of a character
def test_a_line_that_is_cut_does_not_end_with_the_beginning_of_a_secret(kept: int) -> None:
    said: list[str] = []
    lines = Lines(said.append, max_bytes=len("now: ") + kept, redact_cut=Redactor(["s3cr3té-value"]).cut)
    lines.feed("now: s3cr3té-value and more".encode())
    lines.close()
    assert said[0].startswith("now: … (")
    whole = Lines(said.append, max_bytes=20, redact_cut=Redactor(["s3cr3t-value"]).cut)
    whole.feed(b"now: s3cr3t-value and more\n")
    assert said[1] == "now: *** an… (6 more bytes)"


def test_a_secret_of_many_lines_takes_no_more_room_than_its_size() -> None:
    value = "".join(f"k{number}\n" for number in range(400))
    redactor = Redactor([value])
    kept = {part for held in vars(redactor).values() if isinstance(held, tuple) for part in held}
    assert sum(map(len, kept)) < 40 * len(value)
    begun = "".join(value.splitlines(keepends=True)[:300])
    assert redactor.held("before\n" + begun) == len(begun)
    assert redactor.held(value) == 0


def test_escapes_and_control_characters_do_not_leave() -> None:
    assert clean("\x1b[31mred\x1b[0m \x1b]0;title\x07b\x08\x9bell\tok\n") == "red bell\tok\n"


def test_a_message_gives_its_text_and_a_diagnostic_its_place() -> None:
    messages = Messages()
    assert messages.read('{"@level":"info","@message":"one: Creating..."}') == "one: Creating..."
    line = {
        "@message": "Error: Bad",
        "diagnostic": {
            "severity": "error",
            "summary": "Bad\x1b[31m thing",
            "detail": "First.\nSecond.\n\nAdvice.",
            "address": "a.b",
            "range": {"filename": "main.tf", "start": {"line": 4}},
        },
    }
    text = messages.read(json.dumps(line))
    messages.read(json.dumps(line))
    assert text == "Error: Bad thing\n  on main.tf:4, a.b\n  First.\n  Second.\n\n  Advice."
    assert [error.brief() for error in messages.errors] == ["Bad thing (main.tf:4, a.b): First.\n  Second."]


@pytest.mark.parametrize("line", ["plain", "{broken", '{"@message": 5}', '{"other": "json"}', "[" * 10_000, ""])
def test_what_is_no_message_comes_back_as_it_is(line: str) -> None:
    messages = Messages()
    assert messages.read(line) == line
    assert messages.errors == []


def test_a_warning_is_told_but_no_error() -> None:
    messages = Messages()
    assert messages.read('{"diagnostic":{"severity":"warning","summary":"Old"}}') == "Warning: Old"
    assert messages.errors == []


def test_what_a_command_has_dealt_with_is_counted_once_each_and_a_replacement_at_its_end() -> None:
    messages = Messages()

    def say(kind: str, address: str) -> int:
        messages.read(json.dumps({"@message": "x", "type": kind, "hook": {"resource": {"addr": address}}}))
        return messages.done

    assert say("refresh_start", "a.b") == 0
    assert say("refresh_complete", "a.b") == 1
    assert say("refresh_complete", "a.b") == 1
    assert say("apply_start", "a.b") == 0
    assert say("apply_complete", "a.b") == 1
    assert say("apply_start", "a.b") == 0  # deleted, now created
    assert say("apply_errored", "a.b") == 0
    assert say("apply_complete", "a.c") == 1
    messages.read('{"@message": "x", "type": "apply_complete", "hook": {"resource": 7}}')
    assert messages.done == 1


def test_warnings_are_kept_apart_from_errors_each_once_and_counted_beyond_the_bound() -> None:
    messages = Messages()
    at = {"filename": "../modules/x.tf", "start": {"line": 7}}
    for number in [*range(60), 0]:
        diagnostic = {"severity": "warning", "summary": f"w{number}", "range": at}
        messages.read(json.dumps({"@message": "x", "diagnostic": diagnostic}))
    assert messages.errors == []
    assert (len(messages.warnings), messages.warnings_left_out) == (50, 10)
    first = messages.warnings[0]
    assert (first.summary, first.filename, first.line, first.place) == ("w0", "../modules/x.tf", 7, "../modules/x.tf:7")
