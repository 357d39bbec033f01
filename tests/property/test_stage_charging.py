"""Charges of shared content by memory cgroup, against dicts and fractions, cut anywhere, in both engines."""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.kernels.loop import Engine, using_engine
from swaptrace.stages.charging import Charging
from tests.engines import ENGINES
from tests.oracle.charges import whole

MEMCGS = (7, 3, 2**63, 11)
TYPES = tuple(enumerate(("i8", "u8", "i8", "i8")))
Change = tuple[int, int, int, int]


def changes_of(picks: list[tuple[int, int, int]]) -> list[Change]:
    """Return (content, memcg, +-1 or 0, bytes) changes: what is given back was taken."""
    taken: Counter[tuple[int, int]] = Counter()
    out = []
    for n, (content, who, give) in enumerate(picks):
        key = content, MEMCGS[who]
        by = -1 if give == 1 and taken[key] else 1
        if give == 2 and any(taken[content, memcg] for memcg in MEMCGS):  # all at once
            by = 0
            for memcg in MEMCGS:
                taken[content, memcg] = 0
        taken[key] += by
        out.append((*key, by, 100 + n))
    return out


def slow(changes: list[Change]) -> tuple[list[tuple[dict[int, int], dict[int, int]]], int]:
    """Return (now, peak) of first, split and all, recomputed from nothing after each change, and most stranded."""
    most = 0
    held: dict[int, Counter[int]] = defaultdict(Counter)
    first: dict[int, int] = {}
    size: dict[int, int] = {}
    peaks: list[dict[int, Fraction]] = [defaultdict(Fraction) for _ in range(3)]
    now: list[dict[int, Fraction]] = []
    for content, memcg, by, of in changes:
        if not held[content]:
            first[content], size[content] = memcg, of
        held[content][memcg] += by
        held[content] += Counter()  # forget the zeros
        if by == 0:
            held[content].clear()
        most = max(most, sum(size[c] for c, owners in held.items() if owners and first[c] not in owners))
        now = [defaultdict(Fraction) for _ in range(3)]
        for c, owners in held.items():
            if owners:
                now[0][first[c]] += size[c]
            for owner, refs in owners.items():
                now[1][owner] += Fraction(size[c] * refs, owners.total())
                now[2][owner] += size[c]
        for rule in range(3):
            for owner, charge in now[rule].items():
                peaks[rule][owner] = max(peaks[rule][owner], charge)
    rules = [({k: whole(v) for k, v in n.items()}, {k: whole(v) for k, v in p.items()})
             for n, p in zip(now, peaks, strict=True)]  # fmt: skip
    return rules, most


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=40, deadline=None)
@given(
    picks=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=80),
    cut=st.integers(0, 80),
)
def test_charges_are_those_recomputed_after_each_change(
    engine: Engine, picks: list[tuple[int, int, int]], cut: int
) -> None:
    changes = changes_of(picks)
    with using_engine(engine):
        charging = Charging()
        for part in (changes[:cut], changes[cut:]):
            content, memcg, by, size = (np.array([c[k] for c in part], t) for k, t in TYPES)
            charging.feed(content, memcg, by, size)
        found = [charging.first(), charging.split(), charging.all()]
    rules, stranded = slow(changes)
    assert dict(charging.figures())["dedup.charges.stranded_bytes_peak"] == stranded
    for (now, peak), charges in zip(rules, found, strict=True):
        assert near({k: v for k, v in charges.now.items() if v}, now)
        assert near({k: v for k, v in charges.peak.items() if v}, peak)


def near(found: dict[int, int], expected: dict[int, int]) -> bool:
    """Return whether two charges agree to a byte: a split may lie between two."""
    return all(abs(found.get(k, 0) - expected.get(k, 0)) <= 1 for k in {*found, *expected})


@pytest.mark.parametrize("engine", ENGINES)
def test_a_half_that_sums_of_doubles_miss_is_rounded_up(engine: Engine) -> None:
    memcg, content = [1, 2, 1, 1, 1, 3, 1, 2, 4], [2, 3, 3, 1, 2, 3, 0, 3, 1]
    by, size = [1, 1, 1, 1, 1, 1, 1, -1, 1], np.arange(100, 109)
    with using_engine(engine):
        charging = Charging()
        charging.feed(np.array(content), np.array(memcg, np.uint64), np.array(by), size)
    assert charging.split().peak == {1: 360, 2: 101, 3: 51, 4: 52}  # 359 1/2, 101, 50 1/2, 51 1/2
