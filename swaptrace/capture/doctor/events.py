"""Which events this kernel has, under which names, with which fields."""

from __future__ import annotations

from swaptrace.capture.doctor.root import Check, Root, State
from swaptrace.capture.swaps import parse_swaps
from swaptrace.capture.symbols import ranges

__all__ = ["SEE_TRACEFS", "bios", "faults", "owners", "slab_names", "swap_items", "writeouts", "zram_bios"]

SEE_TRACEFS = "see tracefs"  # the fix of what follows from a closed tracefs
_WRITEOUTS = ("vmscan:mm_vmscan_write_folio", "vmscan:mm_vmscan_writepage")  # renamed in 5.18


def writeouts(root: Root) -> Check:
    """The event of a page that leaves memory: its name, and the fields that its format must have."""
    for name in _WRITEOUTS:
        if (text := root.event(name)) is not None:
            return _fields("writeouts", name, text, ("pfn", "reclaim_flags"))
    return _absent("writeouts", " or ".join(_WRITEOUTS), root, "nothing that is swapped out is seen")


def bios(root: Root) -> Check:
    """The event of a block request."""
    name = "block:block_bio_queue"
    text = root.event(name)
    if text is None:
        return _absent("bios", name, root, "no slot is seen")
    return _fields("bios", name, text, ("dev", "sector", "nr_sector", "rwbs"))


def faults(root: Root) -> Check:
    """Page faults: tracepoints on x86, software events of perf elsewhere."""
    name = "exceptions:page_fault_user"
    if root.event(name) is not None:
        return Check("faults", State.OK, f"{name}: addresses of swap-ins")
    if not root.x86:
        what = f"{root.machine} has no page-fault tracepoints: no addresses of swap-ins from tracefs"
        return Check("faults", State.WARN, what, "perf record -e major-faults -c 1 -d has them")
    return _absent("faults", name, root, "no addresses of swap-ins", State.WARN)


def owners(root: Root) -> Check:
    """The allocation of a page inside a fault: whose page it is."""
    name = "kmem:mm_page_alloc"
    text = root.event(name)
    if text is None:
        return _absent("owners", name, root, "no owners without BPF", State.WARN)
    return _fields("owners", name, text, ("pfn", "migratetype"))


def swap_items(root: Root) -> Check:
    """Counts by memory cgroup: they tell zero pages and zswap apart, where nothing is written."""
    name = "memcg:count_memcg_events"
    text = root.event(name)
    if text is not None:
        return _fields("memcg events", name, text, ("item",))
    if root.tracefs is None:
        return _absent("memcg events", name, root, "", State.WARN)
    what = f"no {name} (6.12 has none, 6.18 has): without BPF, zero pages and zswap stores look alike"
    return Check("memcg events", State.WARN, what, "BPF tells them apart by content")


def slab_names(root: Root) -> Check:
    """Frees of zsmalloc handles and zswap entries: exact slot frees on zram and zswap."""
    alloc, free = root.event("kmem:kmem_cache_alloc"), root.event("kmem:kmem_cache_free")
    if alloc is None or free is None:
        return _absent("slab events", "kmem:kmem_cache_alloc, kmem_cache_free", root, "no frees on zram", State.WARN)
    on_zram = any(path.startswith("/dev/zram") for path, *_ in parse_swaps(root.read("/proc/swaps") or "\n"))
    if on_zram and not ranges(["zs_malloc"], root.at("/proc/kallsyms")):  # calls are told apart by their callers
        what = "kallsyms does not tell where zsmalloc is: no frees on zram without BPF"
        return Check("slab events", State.WARN, what, "see kallsyms")
    named = [name for name, text in (("alloc", alloc), ("free", free)) if " name;" in text]
    how = f"names in {' and '.join(named)}" if named else "without cache names (before 6.1)"
    return Check("slab events", State.OK, f"kmem_cache_alloc and _free, {how}; callers tell the cache")


def zram_bios(root: Root) -> Check:
    """zram had its own entry point for pages, ``rw_page``, that no block event shows; measured absent in 6.12."""
    paths = [line.split()[0] for line in (root.read("/proc/swaps") or "").splitlines()[1:]]
    zram = [path for path in paths if path.startswith("/dev/zram")]
    if (0, 0) < root.version <= (6, 2) and zram:
        what = f"Linux {root.release} swaps to {zram[0]} without block events: no slots from tracepoints"
        state = State.NO if len(zram) == len(paths) else State.WARN
        return Check("zram bios", state, what, "the BPF recorder, or a kernel from 6.3 on")
    return Check("zram bios", State.OK, "swap areas are written through block events")


def _fields(check: str, name: str, text: str, wanted: tuple[str, ...]) -> Check:
    missing = [each for each in wanted if not any(_declares(line, each) for line in text.splitlines())]
    if missing:
        return Check(
            check, State.NO, f"{name} has no field {', '.join(missing)}", "report it: this kernel is new to us"
        )
    return Check(check, State.OK, name)


def _declares(line: str, field: str) -> bool:
    name = line.strip().removeprefix("field:").partition(";")[0].split()
    return line.strip().startswith("field:") and bool(name) and name[-1].partition("[")[0] == field


def _absent(check: str, name: str, root: Root, cost: str, state: State = State.NO) -> Check:
    if root.tracefs is None:
        return Check(check, state, f"{name}: unknown without tracefs", SEE_TRACEFS)
    return Check(check, state, f"this kernel has no {name}, or hides it: {cost}", "sudo, or CONFIG_EVENT_TRACING")
