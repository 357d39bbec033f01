"""The raw directory of a recording, ``.NAME.*.raw`` beside the trace: what survives the recorder.

Raw data are only ever appended to. ``meta.json`` holds the header of the trace, and under ``recording`` whose
directory it is. It is written when the recorder starts and replaced when the recorder stops, so a directory whose
``meta.json`` says ``running`` but whose process is gone belongs to a recorder that was killed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shlex
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from swaptrace.capture.host import boot_id, start_time
from swaptrace.model.errors import InputError, PermissionDenied
from swaptrace.model.meta import TraceMeta

__all__ = ["Scratch", "abandoned", "open_scratch"]

_META = "meta.json"
_RESERVE = "reserve"
_RESERVE_BYTES = 256 << 10  # meta.json can still be written when the disk is full
_NAME = re.compile(r"\..+\.raw")


@dataclass(frozen=True)
class Scratch:
    """One raw directory, and whose it is: ``state`` (running, converting, kept), process and its start time (clock
    ticks since boot), what to convert (``input``: a file in it, empty for the directory itself), and the wished
    trace."""

    path: Path
    output: Path
    state: str = "running"
    pid: int = 0
    start_time: int = 0
    input: str = ""
    meta: TraceMeta = dataclasses.field(default_factory=TraceMeta)

    @classmethod
    def make(cls, out: Path) -> Scratch:
        """Make the directory beside ``out``: the same file system, so the same room.

        Raises :class:`PermissionDenied` where none can be made.
        """
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            path = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".raw", dir=out.parent))
            descriptor = os.open(path / _RESERVE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with contextlib.suppress(OSError):  # a file system without fallocate
                os.posix_fallocate(descriptor, 0, _RESERVE_BYTES)
            os.close(descriptor)
        except OSError as error:
            raise PermissionDenied(
                f"cannot write {out}.", f"{error.strerror}.", "Choose another place with -o."
            ) from error
        return cls(path, out.absolute(), pid=os.getpid(), start_time=start_time(os.getpid()) or 0)

    @property
    def data(self) -> Path:
        """What the importer reads."""
        return self.path / self.input

    @property
    def started(self) -> bool:
        """Whether a recorder ran: before, there is nothing to keep."""
        return (self.path / _META).exists()

    @property
    def alive(self) -> bool:
        """Whether its process still works on it: the same process of the same boot."""
        if self.state == "kept" or self.meta.boot_id != boot_id():
            return False
        return self.start_time != 0 and start_time(self.pid) == self.start_time

    @property
    def recovery(self) -> str:
        """The command that makes a trace of it."""
        return shlex.join(["swaptrace", "record", "--recover", str(self.path), "-o", str(self.output)])

    def save(self, state: str, meta: TraceMeta | None = None, data: Path | None = None) -> Scratch:
        """Write ``meta.json``, whole or not at all, and return the directory with it; without ``meta`` or ``data``
        they stay as they are."""
        name = self.input if data is None else "" if data == self.path else data.name
        saved = dataclasses.replace(self, meta=meta or self.meta, state=state, input=name)
        if state != "running":
            (self.path / _RESERVE).unlink(missing_ok=True)
        saved._write()
        return saved

    def keep(self) -> None:
        """Leave it to whoever recovers it. On a device that takes no byte more it looks like that of a killed
        recorder, which is as good once this process has ended."""
        with contextlib.suppress(OSError):
            self.save("kept")

    def _write(self) -> None:
        from pydantic import TypeAdapter

        whole = TypeAdapter(TraceMeta).dump_python(self.meta, mode="json")
        whole["recording"] = {
            "state": self.state,
            "pid": self.pid,
            "start_time": self.start_time,
            "input": self.input,
            "output": str(self.output),
        }
        temporary = self.path / f"{_META}.tmp"
        with temporary.open("w") as stream:
            json.dump(whole, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, self.path / _META)

    def remove(self) -> None:
        """Remove the directory, if it has the name that :meth:`make` gave: a copy elsewhere is the user's."""
        if _NAME.fullmatch(self.path.name):
            shutil.rmtree(self.path, ignore_errors=True)


def open_scratch(path: Path) -> Scratch:
    """Return the raw directory ``path``. Raises :class:`InputError` where it is none."""
    from pydantic import TypeAdapter, ValidationError

    try:
        info = json.loads((path / _META).read_text())
        said = info["recording"]
        return Scratch(
            path.absolute(),
            Path(str(said["output"])),
            str(said["state"]),
            int(said["pid"]),
            int(said["start_time"]),
            Path(str(said["input"])).name,  # never a file outside the directory
            TypeAdapter(TraceMeta).validate_python(info),
        )
    except OSError as error:
        raise InputError(
            f"{path} is no raw recording.", f"{error.strerror}: {path / _META}.", "Name a directory .NAME.*.raw."
        ) from error
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        why = f"Its {_META} is damaged: {str(error).splitlines()[0]}."
        how = f"Without it: swaptrace record {path} -o T.parquet"
        raise InputError(f"{path} cannot be recovered.", why, how) from error


def abandoned(folder: Path) -> list[Scratch]:
    """Return the raw directories in ``folder`` that no recorder uses any more, those that cannot be read left out."""
    found = []
    for path in sorted(folder.glob(".*.raw")):
        with contextlib.suppress(InputError):
            scratch = open_scratch(path)
            if not scratch.alive:
                found.append(scratch)
    return found
