"""What is swapped out at the start and at the end of a recording, by slot and by process.

The trace shows what moves; what lay on swap before, and what nobody touches, is in no event. Seen are the swap
entries in page tables: pages of shmem, and slots that only the swap cache holds, are in none. Processes are read one
after the other while the machine runs, so each row has its own time.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from swaptrace.capture.pagemap import anonymous_areas, swap_entries
from swaptrace.capture.swap_types import possible_types
from swaptrace.model.meta import SwapDevice

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Snapshot", "take"]

_MAX_TYPES = 23  # the least MAX_SWAPFILES of include/linux/swap.h: higher types are migration, poison, devices
_SWAP = re.compile(r"^VmSwap:\s+(\d+) kB", re.M)


@dataclass(frozen=True)
class Snapshot:
    """``pages``: when, ts, swap_type, slot, owner_tgid, va, one row per swap entry of a process. ``processes``: when,
    ts, tgid, comm, anonymous_bytes (of its private mappings without a file: what swapoff walks), swapped (pages), one
    row per process with swapped pages. ``complete``: nothing was unreadable; ``notes`` say what was.
    """

    pages: pa.Table
    processes: pa.Table
    complete: bool
    notes: tuple[str, ...]


def take(when: str, devices: Sequence[SwapDevice], proc: Path = Path("/proc")) -> Snapshot:
    """Read the page tables of all processes that have swapped pages. ``when`` is ``start`` or ``stop``."""
    import pyarrow as pa

    pages: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    unreadable = unsearched = hidden = 0
    for folder in sorted(proc.glob("[0-9]*"), key=lambda path: int(path.name)):
        tgid = int(folder.name)
        try:
            match = _SWAP.search((folder / "status").read_text(errors="replace"))
            if match is None or match[1] == "0":
                continue
            comm = (folder / "comm").read_text(errors="replace").rstrip("\n")
            now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            areas = anonymous_areas((folder / "maps").read_text(errors="replace"))
            va, kind, slot, skipped = swap_entries(tgid, areas, proc)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        except OSError:
            unreadable += 1
            continue
        unsearched += skipped
        swap = kind < _MAX_TYPES
        hidden += int((swap & (slot == 0)).sum())  # slot 0 is the header
        known = swap & (slot > 0)
        size = sum(area.end - area.start for area in areas if area.anonymous)
        rows.append({"ts": now, "tgid": tgid, "comm": comm, "anonymous_bytes": size, "swapped": int(swap.sum())})
        pages.append({"ts": now, "tgid": tgid, "va": va[known], "kind": kind[known], "slot": slot[known]})
    notes = []
    if unreadable:
        notes.append(f"snapshot at {when}: {unreadable} processes with swapped pages could not be read")
    if hidden:
        notes.append(f"snapshot at {when}: the kernel hides the slots of {hidden} pages (CAP_SYS_ADMIN is needed)")
    if unsearched:
        notes.append(
            f"snapshot at {when}: {unsearched} pages of very large mappings were not searched (no PAGEMAP_SCAN)"
        )
    seen = sorted({int(number) for page in pages for number in np.unique(page["kind"])})
    types = _known_types(seen, devices, proc)
    if unknown := [kind for kind in seen if kind not in types]:
        notes.append(
            f"snapshot at {when}: which area has the kernel's swap type {', '.join(map(str, unknown))} cannot be told: "
            "an area of a lower type may have been disabled before; these slots have no swap type"
        )
    lookup = np.full(_MAX_TYPES, 255, np.uint8)
    lookup[list(types)] = list(types.values())
    lengths = [len(page["slot"]) for page in pages]
    each = {name: np.repeat([page[name] for page in pages], lengths) for name in ("ts", "tgid")}
    whole = {name: np.concatenate([page[name] for page in pages] or [np.zeros(0)]) for name in ("va", "kind", "slot")}
    table = pa.table(
        {
            "when": pa.array([when]).dictionary_encode().take(pa.array(np.zeros(sum(lengths), np.int32))),
            "ts": pa.array(each["ts"].astype(np.int64)),
            "swap_type": pa.array(lookup[whole["kind"].astype(np.uint8)]),
            "slot": pa.array(whole["slot"].astype(np.int64)),
            "owner_tgid": pa.array(each["tgid"].astype(np.uint32)),
            "va": pa.array(whole["va"].astype(np.int64)),
        }
    )
    shapes = {"ts": pa.int64(), "tgid": pa.uint32(), "comm": pa.string()}
    shapes |= {"anonymous_bytes": pa.int64(), "swapped": pa.int64()}
    columns = {name: pa.array([row[name] for row in rows], shape) for name, shape in shapes.items()}
    processes = pa.table({"when": pa.array([when] * len(rows), pa.string()).dictionary_encode(), **columns})
    return Snapshot(table, processes, not notes, tuple(notes))


def _known_types(seen: Sequence[int], devices: Sequence[SwapDevice], proc: Path) -> dict[int, int]:
    """Return the types of a trace by those of the kernel, as far as they can be told (capture/swap_types.py).

    Pages are in areas that /proc/swaps says are in use only.
    """
    numbers = [device.swap_type for device in devices]
    with contextlib.suppress(OSError, ValueError):
        lines = (proc / "swaps").read_text(errors="replace").splitlines()[1:]
        used = [int(line.split()[-2]) > 0 for line in lines]
        if len(used) == len(numbers):
            numbers = [number for number, some in zip(numbers, used, strict=True) if some]
    choices = possible_types(seen, numbers)
    return {kind: found[0] for kind, found in choices.items() if len(found) == 1}
