"""A swap area in one word, for imports: the file of perf or ftrace does not say where the areas were."""

from __future__ import annotations

import re

from swaptrace.capture.swaps import device_number
from swaptrace.model.errors import UsageError
from swaptrace.model.meta import SwapDevice

__all__ = ["format_device", "parse_device"]

_SPEC = re.compile(r"(\d+)[,:](\d+)(?:\+(\d+))?((?:@\d+:\d+:\d+)*)")


def parse_device(spec: str, swap_type: int) -> SwapDevice:
    """Return the swap area that ``spec`` describes, as the one of ``swap_type``.

    ``MAJOR,MINOR`` is the whole disk that block events name; ``+SECTOR`` the start of the partition on it;
    each ``@PAGE:SECTOR:PAGES`` one extent of a swap file.

    >>> parse_device("7,1+2048", 0).start_sector
    2048
    >>> parse_device("254,0@0:800:512@512:9000:100", 1).extents
    ((0, 800, 512), (512, 9000, 100))
    """
    match = _SPEC.fullmatch(spec.strip())
    if match is None:
        raise UsageError(
            f"{spec!r} is no swap area.",
            "Write MAJOR,MINOR of the disk, +SECTOR for the start of a partition,",
            "@PAGE:SECTOR:PAGES for each extent of a swap file; swaptrace record --dry-run prints it.",
        )
    major, minor, start, extents = match.groups()
    places = [tuple(int(number) for number in extent.split(":")) for extent in extents.split("@")[1:]]
    return SwapDevice(
        swap_type=swap_type,
        dev=device_number(int(major), int(minor)),
        kind="file" if places else "partition" if start else "disk",
        start_sector=int(start or 0),
        extents=tuple((page, sector, pages) for page, sector, pages in places),
    )


def format_device(device: SwapDevice) -> str:
    """Return the spec of ``device``.

    >>> format_device(SwapDevice(0, 7 << 20 | 1, start_sector=2048))
    '7,1+2048'
    """
    start = f"+{device.start_sector}" if device.start_sector else ""
    extents = "".join(f"@{page}:{sector}:{pages}" for page, sector, pages in device.extents)
    return f"{device.dev >> 20},{device.dev & 0xFFFFF}{start}{extents}"
