"""How walks of one page become walks of a folio, the rule that all layouts share; and how pages are charged by class.

Rule. A folio walks its table once, at its first page; a further page touches one more line where its entry begins a
new table line (every 8th page). An op that also walks a map of the device below the swap slot (``ops.device_walk``: a
flash device's own map, the table of zram) is charged one walk and one line for it, folios as above.

Ops of one class cost the same. What all layouts look at is packed into one code per op: the op, its backing, whether
it begins an object, whether it walks the device's map; a layout adds bits of its own. The ops of each code are counted,
and only codes are priced.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.ledger import Ledger
from swaptrace.model.ops import Ops

__all__ = ["Classes", "classes_of"]

Ints = NDArray[np.int64]
_BACKING, _NEW, _DEVICE, _OWN = 3, 7, 8, 9  # first bit of each part
_BITS = 16
_ENTRIES_PER_LINE = 8  # 8-byte table entries
_HEAD, _LINE, _REST = 0, 1, 2


@dataclass(frozen=True)
class Classes:
    """The classes of a batch: their code, place of their pages in a folio, and how many ops are of each."""

    code: Ints
    place: Ints
    pages: Ints

    @property
    def op(self) -> Ints:
        """The op of each class."""
        return self.code & 7

    @property
    def backing(self) -> Ints:
        """The backing of each class."""
        return (self.code >> _BACKING) & 15

    @property
    def new(self) -> Ints:
        """1 where the op begins an object."""
        return (self.code >> _NEW) & 1

    def own(self, widths: Iterable[int]) -> list[Ints]:
        """Return the layout's own parts of the code, in the order in which they were given."""
        parts, bit = [], _OWN
        for width in widths:
            parts.append((self.code >> bit) & ((1 << width) - 1))
            bit += width
        return parts

    @property
    def heads(self) -> Ints:
        """How many ops of each class are the first page of a folio, or a page of its own."""
        return np.where(self.place == _HEAD, self.pages, 0)

    def charge(self, ledger: Ledger, walks: NDArray[Any], lines: NDArray[Any], further: NDArray[Any] | int = 0) -> None:
        """Charge each class ``walks`` and ``lines`` per op, as if it were a page of its own, with folios folded.

        ``further`` are walks that a further page of a folio makes all the same: where a layout does not batch.
        """
        device = (self.code >> _DEVICE) & 1
        head = self.place == _HEAD
        ledger.walk(
            self.op,
            self.backing,
            np.where(head, walks + device, further),
            np.where(head, lines + device, (self.place == _LINE) * (1 + device)),
            self.pages,
        )


def classes_of(ops: Ops, own: Iterable[tuple[NDArray[Any] | None, int]] = ()) -> Classes:
    """Count the classes of a batch; ``own`` are values per op that the layout's prices depend on, and their widths.

    None stands for zeros. All widths together are at most 7 bits.
    """
    code = ops.op.astype(np.uint16)
    parts = [(ops.backing, _BACKING), (ops.new, _NEW)]
    if ops.device_walk is not None:
        parts.append((ops.device_walk, _DEVICE))
    bit = _OWN
    for values, width in own:
        if values is not None:
            parts.append((values, bit))
        bit += width
    for values, at in parts:
        code |= values.astype(np.uint16) << np.uint16(at)
    if ops.sub.any():
        places = np.where(ops.sub == 0, _HEAD, np.where(ops.sub % _ENTRIES_PER_LINE == 0, _LINE, _REST))
        pages = np.bincount(code + (places << _BITS))
    else:
        pages = np.bincount(code)
    found = np.flatnonzero(pages)
    return Classes(found & ((1 << _BITS) - 1), found >> _BITS, pages[found])
