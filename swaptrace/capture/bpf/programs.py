"""Load the programs of the BPF tier on this kernel: the ones it has, with the settings it needs."""

from __future__ import annotations

import platform
import struct
from dataclasses import dataclass
from pathlib import Path

from swaptrace.capture.bpf.bases import Bases, find_bases
from swaptrace.capture.bpf.kallsyms import KernelText
from swaptrace.capture.bpf.libbpf import BpfObject, LoadError, kernel_tracepoints

__all__ = ["CONTENT_RING", "OBJECT", "Programs", "Settings", "load_programs", "text_ranges"]

OBJECT = Path(__file__).with_name("swaptrace.bpf.o")
CONTENT_RING = 32 << 20  # 8,160 pages: about a second of the compressors
_SAMPLED = 1 << 20  # distinct contents that are known to be handed out; beyond them some are again
_RAW = "raw_tp/"
_NOT_ATTACHED = ("read_symbols", "find_page_offset", "learn_folio")  # of bases.py
# Old kernels hand other arguments to these tracepoints: number of arguments -> program.
_SHAPES = {
    "block_bio_queue": {1: "bio_queue", 2: "bio_queue_2"},
    "kmem_cache_free": {3: "cache_free", 2: "cache_free_2"},
}
_NEEDED = (("mm_vmscan_write_folio", "mm_vmscan_writepage"), ("block_bio_queue",))
# The function that frees slots, newest name first, and its programs: fentry costs less, kprobes exist on more kernels.
_FREES = (
    ("swap_entries_free", ("fentry_entries_free", "kprobe_entries_free")),
    ("swap_entry_range_free", ("fentry_entry_range_free", "kprobe_entry_range_free")),
    ("swap_range_free", ("fentry_range_free", "kprobe_range_free")),
)
_LOAD, _WRITEBACK, _REPLACE = 1, 2, 3  # enum reason of swaptrace.bpf.c
_REASONS = (
    ("zswap_load", _LOAD),
    ("zswap_writeback_entry", _WRITEBACK),
    ("shrink_memcg_cb", _WRITEBACK),  # into which zswap_writeback_entry may be inlined
    ("zswap_store", _REPLACE),
    ("recompress_store", _REPLACE),  # zram moves the object of a slot that stays in use
    ("zram_recompress", _REPLACE),
    ("writeback_store", _REPLACE),
    ("zram_writeback_slots", _REPLACE),
)
_ZRAM_MOVES = ("recompress_store", "writeback_store")
_ZSWAP_TEXT = (  # mm/zswap.c; a prefix would take in zswap_writeback_write of mm/memcontrol.c
    "zswap_entry_free",
    "zswap_store",
    "zswap_load",
    "zswap_invalidate",
    "zswap_swapoff",
    "zswap_decompress",
    "shrink_memcg_cb",
)


@dataclass(frozen=True)
class Settings:
    """What to record: bytes of the ring, content hashes and their 128-bit salt (None: plain XXH64), frees of slots in
    the kernel's own function where it allows that; of one in ``sample`` contents the bytes, too, for their sizes."""

    ring_bytes: int
    hash: bool = True
    salt: bytes | None = None
    frees: bool = True
    sample: int = 0


@dataclass(frozen=True)
class Programs:
    """Loaded programs, not yet attached. ``frees``: the program that sees slots freed, if any; ``refused`` is why not;
    ``zero_events``: the kernel tells of zero pages that come in; ``handles``: frees of zsmalloc handles are seen."""

    object: BpfObject
    bases: Bases
    attach: tuple[str, ...]
    missing: tuple[str, ...]
    frees: str
    refused: str
    zero_events: bool
    handles: bool

    def start(self) -> None:
        """Attach: from here on everything is recorded. Raises :class:`LoadError`."""
        for name in self.attach:
            error = self.object.attach(name)
            if error:
                raise LoadError(error, self.object.section(name))


def load_programs(settings: Settings, path: Path = OBJECT) -> Programs:
    """Return the programs, loaded for this kernel. The caller closes ``object``.

    A kernel that refuses to watch the function that frees slots is asked again without. Errors: :class:`LoadError`.
    """
    text = KernelText.read()
    refused = "this kernel has no function that is known to free slots"
    tries = [*(_free_programs(text) if settings.frees else ()), ""]
    for frees in tries:
        if not frees:
            break
        try:
            loaded = _load(settings, path, text, frees, "")
        except LoadError as error:
            refused = f"{frees.split('_')[0]}: {error.strerror}"
            continue
        error_number = loaded.object.attach(frees)  # a kprobe is refused only now
        if not error_number:
            return loaded
        refused = f"{frees.split('_')[0]}: {LoadError(error_number, frees).strerror}"
        loaded.object.close()
    return _load(settings, path, text, "", refused)


def _free_programs(text: KernelText) -> tuple[str, ...]:
    return next((programs for function, programs in _FREES if function in text), ())


def _load(settings: Settings, path: Path, text: KernelText, frees: str, refused: str) -> Programs:
    program = BpfObject(path)
    try:
        chosen, missing = _choose(program)
        for name in program.programs:
            program.want(name, name in (*chosen, *_NOT_ATTACHED, frees))
        program.resize("records", settings.ring_bytes)
        if settings.sample:
            program.resize("contents", CONTENT_RING)
            program.resize("sampled", _SAMPLED)
        ranges = text_ranges(text)
        program.set_constants({**_constants(settings, text, bool(frees)), **ranges})
        program.load()
        bases = find_bases(program)
        program.write("page_offset", bases.page_offset)
        program.write("vmemmap", bases.vmemmap)
        handles = any(struct.unpack("=Q", ranges[name])[0] for name in ("zs_end", "zram_end"))
        return Programs(program, bases, tuple(chosen), tuple(missing), frees, refused, "memcg_event" in chosen, handles)
    except BaseException:
        program.close()
        raise


def _choose(program: BpfObject) -> tuple[list[str], list[str]]:
    """Return the programs on raw tracepoints that this kernel has, and the tracepoints that it lacks."""
    places = {
        name: program.section(name).removeprefix(_RAW)
        for name in program.programs
        if program.section(name).startswith(_RAW) and name not in _NOT_ATTACHED
    }
    exist = kernel_tracepoints(set(places.values()))
    for names in _NEEDED:
        if not any(name in exist for name in names):
            raise LoadError(2, names[0])
    chosen = [
        name
        for name, place in places.items()
        if place in exist and _SHAPES.get(place, {exist[place]: name}).get(exist[place]) == name
    ]
    old_name = ("mm_vmscan_writepage",)  # replaced, not missing
    return chosen, sorted(set(places.values()) - exist.keys() - set(old_name))


def _constants(settings: Settings, text: KernelText, frees: bool) -> dict[str, bytes]:
    salt = settings.salt or bytes(16)
    flags = {
        "want_hash": settings.hash,
        "want_fault": platform.machine() == "x86_64",  # its swap entries are decoded
        "salted": settings.salt is not None,
        "exact_frees": frees,
        "five_levels": _five_levels(),
        "zram_major": _major("zram"),
        "zram_moves": any(name in text for name in _ZRAM_MOVES),
    }
    words = {name: struct.pack("=I", int(value)) for name, value in flags.items()}
    return {**words, "salt0": salt[:8], "salt1": salt[8:], "sample": struct.pack("=Q", settings.sample)}


def text_ranges(text: KernelText) -> dict[str, bytes]:
    """Return the constants that say where zsmalloc, zram and zswap are in the kernel's text."""
    out = {}
    for name, functions in (("zs", ("zs_*",)), ("zram", ("zram_*",)), ("zswap", _ZSWAP_TEXT)):
        start, end = text.around(*functions)
        out[f"{name}_start"], out[f"{name}_end"] = struct.pack("=Q", start), struct.pack("=Q", end)
    ranges = [(*found, reason) for function, reason in _REASONS if (found := text.of(function)) is not None]
    out["reasons"] = b"".join(struct.pack("=QQII", start, end, reason, 0) for start, end, reason in ranges)
    return out


def _five_levels() -> bool:
    """Whether page tables have five levels (the CPU can, and the kernel did not switch it off)."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return "la57" in line.split()
    return False


def _major(driver: str) -> int:
    for line in Path("/proc/devices").read_text().splitlines():
        number, _, name = line.strip().partition(" ")
        if name == driver and number.isdigit():
            return int(number)
    return 0
