"""How walks of one page become walks of a folio, the rule that all layouts share; and how pages are charged by class.

Rule. A folio walks its table once, at its first page; a further page touches one more line where its entry begins a
new table line (every 8th page).

Ops of one class cost the same. A layout packs what its prices depend on into one small code per op, the op itself in
the lowest :data:`OP_BITS` bits; the ops of each code are counted, and only codes are priced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.ledger import Ledger
from swaptrace.model.ops import Ops

__all__ = ["OP_BITS", "Classes", "classes_of"]

OP_BITS = 3
_ENTRIES_PER_LINE = 8  # 8-byte table entries
_HEAD, _LINE, _REST = 0, 1, 2


@dataclass(frozen=True)
class Classes:
    """The classes of a batch: code, place of its pages in a folio, and how many ops are of it."""

    code: NDArray[np.int64]
    place: NDArray[np.int64]
    pages: NDArray[np.int64]

    @property
    def op(self) -> NDArray[np.int64]:
        """The op of each class."""
        return self.code & ((1 << OP_BITS) - 1)

    @property
    def heads(self) -> NDArray[np.int64]:
        """How many ops of each class are the first page of a folio, or a page of its own."""
        return np.where(self.place == _HEAD, self.pages, 0)

    def charge(self, ledger: Ledger, walks: NDArray[Any], lines: NDArray[Any]) -> None:
        """Charge each class ``walks`` and ``lines`` per op, as if it were a page of its own, with folios folded."""
        head = self.place == _HEAD
        ledger.walk(self.op, np.where(head, walks, 0), np.where(head, lines, self.place == _LINE), self.pages)


def classes_of(ops: Ops, code: NDArray[np.uint16], bits: int) -> Classes:
    """Count the classes of a batch; ``code`` is below ``2**bits``."""
    if ops.sub.any():
        places = np.where(ops.sub == 0, _HEAD, np.where(ops.sub % _ENTRIES_PER_LINE == 0, _LINE, _REST))
        pages = np.bincount(code + (places << bits))
    else:
        pages = np.bincount(code)
    found = np.flatnonzero(pages)
    return Classes(found & ((1 << bits) - 1), found >> bits, pages[found])
