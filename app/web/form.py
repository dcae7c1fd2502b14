"""A form of ours as it comes back: few fields, short, in one form; everything else is no form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request

from app.web.body import BodyRefused, read_body

MAX_FORM_BYTES: Final = 64 * 1024
MAX_FIELDS: Final = 1_000
FORM_WITHIN_S: Final = 15.0
_TYPE: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Form:
    """The fields, by name; hostile text."""

    fields: Mapping[str, Sequence[str]]

    def one(self, name: str) -> str:
        """The field's one value; empty when it is not there, or there twice."""
        found = self.fields.get(name, ())
        return found[0] if len(found) == 1 else ""

    def all(self, name: str) -> Sequence[str]:
        """Every value of the field, in their order."""
        return self.fields.get(name, ())


async def read_form(request: Request) -> Form | BodyRefused:
    """The form, or why it is none."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        return BodyRefused(415, "reading the form: it is not in the form that pages send")
    body = await read_body(request.scope, request.receive, max_bytes=MAX_FORM_BYTES, within_s=FORM_WITHIN_S)
    if isinstance(body, BodyRefused):
        return body
    try:
        return Form(parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"))
    except ValueError:
        return BodyRefused(400, "reading the form: it cannot be read")
