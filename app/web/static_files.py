"""The files that pages need, style and icon, by name: only these can be asked for."""

import importlib.resources


def static_files() -> dict[str, tuple[bytes, str]]:
    """Name to content and media type."""
    kinds = {".css": "text/css", ".svg": "image/svg+xml"}
    folder = importlib.resources.files("app.web") / "static"
    return {
        file.name: (file.read_bytes(), kinds["." + file.name.rpartition(".")[2]])
        for file in folder.iterdir()
        if file.name.endswith(tuple(kinds))
    }
