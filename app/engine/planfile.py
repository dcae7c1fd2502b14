"""Reads what a plan file says of itself: it is a zip archive, of which one member is the state that it was made from.

Knows the file's layout and nothing of what a plan does. Everything in it is hostile; what cannot be read is None.
Source: internal/plans/planfile/writer.go and internal/states/statefile/version4.go in Terraform and OpenTofu: member
`tfstate`, whose first keys come in one order.
"""

import re
import zipfile
import zlib
from pathlib import Path
from typing import Final

from app.core.statepoint import StatePoint
from app.engine.unpack import open_zip

_STATE: Final = "tfstate"
_LIST_BYTES: Final = 16 * 1024 * 1024
"""The configuration is in it too, each file a member."""
_HEAD_BYTES: Final = 4096
"""Serial and lineage stand before the resources, so that a large state is not read for them."""
_HEAD: Final = re.compile(
    rb'\s*\{\s*"version":\s*4,\s*"terraform_version":\s*"[^"\\]{0,100}",'
    rb'\s*"serial":\s*([0-9]{1,18}),\s*"lineage":\s*"([^"\\]{0,100})"'
)


def read_state_point(plan_file: Path) -> StatePoint | None:
    """Where the state was that the plan was made from; None when the file does not say (an encrypted one does not)."""
    try:
        with open_zip(plan_file, max_list_bytes=_LIST_BYTES) as archive, archive.open(_STATE) as member:
            found = _HEAD.match(member.read(_HEAD_BYTES))
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, NotImplementedError, RuntimeError, zlib.error):
        return None
    if found is None:
        return None
    return StatePoint(serial=int(found[1]), lineage=found[2].decode("utf-8", "replace"))
