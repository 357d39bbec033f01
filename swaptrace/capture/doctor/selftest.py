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
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from swaptrace.capture.doctor.root import Check, Root, State
from swaptrace.model.errors import SwaptraceError

__all__ = ["SelfTest", "run_selftest"]

_PAGES = 2048
_LIMIT = 64 << 20
_ROOM_KIB = 4 * 2 * _PAGES


@dataclass(frozen=True)
class SelfTest:
    """What happened: pages that left and came back (``expected_out``, ``expected_in``: the kernel's own pagemap) and
    how many of them the trace shows, with their slots where pagemap tells them; ``lost`` events; the ``recorder``."""

    check: Check
    recorder: str = ""
    expected_out: int = 0
    seen_out: int = 0
    expected_in: int = 0
    seen_in: int = 0
    lost: int = 0


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
    from swaptrace.capture.session import record_live

    trace, witness = folder / "self.parquet", folder / "pages"
    storm = Path(__file__).with_name("storm.py")
    command = [sys.executable, "-I", str(storm), str(_PAGES), str(witness), str(group)]
    meta = record_live(trace, command=command, cgroup=str(group))
    if not witness.exists():
        return SelfTest(Check("self-test", State.NO, "the workload failed", "report it, with --debug"))
    pid, *lines = witness.read_text().splitlines()
    slots = Counter(int(line.split()[1]) for line in lines)
    expected = len(lines)
    seen_out, seen_in = _seen(trace, int(pid), slots)
    result = (
        f"{seen_out:,} of {expected:,} pages seen going out, {seen_in:,} coming in, {meta.lost_total:,} events lost"
    )
    whole = seen_out >= expected and seen_in >= expected and not meta.lost_total and expected
    advice = "record with a larger --buffer" if meta.lost_total else ""
    check = Check("self-test", State.OK if whole else State.WARN, f"{result} ({meta.recorder})", advice)
    return SelfTest(check, meta.recorder, expected, seen_out, expected, seen_in, meta.lost_total)


def _seen(trace: Path, pid: int, slots: Counter[int]) -> tuple[int, int]:
    """Return how many of the pages in ``slots`` the trace shows going out and coming in.

    By slot where pagemap told the slots (it needs CAP_SYS_ADMIN for that), else by the task. Slots are compared
    without their swap type: /proc/swaps does not tell holes in the types (capture/swaps.py).
    """
    import numpy as np

    from swaptrace.model.events import Kind
    from swaptrace.model.trace import Trace

    kinds = (Kind.SWAP_OUT, Kind.SWAP_IN)
    keys = {kind: [np.empty(0, np.int64)] for kind in kinds}
    by_task = dict.fromkeys(kinds, 0)
    for batch in Trace(trace).batches(["kind", "swap_type", "slot", "tid"]):
        for kind in kinds:
            rows = batch["kind"] == kind
            keys[kind].append(np.unique(batch["swap_type"][rows].astype(np.int64) << 50 | batch["slot"][rows]))
            by_task[kind] += int((rows & (batch["tid"] == pid)).sum())
    if not any(slots):
        return by_task[Kind.SWAP_OUT], by_task[Kind.SWAP_IN]
    seen = []
    for kind in kinds:
        places = Counter((np.unique(np.concatenate(keys[kind])) & ((1 << 50) - 1)).tolist())
        seen.append((places & slots).total())
    return seen[0], seen[1]
