"""Twin of `swaptrace.stages.charging`: what each memory cgroup pays, content by content, in fractions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from fractions import Fraction
from math import floor

Shares = dict[tuple[str, int], Fraction]


def whole(charge: Fraction) -> int:
    """Whole bytes, halves up; what is below a half by less than sums of doubles may miss counts as one."""
    return floor(charge + Fraction(1, 2) + Fraction(1, 1 << 20))


class SlowCharges:
    def __init__(self) -> None:
        self.paid: dict[Hashable, Shares] = {}
        self.now: Shares = defaultdict(Fraction)
        self.peak: Shares = defaultdict(Fraction)
        self.memcgs: set[int] = set()

    def hold(self, content: Hashable, size: int, first: int, owners: Iterable[int]) -> None:
        """Say which memcgs have a reference to ``content`` now, one entry for each reference."""
        owners = list(owners)
        self.memcgs |= set(owners)
        shares: Shares = defaultdict(Fraction)
        if owners:
            shares["first", first] += size
            shares["stranded", 0] += size * (first not in owners)
        for owner in owners:
            shares["split", owner] += Fraction(size, len(owners))
            shares["all", owner] = Fraction(size)
        for key, share in self.paid.pop(content, {}).items():
            self.now[key] -= share
        for key, share in shares.items():
            self.now[key] += share
            self.peak[key] = max(self.peak[key], self.now[key])
        self.paid[content] = shares

    def figures(self) -> dict[str, float]:
        out: dict[str, float] = {"dedup.charges.memcgs": len(self.memcgs)}
        out["dedup.charges.stranded_bytes_peak"] = float(self.peak["stranded", 0])
        for rule in ("first", "split", "all"):
            peaks = [whole(charge) for (name, _), charge in self.peak.items() if name == rule]
            out[f"dedup.charges.{rule}_bytes_peak"] = max(peaks, default=0)
            if rule != "split":
                end = sum(charge for (name, _), charge in self.now.items() if name == rule)
                out[f"dedup.charges.{rule}_total_bytes_end"] = float(end)
        return out
