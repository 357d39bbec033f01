"""The workload of the self-test, run as a program in a cgroup of its own: ``storm.py PAGES WITNESS CGROUP``.

Fills PAGES pages with random bytes, pages them out (MADV_PAGEOUT, 5.4 and later), empties the swap cache of CGROUP,
where pages stay that went to a disk, writes its own pagemap to WITNESS (its pid, then a line ``type slot`` for each
page that is swapped), and touches every page. Stands alone: it is started with the bare interpreter.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import sys
import time
from pathlib import Path

_PAGE = 4096
_PAGEOUT = 21  # MADV_PAGEOUT


def main(pages: int, witness: Path, cgroup: Path) -> None:
    """Swap ``pages`` pages out and in again."""
    area = mmap.mmap(-1, pages * _PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    area.madvise(mmap.MADV_NOHUGEPAGE)
    area.write(os.urandom(pages * _PAGE))
    area.madvise(_PAGEOUT)
    time.sleep(0.2)  # writes to a disk end
    for name, text in (("memory.force_empty", "0"), ("memory.reclaim", f"{pages * _PAGE}")):  # cgroup v1, v2 (5.19)
        with contextlib.suppress(OSError):  # not there; or less could be reclaimed
            if (cgroup / name).exists():
                (cgroup / name).write_text(text)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        pagemap.seek(start // _PAGE * 8)
        entries = memoryview(pagemap.read(pages * 8)).cast("Q")
    swapped = [entry for entry in entries if entry >> 62 & 1]  # Documentation/admin-guide/mm/pagemap.rst
    lines = [f"{entry & 31} {entry >> 5 & (1 << 50) - 1}\n" for entry in swapped]
    witness.write_text(f"{os.getpid()}\n" + "".join(lines))
    for at in range(0, len(area), _PAGE):
        area[at]


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
