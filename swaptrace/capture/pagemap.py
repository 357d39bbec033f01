"""The swap entries in the page table of a process: /proc/PID/pagemap, found fast with PAGEMAP_SCAN.

Source: Documentation/admin-guide/mm/pagemap.rst, include/uapi/linux/fs.h. The ioctl (6.7) tells where pages are
swapped out but not to which slot; the file tells the slot but has an entry for every page of the address space.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Area", "anonymous_areas", "swap_entries"]

Array = NDArray[Any]
_PAGEMAP_SCAN = 0xC0606610  # _IOWR('f', 16, struct pm_scan_arg)
_SCAN = struct.Struct("=12Q")  # size flags start end walk_end vec vec_len max_pages inverted mask anyof return
_IS_SWAPPED = 1 << 4  # PAGE_IS_SWAPPED
_REGIONS = 4096
_TOP = 1 << 56  # user addresses, five-level page tables included
_PAGE = 4096
_SWAPPED = np.uint64(1 << 62)
_GAP = 512 * _PAGE  # reading 512 entries that are not wanted is cheaper than another system call
_STEP = 1 << 20  # entries at a time: 8 MiB
_SPARSE = 1 << 24  # pages: without PAGEMAP_SCAN larger areas are not searched (address sanitizers reserve terabytes)
_LINE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ (\d+)\s*(.*)")
_KERNEL = ("[vvar]", "[vdso]", "[vsyscall]", "[vvar_vclock]")


@dataclass(frozen=True)
class Area:
    """A mapping that may hold anonymous pages; ``anonymous``: it maps no file."""

    start: int
    end: int
    anonymous: bool


def anonymous_areas(maps: str) -> list[Area]:
    """Return the private mappings of the text of /proc/PID/maps: those whose pages may go to swap as anonymous ones.

    >>> anonymous_areas("7f00-8f00 rw-p 00000000 00:00 0 \\n9f00-af00 r--s 00000000 08:01 7 /x\\n")
    [Area(start=32512, end=36608, anonymous=True)]
    """
    areas = []
    for start, end, rights, inode, name in (m.groups() for m in map(_LINE.match, maps.splitlines()) if m):
        if rights[3] == "p" and name not in _KERNEL:
            areas.append(Area(int(start, 16), int(end, 16), inode == "0"))
    return areas


def swap_entries(pid: int, areas: list[Area], proc: Path = Path("/proc")) -> tuple[Array, Array, Array, int]:
    """Return ``(address int64, swap type uint8, slot int64)`` of each swapped page, and how many pages of ``areas``
    were not searched.

    Raises :class:`OSError` where the pagemap may not be read. Without CAP_SYS_ADMIN the kernel hides the slots: all
    are 0 then.
    """
    descriptor = os.open(proc / str(pid) / "pagemap", os.O_RDONLY | os.O_CLOEXEC)
    skipped = 0
    try:
        spans = _scanned(descriptor)
        if spans is None:
            small = [area for area in areas if area.end - area.start <= _SPARSE * _PAGE]
            skipped = sum(area.end - area.start for area in areas) - sum(area.end - area.start for area in small)
            spans = iter([(area.start, area.end) for area in small])
        parts = [part for start, end in spans for part in _read(descriptor, start, end)]
    finally:
        os.close(descriptor)
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.uint8), np.zeros(0, np.int64), skipped // _PAGE
    address, entry = (np.concatenate(column) for column in zip(*parts, strict=True))
    kind = (entry & np.uint64(31)).astype(np.uint8)
    slot = (entry >> np.uint64(5) & np.uint64((1 << 50) - 1)).astype(np.int64)
    return address, kind, slot, skipped // _PAGE


def _scanned(descriptor: int) -> Iterator[tuple[int, int]] | None:
    """Return the spans that hold swapped pages, close ones merged; None where this kernel cannot tell."""
    vector = array.array("Q", bytes(24 * _REGIONS))
    where = vector.buffer_info()[0]

    def scan(start: int) -> tuple[int, int]:
        argument = bytearray(
            _SCAN.pack(_SCAN.size, 0, start, _TOP, 0, where, _REGIONS, 0, 0, _IS_SWAPPED, 0, _IS_SWAPPED)
        )
        count = fcntl.ioctl(descriptor, _PAGEMAP_SCAN, argument)
        return count, _SCAN.unpack(argument)[4]

    def spans(found: tuple[int, int]) -> Iterator[tuple[int, int]]:
        open_: tuple[int, int] | None = None
        while True:
            count, walked = found
            for i in range(count):
                start, end = vector[3 * i], vector[3 * i + 1]
                if open_ is not None and start - open_[1] <= _GAP:
                    open_ = open_[0], end
                    continue
                if open_ is not None:
                    yield open_
                open_ = start, end
            if count == 0 or walked >= _TOP:
                break
            found = scan(walked)
        if open_ is not None:
            yield open_

    try:
        return spans(scan(0))
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL, errno.EFAULT):
            return None
        raise


def _read(descriptor: int, start: int, end: int) -> Iterator[tuple[Array, Array]]:
    for first in range(start // _PAGE, end // _PAGE, _STEP):
        data = os.pread(descriptor, 8 * min(_STEP, end // _PAGE - first), 8 * first)
        entry = np.frombuffer(data[: len(data) // 8 * 8], np.uint64)
        swapped = np.flatnonzero(entry & _SWAPPED)
        if len(swapped):
            yield (swapped + first) * _PAGE, entry[swapped]
