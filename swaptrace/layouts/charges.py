"""How walks of one page become walks of a folio: the rule that all layouts share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.ledger import Ledger
from swaptrace.model.ops import Ops

__all__ = ["charge_pages"]

_ENTRIES_PER_LINE = 8  # 8-byte table entries


def charge_pages(ledger: Ledger, ops: Ops, walks: NDArray[Any], lines: NDArray[Any]) -> None:
    """Charge ``walks`` and ``lines`` of each op, as if it were a page of its own, with folios folded.

    A folio walks its table once, at its first page; a further page touches one more line where its entry begins
    a new table line (every 8th page).
    """
    if ops.sub.any():
        head = ops.sub == 0
        walks = np.where(head, walks, 0)
        lines = np.where(head, lines, ops.sub % _ENTRIES_PER_LINE == 0)
    ledger.walk(ops.op, walks, lines)
