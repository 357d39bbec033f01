"""The enabled swap areas: /proc/swaps, with the place of each on the device that block events name.

The lines of /proc/swaps are in the order of the kernel's swap types (swap_start() of mm/swapfile.c walks
swap_info[] by index); swapon takes the lowest free type, and types freed by swapoff are left out. So the
number of the line is the type unless an area of a lower type was disabled and not replaced; nothing in /proc
tells that hole, and the number of the line is as good a key within one recording.
"""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

from swaptrace.capture.fiemap import file_extents, swap_extents
from swaptrace.model.errors import CapabilityError
from swaptrace.model.meta import SwapDevice

__all__ = ["device_number", "disk_of", "parse_swaps", "read_swaps"]

PROC_SWAPS = Path("/proc/swaps")
_BLOCK = Path("/sys/dev/block")
_DELETED = " (deleted)"


def device_number(major: int, minor: int) -> int:
    """Return ``major << 20 | minor``, the kernel's dev_t as trace events print it."""
    return major << 20 | minor


def parse_swaps(text: str) -> list[tuple[str, str, int, int]]:
    r"""Return ``(path, type, pages, priority)`` of each line of /proc/swaps; ``pages`` counts the header page
    too.

    The file gives the usable size in KiB, without the header, and writes blanks of a path in octal.

    >>> parse_swaps("Filename Type Size Used Priority\n/swap\\040file file 1020 0 -2\n")
    [('/swap file', 'file', 256, -2)]
    """
    areas = []
    for line in text.splitlines()[1:]:
        path, kind, size, _, priority = line.rsplit(maxsplit=4)
        name = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), path)
        areas.append((name, kind, int(size) // 4 + 1, int(priority)))
    return areas


def disk_of(major: int, minor: int) -> tuple[int, int, str]:
    """Return the whole disk of a block device: its number, the device's first sector there, and the device's
    kernel name.

    Block events name the whole disk and count sectors from its start (docs/recording.md: block_bio_queue fires
    after the partition was resolved). Raises :class:`OSError` where sysfs does not know the device.
    """
    here = (_BLOCK / f"{major}:{minor}").resolve(strict=True)
    if not (here / "partition").exists():
        return device_number(major, minor), 0, here.name
    disk_major, disk_minor = (int(part) for part in (here.parent / "dev").read_text().split(":"))
    return device_number(disk_major, disk_minor), int((here / "start").read_text()), here.name


def read_swaps(proc_swaps: Path = PROC_SWAPS) -> tuple[tuple[SwapDevice, ...], tuple[str, ...]]:
    """Return the enabled swap areas in /proc/swaps order, and notes on those whose slots cannot be resolved.

    An area without a known place keeps its line (its swap type counts) with ``dev`` 0; a swap file whose
    extents may not be read has none.
    """
    devices: list[SwapDevice] = []
    notes: list[str] = []
    text = proc_swaps.read_text(errors="backslashreplace")
    for swap_type, (path, kind, pages, priority) in enumerate(parse_swaps(text)):
        device = SwapDevice(swap_type, 0, path, "file" if kind == "file" else "disk", pages, priority)
        try:
            device, problem = _file(device) if kind == "file" else (_block(device), "")
        except (OSError, CapabilityError) as error:
            problem = error.why if isinstance(error, CapabilityError) else f"{error.strerror or error}."
        devices.append(device)
        if problem:
            notes.append(f"{path}: the slots of this swap area are not recorded. {problem}")
    return tuple(devices), tuple(notes)


def _block(device: SwapDevice) -> SwapDevice:
    number = os.stat(device.path).st_rdev
    dev, start, name = disk_of(os.major(number), os.minor(number))
    kind = "zram" if name.startswith("zram") else "partition" if start else "disk"
    return dataclasses.replace(device, dev=dev, kind=kind, start_sector=start)


def _file(device: SwapDevice) -> tuple[SwapDevice, str]:
    if device.path.endswith(_DELETED):
        raise CapabilityError(device.path, "The file was deleted while in use.")
    number = os.stat(device.path).st_dev
    if os.major(number) == 0:  # an anonymous device: btrfs, NFS, overlayfs; FIEMAP addresses are no sectors there
        raise CapabilityError(device.path, "Its file system does not sit on one block device.")
    dev, start, _ = disk_of(os.major(number), os.minor(number))
    device = dataclasses.replace(device, dev=dev)
    try:
        return dataclasses.replace(device, extents=swap_extents(file_extents(device.path), start)), ""
    except PermissionError:
        return device, "Its extents are not readable: root is needed."
