"""Write a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from swaptrace.model.errors import PermissionDenied

__all__ = ["write_atomically"]


def write_atomically(path: Path, text: str) -> None:
    """Write ``text`` to a temporary file beside ``path`` and rename it into place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise PermissionDenied(f"cannot write {path}.", error.strerror or str(error), "Choose another place with -o.") from error
