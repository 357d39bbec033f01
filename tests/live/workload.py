"""The workload of the live tests: swaps out and in, zero pages too, and tells where its pages went.

Run as a program: ``workload.py PAGES small|huge|squeeze WITNESS [DEVICE]``. Every eighth group of 16 pages is
zero. At its end it pages everything out and writes its own pagemap to WITNESS: a line ``address type slot zero``
per page that is swapped out. With DEVICE (or swap file) there is a fifth column: XXH64 of what is at that slot there.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

PAGE = 4096
POOL_LIMIT = Path("/sys/module/zswap/parameters/max_pool_percent")
CHUNK = 4 << 20
PAGEOUT = 21  # MADV_PAGEOUT


def main(pages: int, mode: str, witness: Path, device: str = "") -> None:
    area = mmap.mmap(-1, pages * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    area.madvise(mmap.MADV_HUGEPAGE if mode == "huge" else mmap.MADV_NOHUGEPAGE)
    block = 16 * PAGE
    noise = (os.urandom(PAGE // 2) + bytes(PAGE // 2)) * 16  # zswap refuses what does not compress
    for at in range(0, len(area), block):
        area[at : at + block] = bytes(block) if is_zero(at) else at.to_bytes(8, "little") + noise[8:]
        make_room(area, at + block)
    for _ in range(2):
        area.madvise(PAGEOUT)
        for at in range(0, len(area), PAGE):  # read all, write a third: clean and dirty swap-ins
            value = area[at]
            if at // PAGE % 3 == 0 and not is_zero(at):
                area[at] = (value + 1) % 256
            make_room(area, at + PAGE)
    area.madvise(PAGEOUT)
    if mode == "squeeze":
        squeeze(area)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        pagemap.seek(start // PAGE * 8)
        entries = memoryview(pagemap.read(pages * 8)).cast("Q")
    stored = stored_hash(device) if device else lambda slot: ""
    with witness.open("w") as out:
        for page, entry in enumerate(entries):
            if entry >> 62 & 1:  # swapped: bits 0-4 type, 5-54 offset (Documentation/admin-guide/mm/pagemap.rst)
                swap_type, slot = entry & 31, entry >> 5 & ((1 << 50) - 1)
                out.write(f"{start + page * PAGE} {swap_type} {slot} {int(is_zero(page * PAGE))}{stored(slot)}\n")


def stored_hash(device: str) -> Callable[[int], str]:
    """Return what reads a slot past the page cache and hashes it, with another implementation than the recorder's."""
    import xxhash

    descriptor = os.open(device, os.O_RDONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, PAGE)  # O_DIRECT wants aligned memory

    def hashed(slot: int) -> str:
        os.preadv(descriptor, [buffer], slot * PAGE)
        return f" {xxhash.xxh64_intdigest(buffer[:])}"

    return hashed


def squeeze(area: mmap.mmap) -> None:
    """Take zswap's pool away for a moment: what it holds goes to the device.

    Each page that the pool refuses wakes its shrinker, which passes over an entry once before it writes it back
    and gives up after 16 of them: so there are many small page-outs. The shrinker is a worker, which a busy machine
    keeps waiting: it has 30 seconds to write a thousand pages back.
    """
    before = POOL_LIMIT.read_text()
    POOL_LIMIT.write_text("0")
    end, enough = time.monotonic() + 30, written_back() + 1000
    step = 4 * PAGE
    while written_back() < enough and time.monotonic() < end:
        for at in range(0, len(area) // 8, step):
            for page in range(at, at + step, PAGE):
                area[page] = area[page] | 1
            area.madvise(PAGEOUT, at, step)
    POOL_LIMIT.write_text(before)


def written_back() -> int:
    """Return how many pages zswap has written to the device since boot."""
    vmstat = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return int(vmstat["zswpwb"])


def make_room(area: mmap.mmap, done: int) -> None:
    """Page out three of four finished chunks; the limit of the cgroup reclaims the others, without killing us."""
    if done % CHUNK == 0 and done // CHUNK % 4:
        area.madvise(PAGEOUT, done - CHUNK, CHUNK)


def is_zero(at: int) -> bool:
    return at // (16 * PAGE) % 8 == 7


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), *sys.argv[4:])
