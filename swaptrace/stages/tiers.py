"""Swap tiers: several devices from fast to slow, filled from the top, with optional demotion of what lies idle.

Rule. The rule of :mod:`swaptrace.kernels.tiering` says in which tier a block is. Each tier is a device of its own with
the allocator of :mod:`swaptrace.kernels.clusters`, on the CPU of the op. Under a layout whose swap entries are physical
slots (direct), an object takes its slot when it begins and gives it back at its end (dedup between them is refused:
which tier has an entry and which its content would be two questions); everywhere else a block takes its slot when it is
stored, keeps it when it is stored over in place, and gives it back when it dies. Where only some swap entries are
slots, each object does as its own entry says. Every store writes a page and every fetch reads one in the tier where the
block is; a page that moves is read in the old tier and written in the new one, after what the op itself does. Tiers lie
behind one another on one address line, so requests are counted per tier and across them alike.

A page that moves costs a virtual layout one update of its entry and a new slot (layouts/moves.py, in runs of one page);
an entry that is a slot would have to be found in the page tables first, so demotion is refused where there are such.

Source: swap tiers, 20260527062247.3440692-1-youngjun.park@lge.com (tiers are ranges of priorities, memory.swap.tiers
selects them per cgroup, no demotion yet); one table update moves a page below virtual entries: Nhat Pham, linux-mm
2026-04-11.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from swaptrace.kernels.clusters import CLUSTER, PhysicalClusters
from swaptrace.kernels.mapped import MappedClusters, per_op
from swaptrace.kernels.places import turns
from swaptrace.kernels.reshape import latest
from swaptrace.kernels.scans import ScannedClusters
from swaptrace.kernels.tables import grown
from swaptrace.kernels.tiering import Act, Acts, Tiering
from swaptrace.model.component import (
    PAGE,
    PREFER,
    Account,
    Layout,
    Param,
    Role,
    Space,
    Stage,
    bytes_or_share,
    time_param,
)
from swaptrace.model.errors import UsageError
from swaptrace.model.ledger import Ledger
from swaptrace.model.ops import Backing, DeviceWrites, Op, Ops, Placement, Scan
from swaptrace.stages.slots import MAX_CPUS

__all__ = ["MOST_TIERS", "Tiers"]

MOST_TIERS = 4  # CONFIG_NR_SWAP_TIERS of the series
_LEAST_SLOTS = 2  # the header and one more
_MOST_SLOTS = 1 << 31


def _sizes(text: str) -> tuple[float | int, ...]:
    """Return bytes (int) or shares of the recorded device (float) per tier, from the top."""
    parts = text.split("/")
    if not 2 <= len(parts) <= MOST_TIERS:
        raise UsageError(
            f"not 2 to {MOST_TIERS} tiers.", "They stand from the fastest to the slowest.", "For example 25%/75%."
        )
    return tuple(map(bytes_or_share, parts))


def _masks(text: str) -> dict[int, int]:
    """Return the tiers that memory cgroups may use, as bits, from ``7@2/9@12``."""
    masks: dict[int, int] = {}
    if text == "all":
        return masks
    for part in text.split("/"):
        memcg, at, tiers = part.partition("@")
        if not (memcg.isdigit() and at and tiers and set(tiers) <= set("1234")):
            raise UsageError(
                f"{part!r} is not CGROUP@TIERS.", "A cgroup's id, and the digits of its tiers.", "For example 7@2/9@12."
            )
        if int(memcg) in masks:
            raise UsageError(f"cgroup {int(memcg)} is given twice.", "", "Write all its tiers once, as in 7@12.")
        masks[int(memcg)] = sum(1 << int(tier) - 1 for tier in set(tiers))
    return masks


class Tiers(Stage):
    """Devices from fast to slow."""

    name = "tiers"
    summary = "several devices from fast to slow, filled from the top"
    role = Role.PLACEMENT
    over_ftl = False
    gives_entries = True
    under_mixed = True
    key_params = ("sizes",)
    params = (
        Param(
            "sizes",
            "25%/75%",
            "size of each tier from the top, in bytes or shares of the device",
            _sizes,
            "sizes",
            ("10%/90%", "20%/25%/75%"),
        ),
        Param(
            "memcg",
            "all",
            "tiers that cgroups may use, by id: 7@2/9@12 (others: all)",
            _masks,
            "ids@tiers",
            ("1@2/2@12", "1@12/2@2/3@21"),
        ),
        time_param("demote", "off", "a page untouched for so long moves a tier down", ("off", 0), 1, ("1us", "5us")),
        PREFER,
    )
    columns = ("memcg",)
    assumptions = (
        "Every page is an order-0 allocation.",
        "The memory cgroup of a page is that of its latest writeout, also when zswap writes it back later.",
        "No promotion; demotion happens at the next op that touches a tier.",
    )
    references = ("20260527062247.3440692-1-youngjun.park@lge.com",)

    def __init__(self, sizes: tuple[float | int, ...], memcg: dict[int, int], demote: int, prefer: bool) -> None:
        self._sizes, self._masks, self._age, self._spread = sizes, memcg, demote, prefer
        self.moves = demote > 0
        beyond = [m for m in memcg.values() if m >> len(sizes)]
        if beyond:
            raise UsageError(
                f"tiers: memcg names a tier that does not exist; there are {len(sizes)}.", "", "Add its size to sizes=."
            )
        self._unmet = set(memcg)  # cgroups that the trace has not shown so far
        self._address: NDArray[np.int64] = np.full(0, -1, np.int64)  # by block
        self._entry: NDArray[np.int64] = np.full(0, -1, np.int64)  # by block: whose it is, if the layout asks
        self._memcg: NDArray[np.uint64] = np.zeros(0, np.uint64)  # by handle: who wrote it out last, if masks ask

    def start(self, space: Space, ledger: Ledger, layout: Layout, above: Stage | None) -> None:
        """Begin a replay."""
        if self._age and layout.direct:
            raise UsageError(
                f"tiers: demote= cannot act on {layout.name}.",
                "A direct layout finds the owners of a slot only by a scan of all page tables.",
                "Leave it out, or choose a virtual layout.",
            )
        self._ledger, self._direct, self._asks = ledger, layout.direct, layout.scan_asks_owners
        slots = [int(size * space.slots) if isinstance(size, float) else size // PAGE for size in self._sizes]
        if min(slots) < _LEAST_SLOTS:
            raise UsageError(
                f"tiers: a tier has {min(slots)} slots.",
                f"The recording had {space.slots} slots; the first of each tier is its header.",
                "Give sizes= in bytes, as in 64MiB/1GiB.",
            )
        if sum(slots) > _MOST_SLOTS:
            raise UsageError(
                "tiers: all tiers together have more than 8TiB.",
                "Addresses on a replayed device have 31 bits, in pages.",
                "Give smaller sizes=.",
            )
        self._tiers = [
            ScannedClusters(
                PhysicalClusters(size, MAX_CPUS, spread=self._spread), layout.scan_asks_owners, layout.entries_per_line
            )
            for size in slots
        ]
        self._mapped = [MappedClusters(-(-size // CLUSTER)) for size in slots]
        self._bases = np.cumsum([0, *slots[:-1]])
        self.pages = sum(slots)
        self._tiering = Tiering([size - 1 for size in slots], self._age)
        self._all = (1 << len(slots)) - 1

    def feed(self, ops: Ops) -> Ops:
        """Place the stores, move what is idle, and turn all of it into device traffic."""
        at_entry = self._direct and not ops.shared
        who = turns(ops, at_entry)
        stored = ops.birth if at_entry else ops.stored_at
        if ops.mapped is not None:
            stored = np.where(ops.mapped, ops.birth, stored)
        acts = self._tiering.feed(
            ops.ts, who.gives, who.takes, ops.store, ops.fetch, who.drop, ops.block, self._allowed(ops), stored
        )
        address, clusters, scan = self._place(ops, acts)
        self._account(acts, address)
        slots = who.takes.view(np.int8) - who.gives.view(np.int8)
        placement = Placement(slots, clusters, who.takes, who.gives, scan=scan)
        if at_entry:
            ops.entries = placement
        else:
            ops.placement = placement
            moved = np.flatnonzero(acts.act == Act.ARRIVE)
            if len(moved):
                none = np.empty(0, np.int64)
                ops.placement.moves = True
                ops.writes = DeviceWrites(
                    acts.at[moved].astype(np.int64), address[moved], acts.block[moved], np.ones(len(moved), np.bool_),
                    none, none,
                )  # fmt: skip
        ops.backing |= (ops.backing == Backing.PENDING) * np.uint8(Backing.DISK)
        return ops

    def warnings(self) -> Iterator[str]:
        """Name the cgroups of ``memcg=`` that placed nothing."""
        for memcg in sorted(self._unmet):
            yield f"tiers:memcg={memcg}: no page of this memory cgroup is placed in the trace"

    def _allowed(self, ops: Ops) -> NDArray[np.uint8]:
        """Return for each op the tiers that its cgroup may use, as bits."""
        allowed = np.full(len(ops), self._all, np.uint8)
        if self._masks:
            owner = self._memcgs(ops)
            for memcg, mask in self._masks.items():
                its = np.flatnonzero(owner == memcg)
                allowed[its] = mask
                if len(its):
                    self._unmet.discard(memcg)
        return allowed

    def _memcgs(self, ops: Ops) -> NDArray[np.uint64]:
        """Return each op's cgroup: at a later writeback that which wrote the page out, not that of the op before."""
        memcg: NDArray[np.uint64] = ops.columns["memcg"]
        self._memcg = grown(self._memcg, int(ops.handle.max()) + 1, 0)
        back, out = np.flatnonzero(ops.op == Op.WRITEBACK), np.flatnonzero(ops.op == Op.OUT)
        if len(back):
            owned = ops.before(memcg, self._memcg, back)
            memcg = memcg.copy()
            memcg[back] = owned
        self._memcg[ops.handle[out]] = memcg[out]  # in time order: the last one stays
        return memcg

    def _place(self, ops: Ops, acts: Acts) -> tuple[NDArray[np.int64], NDArray[np.int32], Scan]:
        """Return the address of each act, the change of used clusters per op, and what was passed over."""
        address = np.empty(len(acts.at), np.int64)
        clusters = np.zeros(len(ops), np.int32)  # an op may move many pages
        giving = (acts.act == Act.GIVE) | (acts.act == Act.LEAVE)
        taking = (acts.act == Act.TAKE) | (acts.act == Act.ARRIVE)
        exchanging = np.flatnonzero(giving | taking)
        tier_of = acts.tier[exchanging]
        owner, scans = self._owners(ops, acts), []
        mapped = np.zeros(len(ops), np.int32)
        for number, tier in enumerate(self._tiers):
            here = exchanging[tier_of == number]
            at, gives = acts.at[here], giving[here]
            whose = None if owner is None else owner[here]
            local, used, scan = tier.feed(gives, acts.block[here], ops.cpu[at], whose)
            address[here] = local + self._bases[number]
            scan.at = at[scan.at].astype(np.int64)
            scans.append(scan)
            clusters += per_op(at, used, len(ops))
            self._ledger.hold(f"tiers.{number + 1}.pages", _balance(at, gives, len(ops)))
            if ops.mapped is not None:
                maps = taking[here] & ops.mapped[at]
                mapped += per_op(at, self._mapped[number].feed(local // CLUSTER, used, maps), len(ops))
        if ops.mapped is not None:
            ops.mapped_clusters = mapped
        rest = np.flatnonzero(~(giving | taking))
        before = acts.since[rest]
        self._address = grown(self._address, int(ops.block.max()) + 1, -1)
        address[rest] = np.where(before >= 0, address[before], self._address[acts.block[rest]])
        took = np.flatnonzero(taking)
        self._address[acts.block[took]] = address[took]  # in time order: the last one stays
        return address, clusters, Scan.joined(scans)

    def _owners(self, ops: Ops, acts: Acts) -> NDArray[np.int64] | None:
        """Return whose swap entry each act's block is, if the layout asks."""
        if not self._asks or ops.shared or ops.entry is None:
            return None
        born = acts.act == Act.TAKE
        self._entry = grown(self._entry, int(ops.block.max()) + 1, -1)
        at = latest(born, acts.block)
        owner = np.where(at >= 0, ops.entry[acts.at[np.maximum(at, 0)]], self._entry[acts.block])
        owner[born] = ops.entry[acts.at[born]]
        self._entry[acts.block[born]] = owner[born]  # in time order: the last one stays
        return owner

    def _account(self, acts: Acts, address: NDArray[np.int64]) -> None:
        ledger = self._ledger
        writes = (acts.act == Act.STORE) | (acts.act == Act.ARRIVE)
        reads = (acts.act == Act.FETCH) | (acts.act == Act.LEAVE)
        ledger.written.extend(address[writes])
        ledger.read.extend(address[reads])
        ledger.count("tiers.overflow_pages", acts.overflows)
        ledger.count("tiers.demoted_pages", int(np.count_nonzero(acts.act == Act.ARRIVE)))
        for number in range(len(self._tiers)):
            here = acts.tier == number
            for name, chosen in (("written", writes), ("read", reads)):
                ledger.count(f"tiers.{number + 1}.{name}", int(np.count_nonzero(here & chosen)))

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield what each tier held, wrote and read, and what did not fit or moved."""
        counts = self._ledger.counts
        yield "tiers.overflow_pages", counts["tiers.overflow_pages"]
        yield "tiers.demoted_pages", counts["tiers.demoted_pages"]
        for number in range(1, len(self._tiers) + 1):
            gauge = self._ledger.gauges.get(f"tiers.{number}.pages")
            yield f"tiers.{number}.pages_peak", gauge.peak if gauge else 0
            yield f"tiers.{number}.written_bytes", PAGE * counts[f"tiers.{number}.written"]
            yield f"tiers.{number}.read_bytes", PAGE * counts[f"tiers.{number}.read"]

    def account(self) -> Account:
        """A page that moves down is written again."""
        return Account(added=self._ledger.counts["tiers.demoted_pages"])


def _balance(at: NDArray[np.int32], gives: NDArray[np.bool_], ops: int) -> NDArray[np.int64]:
    """Return for each op how many slots it takes more than it gives back."""
    balance: NDArray[np.int64] = np.bincount(at[~gives], minlength=ops) - np.bincount(at[gives], minlength=ops)
    return balance
