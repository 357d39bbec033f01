"""The workload of the live tests: swaps out and in, zero pages too, and tells where its pages went.

Run as a program: ``workload.py PAGES HUGE WITNESS``. Every eighth group of 16 pages is zero. At its end it
pages everything out and writes its own pagemap to WITNESS: a line ``address type slot zero`` per page
swapped out.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from pathlib import Path

PAGE = 4096
CHUNK = 4 << 20
PAGEOUT = 21  # MADV_PAGEOUT


def main(pages: int, huge: bool, witness: Path) -> None:
    area = mmap.mmap(-1, pages * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    area.madvise(mmap.MADV_HUGEPAGE if huge else mmap.MADV_NOHUGEPAGE)
    block = 16 * PAGE
    noise = os.urandom(block)
    for at in range(0, len(area), block):
        area[at : at + block] = bytes(block) if is_zero(at) else noise[:-8] + at.to_bytes(8, "little")
        make_room(area, at + block)
    for _ in range(2):
        area.madvise(PAGEOUT)
        for at in range(0, len(area), PAGE):  # read all, write a third: clean and dirty swap-ins
            value = area[at]
            if at // PAGE % 3 == 0 and not is_zero(at):
                area[at] = (value + 1) % 256
            make_room(area, at + PAGE)
    area.madvise(PAGEOUT)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        pagemap.seek(start // PAGE * 8)
        entries = memoryview(pagemap.read(pages * 8)).cast("Q")
    with witness.open("w") as out:
        for page, entry in enumerate(entries):
            if entry >> 62 & 1:  # swapped: bits 0-4 type, 5-54 offset (Documentation/admin-guide/mm/pagemap.rst)
                swap_type, slot = entry & 31, entry >> 5 & ((1 << 50) - 1)
                out.write(f"{start + page * PAGE} {swap_type} {slot} {int(is_zero(page * PAGE))}\n")


def make_room(area: mmap.mmap, done: int) -> None:
    """Page out three of four finished chunks; the limit of the cgroup reclaims the others, without killing us."""
    if done % CHUNK == 0 and done // CHUNK % 4:
        area.madvise(PAGEOUT, done - CHUNK, CHUNK)


def is_zero(at: int) -> bool:
    return at // (16 * PAGE) % 8 == 7


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] == "huge", Path(sys.argv[3]))
