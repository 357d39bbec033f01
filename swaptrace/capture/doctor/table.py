"""All checks in the order in which they are shown, and what they mean for each tier."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from swaptrace.capture.doctor import bpf, events, rights, state, swap
from swaptrace.capture.doctor.root import Check, Root, State
from swaptrace.model.meta import Capability

__all__ = ["CHECKS", "Tier", "can_record", "examine", "tiers"]

_One = Callable[[Root], Check]
_Many = Callable[[Root], Iterable[Check]]

CHECKS: tuple[_One | _Many, ...] = (
    rights.privileges,
    rights.tracefs,
    rights.perf,
    rights.lockdown,
    rights.memlock,
    rights.snapshot,
    events.writeouts,
    events.bios,
    events.faults,
    events.owners,
    events.swap_items,
    events.slab_names,
    bpf.btf,
    bpf.libbpf,
    bpf.bpf_loads,
    bpf.bpf_recorder,
    bpf.kprobes,
    bpf.fentry,
    bpf.kallsyms,
    swap.page_size,
    swap.swap_areas,
    swap.swap_files,
    events.zram_bios,
    swap.zram,
    swap.zswap,
    swap.readahead,
    swap.thp,
    swap.cgroup,
    swap.swap_limits,
    state.clocks,
    state.others,
)


_NO_ZRAM = swap.Areas()


@dataclass(frozen=True)
class Tier:
    """A way to record: whether it is possible here, what it ``sees`` then, else what it ``lacks`` (names of checks) and
    ``why``."""

    name: str
    what: str
    possible: bool
    sees: tuple[Capability, ...]
    lacks: tuple[str, ...] = ()
    why: str = ""


def examine(root: Root) -> list[Check]:
    """Run every check."""
    found: list[Check] = []
    for check in CHECKS:
        result = check(root)
        found += [result] if isinstance(result, Check) else result
    return found


def tiers(checks: Sequence[Check], areas: swap.Areas = _NO_ZRAM) -> list[Tier]:
    """Return what each tier can do, derived from the checks alone (docs/recording-where.md has the same table).

    The tiers build on one another as their needs do; where no swap area is enabled, none records anything now, and
    that is :func:`can_record`'s to say, not theirs. Where all ``areas`` are zram, frees are seen as those of its
    objects, without probes in functions; compressed sizes are seen only where the kernel compresses. Whatever the tier,
    a session takes a snapshot.
    """
    closed = _bad(checks, "lockdown", "page size")
    sources = [check for check in checks if check.name in ("tracefs", "perf")]
    hidden = any(check.fix == events.SEE_TRACEFS for check in checks)  # perf, too, needs the formats of events
    if _bad(checks, "tracefs") and (hidden or all(check.state is not State.OK for check in sources)):
        closed += [check for check in sources if check.state is not State.OK]  # where tracefs is closed, perf must do
    points = closed + _bad(checks, "writeouts", "bios", "zram bios")
    enabled = sum(check.name == "swap" and check.state is not State.NO for check in checks)
    if len(nowhere := _bad(checks, "swap file")) == enabled:  # no area is left whose slots can be found
        points += nowhere
    owner = points + [c for c in checks if c.name in ("faults", "owners") and c.state is not State.OK]
    program = _bad(checks, "page size", "BTF", "libbpf", "BPF", "BPF recorder")
    probes = program + _no_probes(checks)
    point = {Capability.SLOT}
    if not _bad(checks, "snapshot"):
        point.add(Capability.SNAPSHOT)
    owned = point | {Capability.OWNER}
    full = owned | ({Capability.FREE} if areas.only_zram else set())
    if areas.only_zram and any(check.name == "slab events" and check.state is State.OK for check in checks):
        owned |= {Capability.FREE}
    if not any(check.name == "contents" and check.state is not State.OK for check in checks):
        full |= {Capability.HASH, Capability.FAULT}
    if areas.compressed:
        full.add(Capability.CLEN)
    return [
        _tier("T0", "tracepoints", points, point),
        _tier("T1", "tracepoints and owners (--owner)", owner, owned),
        _tier("T2", "BPF on tracepoints", program, full),
        _tier("T3", "BPF, also in functions", probes, full | {Capability.FREE}),
    ]


def _no_probes(checks: Sequence[Check]) -> list[Check]:
    """Return why no function can be watched: what the recorder found when it tried, else what the kernel refuses."""
    tried = [check for check in checks if check.name == "slot frees"]
    ways = tried or [check for check in checks if check.name in ("kprobes", "fentry")]
    return [] if any(check.state is State.OK for check in ways) else ways


def can_record(checks: Sequence[Check], found: Sequence[Tier]) -> tuple[list[Capability], list[Capability]]:
    """Return the capabilities that a recording started now can and cannot have; nothing without a swap area."""
    swap_on = any(check.name == "swap" and check.state is not State.NO for check in checks)
    seen = {each for tier in found if tier.possible for each in tier.sees} if swap_on else set()
    return [each for each in Capability if each in seen], [each for each in Capability if each not in seen]


def _bad(checks: Sequence[Check], *names: str) -> list[Check]:
    return [check for check in checks if check.name in names and check.state is State.NO]


def _tier(name: str, what: str, against: Sequence[Check], sees: Collection[Capability]) -> Tier:
    reasons = [check for check in against if not check.fix.startswith("see ")] or against  # no consequences
    lacks = tuple(dict.fromkeys(check.name for check in reasons))
    why = "; ".join(dict.fromkeys(f"{check.name}: {check.what}" for check in reasons))
    return Tier(name, what, not against, tuple(each for each in Capability if each in sees), lacks, why)
