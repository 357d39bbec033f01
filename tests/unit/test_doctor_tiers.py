"""What follows from the checks of doctor: which tiers are possible, what they can record, and the text that says so."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from swaptrace.capture.doctor.root import Root
from swaptrace.capture.doctor.swap import kinds
from swaptrace.capture.doctor.table import can_record, examine, tiers
from swaptrace.cli.doctor import _text
from swaptrace.model.meta import Capability
from tests.unit.doctor_machine import (
    ADMIN,
    ARM,
    BTRFS,
    DEBUGFS,
    FEATURES,
    NO_BPF,
    NO_FEATURES,
    NO_TRACEFS,
    OLD,
    SWAPS,
    ZSMALLOC,
    machine,
    unprivileged,
    without,
)


def verdict(root: Root) -> tuple[list[str], list[Capability]]:
    checks = examine(root)
    found = tiers(checks, kinds(root))
    return [tier.name for tier in found if tier.possible], can_record(checks, found)[0]


SLOTS_AND_OWNERS = [Capability.SLOT, Capability.OWNER, Capability.SNAPSHOT]
NO_SIZES = [each for each in Capability if each is not Capability.CLEN]
REFUSED: dict[str, Any] = {"kprobe_errno": lambda kind: errno.ENOENT, "fentry_errno": lambda: errno.EPERM}
LOCKED: dict[str, str | None] = {"/sys/kernel/security/lockdown": "none integrity [confidentiality]"}


@pytest.mark.parametrize(
    ("changes", "facts", "names", "can"),
    [
        ({}, {}, ["T0", "T1", "T2", "T3"], NO_SIZES),
        ({"/sys/module/zswap/parameters/enabled": "Y"}, {}, ["T0", "T1", "T2", "T3"], list(Capability)),
        ({}, FEATURES, ["T0", "T1", "T2", "T3"], NO_SIZES),
        ({}, NO_FEATURES, ["T0", "T1", "T2"], SLOTS_AND_OWNERS),
        ({}, REFUSED, ["T0", "T1", "T2"], [each for each in NO_SIZES if each is not Capability.FREE]),
        ({}, REFUSED | {"fentry_errno": lambda: 0}, ["T0", "T1", "T2", "T3"], NO_SIZES),
        (ADMIN, NO_BPF, ["T0", "T1"], SLOTS_AND_OWNERS),
        ({"/proc/self/status": f"CapEff:\t{1 << 38:016x}\n"}, NO_BPF, ["T0", "T1"], SLOTS_AND_OWNERS[:2]),
        ({}, NO_BPF, ["T0", "T1"], SLOTS_AND_OWNERS),
        (ARM, {**NO_BPF, "machine": "aarch64"}, ["T0"], [Capability.SLOT, Capability.SNAPSHOT]),
        (NO_TRACEFS, NO_BPF, [], []),
        (DEBUGFS, NO_BPF, ["T0", "T1"], SLOTS_AND_OWNERS),
        (OLD, NO_BPF, [], []),  # zram without bios: nothing without BPF
        (LOCKED, {**NO_BPF, "bpf_errno": lambda: errno.EPERM}, [], []),
        ({"/proc/swaps": SWAPS.splitlines()[0]}, {}, ["T0", "T1", "T2", "T3"], []),
        ({}, {"access": unprivileged, **NO_BPF}, ["T0", "T1"], SLOTS_AND_OWNERS),  # perf
        (
            {"/proc/self/status": "CapEff:\t0000000000000000\n"},
            {"access": unprivileged, **NO_BPF},
            [],
            [],
        ),
        ({}, {"page_size": 65536}, [], []),
        (without("/usr/lib"), {}, ["T0", "T1"], SLOTS_AND_OWNERS),
        (BTRFS, NO_BPF, [], []),
        (
            BTRFS | {"/proc/swaps": f"{BTRFS['/proc/swaps']}/dev/vdc partition 4096 0 -3"},
            NO_BPF,
            ["T0", "T1"],
            SLOTS_AND_OWNERS,
        ),
    ],
)
def test_the_tiers_follow_from_the_checks(
    tmp_path: Path, changes: dict[str, str | None], facts: dict[str, Any], names: list[str], can: list[Capability]
) -> None:
    assert verdict(machine(tmp_path, changes, **facts)) == (names, can)


def test_a_reason_is_the_first_one(tmp_path: Path) -> None:
    nothing = NO_TRACEFS | {"/proc/self/status": "CapEff:\t0000000000000000\n"}
    found = tiers(examine(machine(tmp_path, nothing, **NO_BPF)))
    assert found[0].why == (
        "tracefs: tracefs is not mounted; perf: perf_event_paranoid is 2: no tracepoints without CAP_PERFMON"
    )
    assert found[0].lacks == ("tracefs", "perf")
    assert found[2].why == "BPF recorder: not in this version"
    assert found[2].lacks == ("BPF recorder",)


def test_the_text_ends_with_the_reason(tmp_path: Path) -> None:
    checks = examine(machine(tmp_path, NO_TRACEFS, **NO_BPF))
    found = tiers(checks)
    lines = list(_text("x", checks, found, *can_record(checks, found)))
    assert [line for line in lines if "unknown" in line or line.startswith("events")] == [
        "events        no    unknown without tracefs: writeouts, bios, faults, owners, memcg events, slab"
    ]
    *_, t0, _, _, _, _, last = lines
    assert t0 == "T0            no    tracepoints: lacks tracefs"
    assert last == "you can record: nothing now: no tier is possible"
    off = examine(machine(tmp_path / "off", {"/proc/swaps": SWAPS.splitlines()[0]}, **NO_BPF))
    *_, now, after = _text("x", off, tiers(off), *can_record(off, tiers(off)))
    assert now == "you can record: nothing now: no swap area is enabled: nothing is swapped"
    assert after == "once swap is on: SLOT, OWNER, SNAPSHOT (T0, T1)"


def test_bpf_sees_frees_on_zram_without_kprobes(tmp_path: Path) -> None:
    assert Capability.FREE not in verdict(machine(tmp_path / "disk", **REFUSED))[1]
    zram: dict[str, str | None] = {"/proc/swaps": SWAPS.replace("/dev/vdb", "/dev/zram0")}
    assert verdict(machine(tmp_path / "zram", zram, **REFUSED))[1] == list(Capability)


def test_tracepoints_see_frees_on_zram_by_their_callers(tmp_path: Path) -> None:
    zram: dict[str, str | None] = {"/proc/swaps": SWAPS.replace("/dev/vdb", "/dev/zram0")}
    assert Capability.FREE in verdict(machine(tmp_path / "a", zram | ZSMALLOC, **NO_BPF))[1]
    assert Capability.FREE not in verdict(machine(tmp_path / "b", zram, **NO_BPF))[1]
    assert Capability.FREE not in verdict(machine(tmp_path / "c", ZSMALLOC, **NO_BPF))[1]
