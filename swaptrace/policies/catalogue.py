"""The named policies: each isolates one mechanism. A new one is a line here; a new layout or stage is its own file."""

from __future__ import annotations

from dataclasses import dataclass

from swaptrace.layouts.direct import Direct
from swaptrace.layouts.recorded import Recorded
from swaptrace.layouts.stacked import Stacked
from swaptrace.layouts.swap_table import SwapTable
from swaptrace.layouts.vswap_module import VswapModule
from swaptrace.layouts.vswap_table import VswapTable
from swaptrace.layouts.vswap_v5 import VswapV3, VswapV5
from swaptrace.layouts.vswap_v6 import VswapV6
from swaptrace.model.component import Layout, Stage
from swaptrace.stages.dedup import Dedup
from swaptrace.stages.device import Device
from swaptrace.stages.flash import Flash
from swaptrace.stages.ftl import Ftl
from swaptrace.stages.ksm import Ksm
from swaptrace.stages.slots import Slots
from swaptrace.stages.tiers import Tiers
from swaptrace.stages.zero import Zero
from swaptrace.stages.zram import Zram
from swaptrace.stages.zswap import Zswap

__all__ = ["LAYOUTS", "NAMED", "STAGES", "Named"]

LAYOUTS: dict[str, type[Layout]] = {
    kind.name: kind
    for kind in (Direct, SwapTable, VswapV3, VswapV5, VswapV6, VswapTable, VswapModule, Stacked, Recorded)
}
# In path order: a stage that a user adds goes to its place here, behind those of earlier roles.
_STAGES: tuple[type[Stage], ...] = (Ksm, Zero, Dedup, Zswap, Device, Slots, Tiers, Zram, Flash, Ftl)
STAGES = {kind.name: kind for kind in _STAGES}


@dataclass(frozen=True)
class Named:
    """A named policy: its layout and path, each with the parameters that differ from the defaults, and one line that
    says which question it answers. ``references`` are those of the idea itself, besides those of its parts.
    """

    layout: str
    path: tuple[str, ...]
    summary: str
    references: tuple[str, ...] = ()


_IN_PLACE = ("zero", "slots", "ftl")
NAMED: dict[str, Named] = {
    # What is recorded, and direct layouts.
    "as-recorded": Named(
        "recorded", ("device", "ftl"), "the recorded device traffic itself: the baseline of write figures"
    ),
    "direct": Named(
        "direct",
        _IN_PLACE,
        "Linux 6.12 to 6.17, before the swap table: swap_map, swap_cgroup and zeromap arrays, xarrays",
    ),
    "swap-table-p1": Named(
        "swap-table:phase=p1",
        _IN_PLACE,
        "Linux 6.18: swap table phase I in place of the swap cache's xarray, arrays still there",
    ),
    "swap-table-p2": Named("swap-table:phase=p2", _IN_PLACE, "swap table phase II: all swap-ins through the cache"),
    "swap-table-p3": Named(
        "swap-table:phase=p3", _IN_PLACE, "swap table phase III: the count in the table, no swap_map"
    ),
    "swap-table": Named(
        "swap-table", _IN_PLACE, "today's kernel: direct physical slots, swap table phase IV (as posted in v5)"
    ),
    "swap-table+dedup": Named(
        "swap-table",
        ("zero", "dedup", "slots", "ftl"),
        "today's kernel on a device that stores equal contents once",
    ),
    "dedup-loose": Named(
        "swap-table",
        ("zero", "dedup:index=loose", "slots", "ftl"),
        "as swap-table+dedup, but the index keeps freed contents until they are cleaned",
    ),
    "zero-ro": Named(
        "swap-table",
        ("zero:ro=on", "slots", "ftl"),
        "today's kernel, zero pages mapped read-only instead of becoming swap",
    ),
    "ksm": Named(
        "swap-table", ("ksm", *_IN_PLACE), "today's kernel with pages merged in RAM by KSM before they are swapped"
    ),
    "zswap": Named(
        "swap-table",
        ("zero", "zswap", "slots", "ftl"),
        "today's kernel with zswap in front of the device; the pool is unlimited unless pool= says its size",
    ),
    "zswap+dedup": Named(
        "swap-table",
        ("zero", "dedup:scope=zswap", "zswap", "slots", "ftl"),
        "today's kernel with zswap whose pool holds equal contents once, for all swap devices",
    ),
    "zram": Named("swap-table", ("zero", "zram"), "today's phone: the swap table on a swap device in memory (zram)"),
    "tiers": Named(
        "swap-table", ("zero", "tiers"), "today's kernel with swap tiers: a fast device in front of a slow one"
    ),
    "flash-device": Named(
        "swap-table",
        ("zero", "flash", "ftl"),
        "today's kernel over a flash-friendly device, which buffers and maps its slots to erase blocks",
        ("aZW0voL4MmnMQlaR@yjaykim-PowerEdge-T330", "LWN 1072657"),
    ),
    # Virtual ones.
    "vswap-v3": Named(
        "vswap-v3", _IN_PLACE, "virtual swap space v3: 24-byte descriptors, a walk for each step, frees one by one"
    ),
    "vswap-v5": Named(
        "vswap-v5", _IN_PLACE, "virtual swap space v5: as v3, frees in batches that ask the cgroup of each entry"
    ),
    "vswap-v6": Named("vswap-v6", _IN_PLACE, "virtual swap space v6: steps combined, lookup cache, cache-only bit"),
    "vswap-v6+dedup": Named(
        "vswap-v6",
        ("zero", "dedup", "slots", "ftl"),
        "virtual swap space v6 on a device that stores equal contents once",
    ),
    "vswap-zswap": Named(
        "vswap-v6",
        ("zero", "zswap", "slots", "ftl"),
        "zswap inside vswap v6: a physical slot is taken only by writeback; the pool is unlimited unless pool= says",
    ),
    "vswap-zswap+dedup": Named(
        "vswap-v6",
        ("zero", "dedup:scope=zswap", "zswap", "slots", "ftl"),
        "zswap with dedup inside vswap v6: a shared page is written back once, for all its owners",
    ),
    "vswap-zram": Named(
        "vswap-v6",
        ("zero", "zram"),
        "vswap v6 on zram: each page is looked up twice, in the virtual space and in the table of zram",
    ),
    "flash-vswap": Named(
        "vswap-v6",
        ("zero", "flash", "ftl"),
        "flash-friendly buffering inside vswap v6: slots are taken as erase blocks are written, no second map",
    ),
    "flash-vswap+dedup": Named(
        "vswap-v6",
        ("zero", "dedup", "flash", "ftl"),
        "flash-friendly buffering inside vswap v6, equal contents once",
    ),
    "triple": Named(
        "stacked:upper=vswap-v6",
        ("zero", "flash", "ftl"),
        "virtual -> virtual -> physical: vswap v6 over a flash-friendly device with a map of its own",
    ),
    "vswap-table": Named(
        "vswap-table", _IN_PLACE, "virtual swap space, Swap Table Edition: swap table clusters with a table of backings"
    ),
    "vswap-table+dedup": Named(
        "vswap-table",
        ("zero", "dedup", "slots", "ftl"),
        "Swap Table Edition on a device that stores equal contents once",
    ),
    "vswap-tiers": Named(
        "vswap-table",
        ("zero", "tiers:demote=10s"),
        "tiers below the Swap Table Edition: pages that lie idle move down, one table update each",
    ),
    "vswap-module": Named(
        "vswap-module",
        _IN_PLACE,
        "virtual swap as a module next to ordinary swap: half of the allocations go past it, or chosen cgroups do",
        (
            "lkml.iu.edu/2603.3/04457",
            "CAMgjq7BO6SLZPfNXDh1F-7RAOqDAfqMQ4PM=qjAq1mCsWyD0LQ@mail.gmail.com",
            "20260220-swap-table-p4-v1-0-104795d19815@tencent.com",
        ),
    ),
}
