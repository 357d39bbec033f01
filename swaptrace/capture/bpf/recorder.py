"""The BPF recorder: attach, drain the ring into chunks on disk, detach."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import struct
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from swaptrace.capture.backends import Plan, Result
from swaptrace.capture.bpf.programs import Programs, Settings, load_programs
from swaptrace.capture.bpf.refusal import refusal
from swaptrace.capture.bpf.ring import Ring
from swaptrace.ingest.bpf.contents import CONTENTS
from swaptrace.ingest.bpf.records import RECORDS, RawInfo, RecordKind, pack_chunk, write_info
from swaptrace.model.errors import WriteError
from swaptrace.model.meta import HashInfo, SwapDevice

if TYPE_CHECKING:
    from swaptrace.capture.bpf.contents import ContentSizes

__all__ = ["HASH", "SALTED_HASH", "BpfRecorder"]

HASH = "xxh64"
SALTED_HASH = "siphash-2-4 of xxh64"
_POLL_S = 0.005  # at 2.5 million records a second the default ring lasts 0.3 s
_LEARN_S = 1.0
_MIN_RING, _MAX_RING = 1 << 16, 1 << 30
_SWAP_TYPES = 32
_SEEN_BIO, _SEEN_BYPASS = 1, 2  # enum seen_io of swaptrace.bpf.c
_AREA = struct.Struct("=QII")  # struct area of swaptrace.bpf.c


class BpfRecorder:
    """Records from ``__enter__`` to :meth:`stop`. Leaves ``bpf.records`` and ``bpf.json`` in ``plan.target``."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._ending = threading.Event()
        self._error: OSError | None = None
        self._thread: threading.Thread | None = None
        self._sizes: ContentSizes | None = None

    def __enter__(self) -> BpfRecorder:
        plan = self._plan
        size = ring_bytes(plan.buffer_kib)
        try:
            content = plan.content
            self._programs = load_programs(Settings(size, content.hash, content.salt, sample=content.sample))
        except OSError as error:
            raise refusal(error) from error
        try:
            self._info = describe(self._programs, plan)
            write_info(plan.target, self._info)
            self._file = os.open(plan.target / RECORDS, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._ring = Ring(self._programs.object.map_fd("records"), size)
            if plan.content.sample:
                from swaptrace.capture.bpf.contents import ContentSizes  # compressors: not loaded for nothing

                self._sizes = ContentSizes(self._programs.object.map_fd("contents"), plan.target / CONTENTS)
                self._sizes.start()
            self._thread = threading.Thread(target=self._drain_until_the_end, name="swaptrace bpf", daemon=True)
            self._thread.start()
            try:
                self._programs.start()
            except OSError as error:
                raise refusal(error) from error
        except BaseException:
            self._close()
            raise
        return self

    def so_far(self) -> Result:
        """Return what is recorded where; losses are in ``bpf.json``."""
        return Result(self._plan.target, self._info.tier, self._info.lost, self._info.events, ())

    def widen(self, devices: Sequence[SwapDevice]) -> bool:
        """Change nothing: the programs see every swap area."""
        return True

    def check(self) -> None:
        """Raise :class:`WriteError` if the records could not be written (a full disk)."""
        error = self._error or (self._sizes.error if self._sizes is not None else None)
        if error is not None:
            raise WriteError("the recording stopped.", f"{self._plan.target}: {error.strerror}.")

    def stop(self) -> Result:
        """Detach, drain what is left, and count what was lost."""
        self._programs.object.detach()
        self._finish_thread()
        self.check()
        self._learn()
        return self.so_far()

    def _drain_until_the_end(self) -> None:
        learned = time.monotonic()
        try:
            while not self._ending.wait(_POLL_S):
                while self._drain():
                    pass
                if time.monotonic() - learned > _LEARN_S:
                    self._learn()
                    learned = time.monotonic()
            while self._drain():
                pass
        except OSError as error:
            self._error = error

    def _drain(self) -> bool:
        chunk = self._ring.drain(sum(self._programs.object.read("lost")))
        if chunk is None:
            return False
        buffers = pack_chunk(chunk)
        wanted = sum(len(buffer) for buffer in buffers)
        if os.writev(self._file, buffers) < wanted:
            raise OSError(
                errno.ENOSPC, os.strerror(errno.ENOSPC)
            )  # the cut chunk is the last one: nothing behind it would be found
        return True

    def _learn(self) -> None:
        """Write what the programs found out since: places of swap types, losses."""
        program = self._programs.object
        areas, bypassed = {}, []
        for swap_type in range(_SWAP_TYPES):
            _, dev, seen = _AREA.unpack(program.lookup("areas", swap_type, _AREA.size))
            if seen & _SEEN_BIO:
                areas[swap_type] = dev
            if seen & _SEEN_BYPASS:
                bypassed.append(swap_type)
        lost = {f"bpf.{RecordKind(kind).name.lower()}": n for kind, n in enumerate(program.read("lost")) if n}
        if contents := program.read("lost_contents")[0]:
            lost["bpf.contents"] = contents
        unpaired = program.read("unpaired_writes")[0]
        info = dataclasses.replace(
            self._info, areas=areas, bypassed=tuple(bypassed), lost=lost, unpaired_writes=unpaired
        )
        if info != self._info:
            self._info = info
            write_info(self._plan.target, info)

    def _finish_thread(self) -> None:
        self._ending.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()
        if self._sizes is not None:
            self._sizes.finish()

    def _close(self) -> None:
        self._programs.object.detach()
        self._finish_thread()
        with contextlib.suppress(AttributeError):  # the file was not opened yet
            os.close(self._file)
        self._programs.object.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()


def ring_bytes(buffer_kib: int) -> int:
    """Return the size of the one ring that all CPUs share: a power of two, at least the buffers of all of them."""
    wanted = (buffer_kib << 10) * (os.cpu_count() or 1)
    return max(_MIN_RING, min(_MAX_RING, 1 << (wanted - 1).bit_length()))


def describe(programs: Programs, plan: Plan) -> RawInfo:
    """Return what a recording with ``programs`` shows, and notes on what it does not."""
    known = programs.bases.known
    hashed = plan.content.hash and known
    salted = plan.content.salt is not None
    faults = known and "fault_user" in programs.attach
    notes = [f"this kernel has no tracepoint {name}" for name in programs.missing]
    if not known:
        notes.append(f"no content hash and no swap-cache hits: {programs.bases.why}")
    if not programs.frees and any(device.kind != "zram" for device in plan.devices):
        notes.append(f"slot frees on disks are not seen ({programs.refused}); on zram and zswap they are")
    if not programs.object.read("zswap_knows_type")[0]:
        notes.append("zswap entries of this kernel name no swap area: what leaves zswap is given to the first one")
    return RawInfo(
        hash=HashInfo(SALTED_HASH if salted else HASH, salted) if hashed else HashInfo(),
        owners=True,
        faults=faults,
        zero_events=programs.zero_events,
        exact_frees=bool(programs.frees),
        handles=programs.handles,
        tier="T3" if programs.frees else "T2",
        devices=tuple(plan.devices),
        events=tuple(programs.object.section(name) for name in (*programs.attach, programs.frees) if name),
        notes=tuple(notes),
    )
