"""A mistake in a file of settings, with its remedy: what validators of the models raise."""

from pydantic_core import PydanticCustomError


def wrong(message: str, remedy: str) -> PydanticCustomError:
    """A mistake with its remedy, for `raise`."""
    return PydanticCustomError("trackside", "{message}", {"message": message, "remedy": remedy})
