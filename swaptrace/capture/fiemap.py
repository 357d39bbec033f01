"""Where the slots of a swap file are on its device: FIEMAP, and the kernel's own rule for swap extents."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterable

from swaptrace.model.errors import CapabilityError

__all__ = ["file_extents", "swap_extents"]

_FS_IOC_FIEMAP = 0xC020660B  # _IOWR('f', 11, struct fiemap), include/uapi/linux/fs.h
_HEADER = struct.Struct("=QQIIII")  # fm_start, fm_length, fm_flags, fm_mapped_extents, fm_extent_count, reserved
_EXTENT = struct.Struct("=QQQ16xI12x")  # fe_logical, fe_physical, fe_length, reserved64[2], fe_flags, reserved[3]
_BATCH = 512
_LAST = 0x1
# unknown location, delayed allocation, encoded (compressed), encrypted, not aligned, inline, packed tail: no
# fixed sectors
_NO_SECTORS = 0x2 | 0x4 | 0x8 | 0x80 | 0x100 | 0x200 | 0x400
_PAGE = 4096
_SECTOR = 512


def file_extents(path: str) -> list[tuple[int, int, int]]:
    """Return ``(file offset, offset on the file system's device, length)`` in bytes of every extent of
    ``path``.

    Raises :class:`CapabilityError` where the file system has no FIEMAP or the file has no fixed place on a
    device, and :class:`OSError` where the file cannot be opened.
    """
    found: list[tuple[int, int, int]] = []
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        start, end = 0, os.fstat(descriptor).st_size
        while start < end:
            buffer = bytearray(_HEADER.size + _BATCH * _EXTENT.size)
            _HEADER.pack_into(buffer, 0, start, end - start, 0, 0, _BATCH, 0)
            try:
                fcntl.ioctl(descriptor, _FS_IOC_FIEMAP, buffer)
            except OSError as error:
                if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL):
                    raise _unsupported(path, f"Its file system has no FIEMAP ({error.strerror}).") from error
                raise
            mapped = _HEADER.unpack_from(buffer)[3]
            for index in range(mapped):
                logical, physical, length, flags = _EXTENT.unpack_from(buffer, _HEADER.size + index * _EXTENT.size)
                if flags & _NO_SECTORS:
                    raise _unsupported(
                        path, f"Its extent at byte {logical} has no fixed sectors (FIEMAP flags {flags:#x})."
                    )
                found.append((logical, physical, length))
                start = logical + length
                if flags & _LAST:
                    return found
            if not mapped:
                break
        return found
    finally:
        os.close(descriptor)


def swap_extents(extents: Iterable[tuple[int, int, int]], start_sector: int = 0) -> tuple[tuple[int, int, int], ...]:
    """Return ``(file page, device sector, pages)``: the slots that the kernel makes of a file's ``extents``.

    Source: iomap_swapfile_add_extent() of fs/iomap/swapfile.c. Extents that touch on the device are one; each
    is cut to whole pages of the device; the pages are numbered by a running count, so that a part of a block
    smaller than a page is no slot and moves the later ones down. ``start_sector`` is added to every sector
    (the place of a partition on its disk).

    >>> swap_extents([(0, 40960, 8192), (8192, 49152, 4096), (12288, 1048576, 4096)])
    ((0, 80, 3), (3, 2048, 1))
    """
    merged: list[tuple[int, int]] = []  # first byte on the device, byte behind the last
    for _, physical, length in extents:
        if merged and merged[-1][1] == physical:
            merged[-1] = (merged[-1][0], physical + length)
        else:
            merged.append((physical, physical + length))
    out: list[tuple[int, int, int]] = []
    page = 0
    for begin, end in merged:
        first, last = -(-begin // _PAGE), end // _PAGE
        if last > first:
            out.append((page, first * (_PAGE // _SECTOR) + start_sector, last - first))
            page += last - first
    return tuple(out)


def _unsupported(path: str, why: str) -> CapabilityError:
    return CapabilityError(
        f"the slots of the swap file {path} cannot be found on its device.",
        why,
        "Use a swap partition, zram, or a swap file on ext4 or xfs.",
    )
