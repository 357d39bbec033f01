"""What a recording of rows can see, learned from the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.events import Backend, Cause, Kind
from swaptrace.model.meta import Capability, Sight

__all__ = ["SeenRows"]

Array = NDArray[Any]


class SeenRows:
    """``capabilities`` of all the rows that were shown."""

    def __init__(self) -> None:
        self.capabilities: dict[Capability, Sight] = {}

    def look(self, columns: Mapping[str, Array], masks: Mapping[str, NDArray[np.bool_]]) -> None:
        """Learn from rows in NumPy form; ``columns`` has at least kind and slot."""
        kind, slot = columns["kind"], columns["slot"] >= 0
        backend, cause = columns.get("backend", kind * 0), columns.get("cause", kind * 0)
        silent = np.isin(backend, (Backend.ZERO, Backend.ZSWAP, Backend.CACHE)) & (kind == Kind.SWAP_IN) & slot
        exact = (kind == Kind.SLOT_FREE) & slot
        found = {
            Capability.SLOT: slot,
            Capability.OWNER: columns.get("owner_tgid", np.zeros(0)) > 0,
            Capability.HASH: masks.get("hash", np.zeros(0, np.bool_)),
            Capability.CLEN: columns.get("csize", np.zeros(0)) > 0,
            Capability.FAULT: silent,
            Capability.FREE: exact & (cause == Cause.ZS_HANDLE),
        }
        for capability, rows in found.items():
            if bool(np.any(rows)):
                self.capabilities[capability] = Sight.OBSERVED
        if bool(exact.any()):  # only pages that were still in zswap
            self.capabilities.setdefault(Capability.FREE, Sight.INFERRED)
