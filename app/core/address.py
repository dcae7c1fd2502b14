"""Addresses as an engine writes them: `module.app["a"].terraform_data.x[0]`. Which module, and which block of HCL.

Pure text; an address is never built here, and one that is none of these comes back as it is.
"""

import re
from typing import Final

_KEY: Final = r'\["(?:[^"\\]|\\.)*"\]|\[\d+\]'
_KEYS: Final = re.compile(_KEY, re.DOTALL)
_DIGITS: Final = re.compile(r"(\d{1,18})")
_MODULE: Final = re.compile(rf"(?:module\.[^.\[\]\"]+(?:{_KEY})?\.)+", re.DOTALL)


def module_of(address: str) -> str:
    """The module that a resource is in, keys included; empty for the root module."""
    if not address.startswith("module."):
        return ""
    found = _MODULE.match(address)
    return found[0][:-1] if found else ""


def block_of(address: str) -> str:
    """The address without the keys of count and for_each: what the configuration calls it."""
    return _KEYS.sub("", address) if "[" in address else address


def natural(address: str) -> list[int | str]:
    """A key that sorts addresses by name, and the numbers in them by value."""
    return [int(part) if index % 2 else part for index, part in enumerate(_DIGITS.split(address))]
