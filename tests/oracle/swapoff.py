"""Twin of `swaptrace.replay.census` and `swaptrace.replay.swapoff`: dicts that are walked at one moment."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from tests.oracle.books import SlowOp
from tests.oracle.layouts import SlowLayout
from tests.oracle.stages import SlowStage
from tests.oracle.stages.flash import SlowFlash


@dataclass(eq=False)
class Entry:
    """One live entry: in ``block``, or ``elided``: nothing below holds its data."""

    elided: bool
    block: Hashable
    memcg: int
    ptes: int
    mapped: bool
    cached: bool = False


class SlowCensus:
    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.place: dict[Hashable, str] = {}

    def step(self, op: SlowOp) -> None:
        if op.name == "FREE":
            del self.entries[op.obj]
        elif op.out:
            ptes = 1 if op.name == "NEW" else self.entries[op.obj].ptes
            self.entries[op.obj] = Entry(op.backing in ("ZERO", "SAME"), op.block, op.memcg, ptes, op.mapped)
        elif op.name in ("IN", "HIT"):
            self.entries[op.obj].cached = True
            if op.name == "IN" and op.backing == "ZSWAP" and op.obj not in op.pool:
                self.entries[op.obj].elided = True  # the swap cache alone has it
        elif op.name in ("DUP", "PUT"):
            self.entries[op.obj].ptes += 1 if op.name == "DUP" else -1
        stored = op.out and op.backing not in ("ZERO", "SAME", "SHARED")
        if stored or (op.name == "WRITEBACK" and op.backing != "SHARED"):
            self.place[op.block] = "ZSWAP" if op.backing == "ZSWAP_SHARED" else op.backing

    def figures(
        self, layout: SlowLayout, virtual_swapoff: bool, stages: list[SlowStage], memcg: int | None, span: int | None
    ) -> dict[str, float]:
        flash = next((stage for stage in stages if isinstance(stage, SlowFlash)), None)
        rows = [entry for entry in self.entries.values() if memcg is None or entry.memcg == memcg]

        def where(entry: Entry) -> str:
            if entry.elided:
                return "nowhere"
            if flash is not None and self.place[entry.block] in ("BUFFER", "DISK"):
                return "BUFFER" if flash.units[entry.block] in flash.log.buffer else "DISK"
            return self.place[entry.block]

        def fetch(entries: list[Entry]) -> dict[str, float]:
            read: set[Hashable] = set()
            unpacked: set[Hashable] = set()
            seen: set[Hashable] = set()
            copied = 0
            for entry in entries:
                place = where(entry)
                if place == "nowhere":
                    continue
                copied += entry.block in seen
                seen.add(entry.block)
                if place in ("DISK", "RAM"):
                    read.add(entry.block)
                if place == "ZSWAP":
                    unpacked.add(entry.block)
            return {"pages_read": len(read), "pages_decompressed": len(unpacked), "pages_copied": copied}

        def left(entries: list[Entry]) -> dict[str, float]:
            return {"left_entries": len(entries), "left_faults": sum(entry.ptes for entry in entries)}

        device = [entry for entry in rows if where(entry) in ("DISK", "RAM")]
        pool = [entry for entry in rows if where(entry) == "ZSWAP"]
        cache = [entry for entry in rows if entry.cached and where(entry) != "nowhere"]
        slots = [entry for entry in rows if layout.direct or entry.mapped]
        virtual = [entry for entry in rows if entry not in slots]
        behind = [entry for entry in virtual if entry in device]

        def walk(entries: list[Entry]) -> dict[str, float]:
            found: dict[str, float] = {"ptes_updated": sum(entry.ptes for entry in entries)}
            return found if span is None else found | {"ptes_scanned": span}

        def bring_back(entries: list[Entry]) -> dict[str, float]:
            return walk(entries) | {"entries": len(entries)} | fetch(entries) | left([])

        no_walk: dict[str, float] = {"ptes_scanned": 0, "ptes_updated": 0}
        found = len(slots) + (len({entry.block for entry in behind}) if layout.rmap else len(virtual))
        vectors: dict[str, dict[str, float]] = {}
        walked = walk(slots) if layout.direct or layout.mixed else no_walk
        vectors["physical"] = walked | {"entries": found} | fetch(slots + behind) | left(behind)
        if layout.direct or layout.mixed:
            vectors["lazy"] = no_walk | {"entries": found} | fetch(slots + behind) | left(slots + behind)
        if virtual_swapoff:
            vectors["virtual"] = bring_back(virtual)
        if memcg is not None and (layout.direct or virtual_swapoff):
            vectors["pull_in"] = bring_back(rows)
        pages = len({entry.block for entry in pool})
        vectors["drop_cache"] = {"entries": len(cache)} | left(cache)
        vectors["drop_data"] = {"entries": len(pool), "pages_decompressed": pages, "pages_written": pages} | left(pool)
        return {f"swapoff.{name}.{part}": value for name, vector in vectors.items() for part, value in vector.items()}
