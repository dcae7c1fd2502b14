"""A first stacks.yml for a repository that has Terraform files and no configuration yet.

Pure: paths in, text out. A guess that a person reads before it counts; it is always a valid file.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

MAX_PREFILLED: Final = 4000
"""Characters of a suggestion that fit into an address."""
MAX_STACKS_SUGGESTED: Final = 30
_SUFFIXES: Final = (".tf", ".tf.json", ".tofu", ".tofu.json")
_MODULE_FOLDERS: Final = frozenset({"modules", "module"})
_OTHER_FOLDERS: Final = frozenset({"examples", "example", "test", "tests", "fixtures", "vendor", "node_modules"})
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")


def suggest_configuration(paths: Sequence[str]) -> str:
    """The text of a stacks.yml with one stack for each folder of Terraform files that looks like a root."""
    folders = sorted({path.rpartition("/")[0] for path in paths if path.endswith(_SUFFIXES)})
    usable = [folder for folder in folders if not folder or _is_writable(folder)]
    roots = [folder for folder in usable if not _has_segment(folder, _MODULE_FOLDERS | _OTHER_FOLDERS)]
    chosen = roots[:MAX_STACKS_SUGGESTED]
    globs = sorted({_module_glob(folder) for folder in usable if _has_segment(folder, _MODULE_FOLDERS)})[:10]
    lines = [
        "# What Trackside may run in this repository. Every folder below looked like a Terraform root.",
        "version: 1",
    ]
    if not chosen:
        return "\n".join((*lines, "stacks: []", ""))
    lines.append("stacks:")
    for folder, name in _names(chosen).items():
        lines.append(f"  - name: {_scalar(name)}")
        if folder:
            lines.append(f"    project_root: {_scalar(folder)}")
        if globs:
            lines.append(f"    additional_project_globs: [{', '.join(_text(glob) for glob in globs)}]")
    if len(roots) > len(chosen):
        lines.append(f"# and {len(roots) - len(chosen)} more folders with Terraform files")
    return "\n".join((*lines, ""))


def new_file_url(tree_url: str, branch: str, path: str, suggestion: str) -> str:
    """GitHub's page for a new file on a branch, filled in when the suggestion is short enough for an address."""
    query = {"filename": path} | ({"value": suggestion} if 0 < len(suggestion) <= MAX_PREFILLED else {})
    return f"{tree_url}/new/{branch}?{urlencode(query)}"


def _is_writable(folder: str) -> bool:
    """True for a folder whose name needs no thought in YAML, in a glob, and as a path."""
    segments = folder.split("/")
    return _SAFE.fullmatch(folder) is not None and not any(part in ("", "..") or part[0] == "." for part in segments)


def _has_segment(folder: str, words: Iterable[str]) -> bool:
    return not set(words).isdisjoint(folder.lower().split("/"))


def _module_glob(folder: str) -> str:
    """The glob of the module folder that a folder lies in."""
    segments = folder.split("/")
    end = next(at for at, part in enumerate(segments) if part.lower() in _MODULE_FOLDERS)
    return "/".join((*segments[: end + 1], "**"))


def _names(folders: Sequence[str]) -> Mapping[str, str]:
    """A name for each folder: its last segment, or the whole path where that is taken, or a number behind it."""
    names: dict[str, str] = {}
    last = [_slug(folder.rpartition("/")[2]) for folder in folders]
    for folder, short in zip(folders, last, strict=True):
        name = short if last.count(short) == 1 else _slug(folder)
        taken = set(names.values())
        count = 2
        unique = name
        while unique in taken:
            unique, count = f"{name}-{count}", count + 1
        names[folder] = unique
    return names


def _slug(text: str) -> str:
    """The text as the name of a stack; `main` for the repository's root."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:70].strip("-") or "main"


def _scalar(text: str) -> str:
    """A word as YAML: plain where that is text for sure, in quotes otherwise."""
    is_plain = re.fullmatch(r"[a-z][a-z0-9/._-]*", text) and text not in (
        "y",
        "n",
        "yes",
        "no",
        "on",
        "off",
        "true",
        "false",
        "null",
    )
    return text if is_plain else _text(text)


def _text(text: str) -> str:
    return f'"{text}"'
