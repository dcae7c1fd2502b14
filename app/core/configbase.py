"""What the models of settings files stand on: their form, and a mistake with its remedy."""

from typing import Final

from pydantic import ConfigDict
from pydantic_core import PydanticCustomError

CLOSED: Final = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)
"""Of every model: strict, closed, and documented by its own docstrings."""


def wrong(message: str, remedy: str) -> PydanticCustomError:
    """A mistake with its remedy, for `raise`."""
    return PydanticCustomError("trackside", "{message}", {"message": message, "remedy": remedy})
