"""The two base addresses behind page content and page tables: page_offset_base and vmemmap_base.

A kernel with CONFIG_KALLSYMS_ALL names them. Else they are measured: a page of ours with a random beginning, whose
frame /proc/self/pagemap tells, is looked for below a kernel address at every place where KASLR may have put the direct
map; and mm_lru_insertion shows a folio of ours, whose frame pagemap tells, too. A raw tracepoint: no tracefs is needed.
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
_PAGEMAP = Path("/proc/self/pagemap")
_PFN = (1 << 55) - 1  # bits 0 to 54 of a pagemap entry (Documentation/admin-guide/mm/pagemap.rst)
_CANDIDATES = 256  # per run of the program: CANDIDATES in swaptrace.bpf.c
_MAX_GIB = 64 << 10  # the direct map of four-level paging has at most 64 TiB
_TOUCHES = 50
_TOUCHED_PAGES = 256
# vmemmap begins at a multiple of it (KASLR moves it by 1 GiB; arm64 by 64 bytes a page of memory aligned to 1 GiB): a
# folio that is not the page whose frame was read fails this.
_VMEMMAP_ALIGNMENT = 16 << 20


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
        vmemmap = _measure_vmemmap(program)
        return Bases(page_offset, vmemmap, "calibration")
    except _NotFoundError as error:
        return Bases(why=str(error))
    except LoadError as error:
        return Bases(why=f"the kernel refused to run a program ({error.filename}): {error.strerror}")
    except OSError as error:
        return Bases(why=f"{error.filename or _PAGEMAP}: {error.strerror}")


class _NotFoundError(Exception):
    """Why a base could not be measured."""


def _measure_page_offset(program: BpfObject) -> int:
    with mmap.mmap(-1, _PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        words = struct.unpack("=4Q", os.urandom(32))
        page[:32] = struct.pack("=4Q", *words)
        program.write("magic", *words)
        program.write("magic_pfn", _frame_of(_number_of(page)))
        for first in range(0, _MAX_GIB, _CANDIDATES):
            program.write("first_candidate", first)
            if program.run("find_page_offset"):
                return program.read("found_page_offset")[0]
    raise _NotFoundError("our own page was found at no place of the direct map")


def _number_of(pages: mmap.mmap) -> int:
    """Return the virtual page number of the beginning of a mapping of ours."""
    start = ctypes.c_char.from_buffer(pages)
    try:
        return ctypes.addressof(start) // _PAGE
    finally:
        del start  # an exported buffer keeps the mapping from being closed


def _frame_of(page: int) -> int:
    """Return the frame of a page of ours that is in memory."""
    with _PAGEMAP.open("rb", buffering=0) as pagemap:
        pagemap.seek(page * 8)
        (entry,) = struct.unpack("=Q", pagemap.read(8))
    frame = int(entry & _PFN)
    if not frame:
        raise _NotFoundError(f"{_PAGEMAP} hides frames: CAP_SYS_ADMIN is needed")
    return frame


def _measure_vmemmap(program: BpfObject) -> int:
    error = program.attach("learn_folio")
    if error:
        raise LoadError(error, "mm_lru_insertion")
    try:
        program.write("own_pages", _TOUCHED_PAGES)
        for _ in range(_TOUCHES):  # pages reach the LRU in batches of a few dozen
            with mmap.mmap(-1, _TOUCHED_PAGES * _PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as pages:
                program.write("own_index", _number_of(pages))
                program.write("lru_folio", 0)
                pages[::_PAGE] = b"\1" * _TOUCHED_PAGES
                (folio,), (index,), (size,) = map(program.read, ("lru_folio", "lru_index", "page_struct_bytes"))
                vmemmap = folio - _frame_of(index) * size if folio else 0
            if vmemmap and vmemmap % _VMEMMAP_ALIGNMENT == 0:
                return int(vmemmap)
    finally:
        program.detach()
    raise _NotFoundError("mm_lru_insertion showed no folio of ours")
