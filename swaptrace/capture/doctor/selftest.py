"""A recording of a second: a few pages are swapped in a small cgroup, and the trace must show them.

It changes nothing of the machine: it uses a swap area that is enabled, makes a child cgroup and a process of its own,
and removes both. Where that is not possible it says why.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from swaptrace.capture.doctor.root import Check, Root, State
from swaptrace.capture.swap_types import possible_types
from swaptrace.model.errors import SwaptraceError

__all__ = ["SelfTest", "run_selftest"]

_PAGES = 2048
_LIMIT = 64 << 20
_ROOM_KIB = 4 * 2 * _PAGES


@dataclass(frozen=True)
class SelfTest:
    """What happened: pages that left and came back (``expected_out``, ``expected_in``: the kernel's own pagemap) and
    how many of them the trace shows, with their swap types and slots where pagemap tells them; ``lost`` events; the
    ``recorder``, and its buffer per CPU (``buffer_kib``)."""

    check: Check
    recorder: str = ""
    expected_out: int = 0
    seen_out: int = 0
    expected_in: int = 0
    seen_in: int = 0
    lost: int = 0
    buffer_kib: int = 0


def run_selftest(root: Root) -> SelfTest:
    """Record a small workload, or say why not."""
    why = _obstacle(root)
    parent = None if why else _parent(root)
    if parent is None:
        return _not_run(why or "no cgroup with a memory controller in which a child could be made")
    folder = Path(tempfile.mkdtemp(prefix="swaptrace-doctor-"))
    try:
        with _cgroup(parent) as group:
            return _record(folder, group)
    except SwaptraceError as error:
        what = " ".join(f"{text.rstrip('.')}." for text in (error.what, error.why) if text)
        return SelfTest(Check("self-test", State.NO, what, error.next_step))
    except OSError as error:
        return _not_run(f"{error.filename or parent}: {error.strerror}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _not_run(why: str) -> SelfTest:
    return SelfTest(Check("self-test", State.WARN, f"not run: {why}"))


def _obstacle(root: Root) -> str:
    """Return why nothing can be swapped here, or nothing."""
    lines = (root.read("/proc/swaps") or "").splitlines()[1:]
    if not lines:
        return "no swap area is enabled"
    free = max(int(line.split()[-3]) - int(line.split()[-2]) for line in lines)
    if free < _ROOM_KIB:
        return f"the swap areas have less than {_ROOM_KIB >> 10} MiB free"
    if root.version < (5, 4):
        return f"Linux {root.release} has no MADV_PAGEOUT (5.4)"
    return ""


def _parent(root: Root) -> Path | None:
    """Return the deepest cgroup above this process in which a child with a memory limit can be made."""
    text = root.read("/proc/self/cgroup") or ""
    for where, kind, options in root.mounts():
        v1 = kind == "cgroup" and "memory" in options
        if not v1 and kind != "cgroup2":
            continue
        own = re.search(r"^\d+:[^:]*\bmemory\b[^:]*:(/.*)$" if v1 else r"^0::(/.*)$", text, re.M)
        path = own[1].rstrip("/") if own else ""
        while True:
            folder = f"{where}{path}"
            gives = v1 or "memory" in (root.read(f"{folder}/cgroup.subtree_control") or "").split()
            if gives and root.exists(f"{folder}/cgroup.procs") and root.writable(folder):
                return root.at(folder)
            if not path:
                break
            path = path.rpartition("/")[0]
    return None


@contextlib.contextmanager
def _cgroup(parent: Path) -> Iterator[Path]:
    """Make a child of ``parent`` with a small limit, and remove it."""
    group = parent / f"swaptrace-doctor-{os.getpid()}"
    group.mkdir()
    try:
        limit = next(each for name in ("memory.max", "memory.limit_in_bytes") if (each := group / name).exists())
        limit.write_text(str(_LIMIT))
        yield group
    finally:
        _remove(group)


def _remove(group: Path) -> None:
    for _ in range(50):  # the process that ended may take a moment to leave
        try:
            group.rmdir()
            return
        except OSError:
            time.sleep(0.02)
    group.rmdir()


def _record(folder: Path, group: Path) -> SelfTest:
    from swaptrace.capture.session import buffer_default_kib, record_live

    trace, witness = folder / "self.parquet", folder / "pages"
    storm = Path(__file__).with_name("storm.py")
    command = [sys.executable, "-I", str(storm), str(_PAGES), str(witness), str(group)]
    buffer = buffer_default_kib()
    meta = record_live(trace, command=command, cgroup=str(group), buffer_kb=buffer)
    if not witness.exists():
        return SelfTest(Check("self-test", State.NO, "the workload failed", "report it, with --debug"))
    pid, *lines = witness.read_text().splitlines()
    places = {(int(kind), int(slot)) for kind, slot in map(str.split, lines)}
    told = (0, 0) not in places
    expected = len(lines)
    seen_out, seen_in = _seen_places(trace, places) if told else _seen_of_task(trace, int(pid))
    result = (
        f"{seen_out:,} of {expected:,} pages seen going out and {seen_in:,} coming in, "
        f"{'each at its slot' if told else 'by task'}; {meta.lost_total:,} events lost with --buffer {buffer >> 10}MiB"
    )
    whole = seen_out >= expected and seen_in >= expected and not meta.lost_total and expected
    advice = f"raise --buffer above {buffer >> 10}MiB" if meta.lost_total else ""
    check = Check("self-test", State.OK if whole else State.WARN, f"{result} ({meta.recorder})", advice)
    return SelfTest(check, meta.recorder, expected, seen_out, expected, seen_in, meta.lost_total, buffer)


def _seen_of_task(trace: Path, pid: int) -> tuple[int, int]:
    """Return how many rows of the task are swap-outs and swap-ins: all there is where pagemap hides the slots (without
    CAP_SYS_ADMIN every swap entry reads as type 0, slot 0)."""
    from swaptrace.model.events import Kind
    from swaptrace.model.trace import Trace

    out = back = 0
    for batch in Trace(trace).batches(["kind", "tid"]):
        own = batch["kind"][batch["tid"] == pid]
        out += int((own == Kind.SWAP_OUT).sum())
        back += int((own == Kind.SWAP_IN).sum())
    return out, back


def _seen_places(trace: Path, places: set[tuple[int, int]]) -> tuple[int, int]:
    """Return how many of ``places``, pairs of the kernel's swap type and a slot, the trace shows going out and coming
    in.

    Types are compared as far as they can be (:func:`possible_types`): where several are possible, the one that agrees
    with most of the pages is taken, the same for all pages of a type and for both directions.
    """
    import numpy as np

    from swaptrace.model.events import Kind
    from swaptrace.model.trace import Trace

    opened = Trace(trace)
    seen: dict[Kind, set[tuple[int, int]]] = {Kind.SWAP_OUT: set(), Kind.SWAP_IN: set()}
    for batch in opened.batches(["kind", "swap_type", "slot"]):
        for kind, found in seen.items():
            rows = batch["kind"] == kind
            pairs = np.unique(np.stack([batch["swap_type"][rows].astype(np.int64), batch["slot"][rows]], 1), axis=0)
            found.update(map(tuple, pairs.tolist()))
    numbers = [device.swap_type for device in opened.meta.devices]
    out = back = 0
    for kernel_type, choices in possible_types({kind for kind, _ in places}, numbers).items():
        slots = {slot for kind, slot in places if kind == kernel_type}
        at = [{(choice, slot) for slot in slots} for choice in choices]
        counts = [(len(each & seen[Kind.SWAP_OUT]), len(each & seen[Kind.SWAP_IN])) for each in at]
        best = max(counts, key=sum, default=(0, 0))
        out, back = out + best[0], back + best[1]
    return out, back
