"""Write a file whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from swaptrace.model.errors import PermissionDenied

__all__ = ["check_folder", "check_output", "write_atomically"]


def check_folder(path: Path) -> None:
    """Raise :class:`PermissionDenied` if no file can be made in the folder ``path``; makes nothing."""
    nearest = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        why = f"{nearest} is not a directory."
    elif not os.access(nearest, os.W_OK | os.X_OK):
        why = f"{nearest} is not writable."
    else:
        return
    raise PermissionDenied(f"cannot write into {path}.", why, "Choose another place with -o.")


def check_output(path: Path) -> None:
    """Raise :class:`PermissionDenied` if the file ``path`` cannot be written, or is no file: renaming a trace into
    place would replace a device node; makes nothing."""
    folder = path.absolute().parent
    if path.is_dir():
        why = "It is a directory."
    elif path.exists() and not path.is_file():
        why = "It is not a regular file."
    elif not folder.is_dir():
        why = f"{folder} does not exist."
    elif not os.access(folder, os.W_OK | os.X_OK):
        why = f"{folder} is not writable."
    elif not _is_utf8(str(path)):
        why = "Its name is not UTF-8, as that of a trace and of the files beside it must be."
    else:
        return
    raise PermissionDenied(f"cannot write {path}.", why, "Choose another place with -o.")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def write_atomically(path: Path, text: str) -> None:
    """Write ``text`` to a temporary file beside ``path`` and rename it into place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise PermissionDenied(
            f"cannot write {path}.", error.strerror or str(error), "Choose another place with -o."
        ) from error
