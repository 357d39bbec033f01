"""All checks in the order in which they are shown, and what they mean for each tier."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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


_EVERY_TIER: tuple[Capability, ...] = ()  # what a session adds to each recorder; SNAPSHOT, once it takes one


@dataclass(frozen=True)
class Tier:
    """A way to record: whether it is possible here, what it ``sees`` then, else ``why`` not."""

    name: str
    what: str
    possible: bool
    sees: tuple[Capability, ...]
    why: str = ""


def examine(root: Root) -> list[Check]:
    """Run every check."""
    found: list[Check] = []
    for check in CHECKS:
        result = check(root)
        found += [result] if isinstance(result, Check) else result
    return found


def tiers(checks: Sequence[Check], only_zram: bool = False) -> list[Tier]:
    """Return what each tier can do, derived from the checks alone (docs/recording-where.md has the same table).

    The tiers build on one another as their needs do; where no swap area is enabled, none records anything now, and
    that is :func:`can_record`'s to say, not theirs. ``only_zram``: all areas are zram, whose frees BPF sees
    without kprobes.
    """
    closed = _bad(checks, "lockdown", "page size")
    sources = [check for check in checks if check.name in ("tracefs", "perf")]
    hidden = any(check.fix == events.SEE_TRACEFS for check in checks)  # perf, too, needs the formats of events
    if _bad(checks, "tracefs") and (hidden or all(check.state is not State.OK for check in sources)):
        closed += [check for check in sources if check.state is not State.OK]  # where tracefs is closed, perf must do
    points = closed + _bad(checks, "writeouts", "bios", "zram bios")
    areas = sum(check.name == "swap" and check.state is not State.NO for check in checks)
    if len(nowhere := _bad(checks, "swap file")) == areas:  # no area is left whose slots can be found
        points += nowhere
    owner = points + [c for c in checks if c.name in ("faults", "owners") and c.state is not State.OK]
    program = _bad(checks, "page size", "BTF", "libbpf", "BPF", "BPF recorder")
    probes = program + [c for c in checks if c.name == "kprobes" and c.state is not State.OK]
    full = (Capability.SLOT, Capability.OWNER, Capability.HASH, Capability.CLEN, Capability.FAULT)
    return [
        _tier("T0", "tracepoints", points, (Capability.SLOT,)),
        _tier("T1", "tracepoints and owners (--owner)", owner, (Capability.SLOT, Capability.OWNER)),
        _tier("T2", "BPF on tracepoints", program, (*full, Capability.FREE) if only_zram else full),
        _tier("T3", "BPF and kprobes", probes, (*full, Capability.FREE)),
    ]


def can_record(checks: Sequence[Check], found: Sequence[Tier]) -> tuple[list[Capability], list[Capability]]:
    """Return the capabilities that a recording started now can and cannot have; nothing without a swap area."""
    swap_on = any(check.name == "swap" and check.state is not State.NO for check in checks)
    seen = {each for tier in found if tier.possible for each in tier.sees} if swap_on else set()
    return [each for each in Capability if each in seen], [each for each in Capability if each not in seen]


def _bad(checks: Sequence[Check], *names: str) -> list[Check]:
    return [check for check in checks if check.name in names and check.state is State.NO]


def _tier(name: str, what: str, against: Sequence[Check], sees: tuple[Capability, ...]) -> Tier:
    reasons = [check for check in against if check.fix != events.SEE_TRACEFS]  # of its own, not one that follows
    why = "; ".join(dict.fromkeys(f"{check.name}: {check.what}" for check in reasons or against))
    return Tier(name, what, not against, (*sees, *_EVERY_TIER), why)
