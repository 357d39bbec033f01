"""Swap as fast as one process can: ``storm.py PAGES ROUNDS mixed|zero OUT``.

Writes the CPU time per page out and per page in (ns, of this process), and the pages per second, to OUT.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from pathlib import Path

PAGE = 4096
PAGEOUT = 21  # MADV_PAGEOUT


def main(pages: int, rounds: int, mode: str, out: Path) -> None:
    area = mmap.mmap(-1, pages * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    area.madvise(mmap.MADV_NOHUGEPAGE)
    half = os.urandom(PAGE // 2) + bytes(PAGE // 2)
    for at in range(0, len(area), PAGE):
        area[at : at + PAGE] = bytes(PAGE) if mode == "zero" else at.to_bytes(8, "little") + half[8:]
    ones = (b"\0" if mode == "zero" else b"\1") * pages
    cpu_out = cpu_in = 0.0
    start = time.monotonic()
    for _ in range(rounds):
        before = time.thread_time()
        area.madvise(PAGEOUT)
        middle = time.thread_time()
        area[::PAGE] = ones  # a write fault per page, in one loop of the interpreter's C code
        cpu_out += middle - before
        cpu_in += time.thread_time() - middle
    rate = pages * rounds / (time.monotonic() - start)
    moved = pages * rounds / 1e9
    out.write_text(f"{cpu_out / moved} {cpu_in / moved} {rate}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
