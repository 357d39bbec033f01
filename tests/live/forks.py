"""A workload that shares pages: ``forks.py PAGES WITNESS``. Private pages before a fork, shared memory, copy on write.

At its end it writes a line ``pid address type slot shared`` per page of parent and child that is swapped out.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from pathlib import Path

PAGE = 4096
PAGEOUT = 21  # MADV_PAGEOUT


def main(pages: int, witness: Path) -> None:
    private = mmap.mmap(-1, pages * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    shared = mmap.mmap(-1, pages * PAGE, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    for area in (private, shared):
        area.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(pages):
            area[page * PAGE : (page + 1) * PAGE] = os.urandom(PAGE // 2) + bytes(PAGE // 2)
    shared.madvise(PAGEOUT)
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        for page in range(0, pages, 2):
            private[page * PAGE] = 1  # a copy of its own
        private.madvise(PAGEOUT)
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        write(witness.with_suffix(".child"), private)
        os._exit(0)
    os.read(ready[0], 1)
    private.madvise(PAGEOUT)
    for page in range(0, pages, 3):
        _ = private[page * PAGE], shared[page * PAGE]
    private.madvise(PAGEOUT)
    shared.madvise(PAGEOUT)
    write(witness, private)
    os.write(go[1], b"x")
    os.waitpid(child, 0)


def write(witness: Path, area: mmap.mmap) -> None:
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        pagemap.seek(start // PAGE * 8)
        entries = memoryview(pagemap.read(len(area) // PAGE * 8)).cast("Q")
    with witness.open("w") as out:
        for page, entry in enumerate(entries):
            if entry >> 62 & 1:
                out.write(f"{os.getpid()} {start + page * PAGE} {entry & 31} {entry >> 5 & ((1 << 50) - 1)}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
