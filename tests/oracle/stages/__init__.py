"""Op-at-a-time twins of every stage, by name: dicts only, one file each."""

from __future__ import annotations

from tests.oracle.stages.base import SlowStage, World
from tests.oracle.stages.dedup import SlowDedup
from tests.oracle.stages.flash import SlowFlash
from tests.oracle.stages.ftl import SlowFtlStage
from tests.oracle.stages.ksm import SlowKsm
from tests.oracle.stages.slots import SlowSlots
from tests.oracle.stages.tiers import SlowTiers
from tests.oracle.stages.zero import SlowZero
from tests.oracle.stages.zram import SlowZram
from tests.oracle.stages.zswap import SlowZswap

__all__ = ["STAGES", "SlowStage", "World"]

STAGES: dict[str, type[SlowStage]] = {
    "ksm": SlowKsm,
    "zero": SlowZero,
    "dedup": SlowDedup,
    "zswap": SlowZswap,
    "slots": SlowSlots,
    "tiers": SlowTiers,
    "zram": SlowZram,
    "flash": SlowFlash,
    "ftl": SlowFtlStage,
}
