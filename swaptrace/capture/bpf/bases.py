"""The two base addresses behind page content and page tables: page_offset_base and vmemmap_base.

A kernel with CONFIG_KALLSYMS_ALL names them. Else they are measured: a page of ours with a random beginning, whose
frame /proc/self/pagemap tells, is looked for below a kernel address at every place where KASLR may have put the direct
map; and mm_lru_insertion reports a folio together with its frame.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from swaptrace.capture.bpf.libbpf import BpfObject, LoadError

__all__ = ["Bases", "find_bases"]

_PAGE = 4096
_PFN = (1 << 55) - 1  # bits 0 to 54 of a pagemap entry (Documentation/admin-guide/mm/pagemap.rst)
_CANDIDATES = 256  # per run of the program: CANDIDATES in swaptrace.bpf.c
_MAX_GIB = 64 << 10  # the direct map of four-level paging has at most 64 TiB
_TOUCHES = 50
_TOUCHED_PAGES = 256


@dataclass(frozen=True)
class Bases:
    """The addresses, 0 where unknown; ``how`` is ``symbols`` or ``calibration``, ``why`` what failed."""

    page_offset: int = 0
    vmemmap: int = 0
    how: str = ""
    why: str = ""

    @property
    def known(self) -> bool:
        """Whether content and page tables can be read."""
        return bool(self.page_offset and self.vmemmap)


def find_bases(program: BpfObject) -> Bases:
    """Return the base addresses of the running kernel; ``program`` is loaded, and records nothing yet."""
    try:
        program.run("read_symbols")
        (page_offset,), (vmemmap,) = program.read("symbol_page_offset"), program.read("symbol_vmemmap")
        if page_offset and vmemmap:
            return Bases(page_offset, vmemmap, "symbols")
        page_offset = _measure_page_offset(program)
        if not page_offset:
            return Bases(why="our own page was found at no place of the direct map")
        vmemmap = _measure_vmemmap(program)
        if not vmemmap:
            return Bases(why="pagemap:mm_lru_insertion reported no folio")
        return Bases(page_offset, vmemmap, "calibration")
    except LoadError as error:
        return Bases(why=f"the kernel refused to run a program: {error.strerror}")
    except OSError as error:
        return Bases(why=f"{error.filename or '/proc/self/pagemap'}: {error.strerror}")


def _measure_page_offset(program: BpfObject) -> int:
    with mmap.mmap(-1, _PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        words = struct.unpack("=4Q", os.urandom(32))
        page[:32] = struct.pack("=4Q", *words)
        pfn = _frame_of(page)
        if not pfn:
            return 0
        program.write("magic", *words)
        program.write("magic_pfn", pfn)
        for first in range(0, _MAX_GIB, _CANDIDATES):
            program.write("first_candidate", first)
            if program.run("find_page_offset"):
                return program.read("found_page_offset")[0]
    return 0


def _frame_of(page: mmap.mmap) -> int:
    """Return the frame of a page of ours; 0 without CAP_SYS_ADMIN."""
    start = ctypes.c_char.from_buffer(page)
    try:
        address = ctypes.addressof(start)
    finally:
        del start  # an exported buffer keeps the mapping from being closed
    with Path("/proc/self/pagemap").open("rb", buffering=0) as pagemap:
        pagemap.seek(address // _PAGE * 8)
        (entry,) = struct.unpack("=Q", pagemap.read(8))
    return int(entry & _PFN)


def _measure_vmemmap(program: BpfObject) -> int:
    error = program.attach("learn_folio")
    if error:
        return 0
    try:
        for _ in range(_TOUCHES):  # pages reach the LRU in batches of a few dozen
            with mmap.mmap(-1, _TOUCHED_PAGES * _PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as pages:
                pages[::_PAGE] = b"\1" * _TOUCHED_PAGES
            (folio,) = program.read("lru_folio")
            if folio:
                (pfn,), (size,) = program.read("lru_pfn"), program.read("page_struct_bytes")
                return int(folio - pfn * size)
    finally:
        program.detach()
    return 0
