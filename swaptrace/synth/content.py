"""What pages hold. A content is a number; hash, fill word and compressed size are functions of it.

So equal contents have equal hashes and sizes, and different contents have different hashes: the hash is a bijection
of 64-bit numbers (the finaliser of splitmix64, Steele et al., OOPSLA 2014, doi 10.1145/2660193.2660195).

    0              the zero page
    1 .. 255       a page filled with this byte
    256 ..         the pool: contents that many pages share
    2**40 ..       contents that are written once, numbered in the order of their writes
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from swaptrace.synth.dice import Dice, Ranks

__all__ = ["HASH", "Mix", "compressed", "fill_word", "hashed", "is_filled"]

HASH = "splitmix64 of the number of the content"
_FILLED = 256  # contents below are pages filled with one byte
_UNIQUE = 1 << 40
_PAGE = 4096


def hashed(content: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return the hash of each content."""
    word = content.astype(np.uint64)
    word += np.uint64(0x9E3779B97F4A7C15)  # splitmix64's step, so that the zero page has no hash of 0
    word ^= word >> np.uint64(30)
    word *= np.uint64(0xBF58476D1CE4E5B9)
    word ^= word >> np.uint64(27)
    word *= np.uint64(0x94D049BB133111EB)
    word ^= word >> np.uint64(31)
    return word


def is_filled(content: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each content is a page filled with one word."""
    found: NDArray[np.bool_] = content < _FILLED
    return found


def fill_word(content: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return the word that fills each filled page; 0 for the others."""
    byte = np.where(content < _FILLED, content, 0).astype(np.uint64)
    return byte * np.uint64(0x0101010101010101)


def compressed(content: NDArray[np.int64], hashes: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Return the bytes that zram would keep: 0 for filled pages, which it keeps in the slot; 4096 for one content
    in 16, which does not compress; else 64 to 2,621 bytes, a bell around 1,343 (three pages in one)."""
    ten = np.uint64(1023)
    bell = hashes & ten
    for shift in (10, 20, 30):
        bell += (hashes >> np.uint64(shift)) & ten
    size = np.uint64(64) + ((bell * np.uint64(5)) >> np.uint64(3))
    size[hashes >> np.uint64(60) == 0] = _PAGE
    size[content < _FILLED] = 0
    return size.astype(np.uint32)


@dataclass
class Mix:
    """Draws what is written: ``zero`` pages, pages filled with another byte (``same``), contents of a pool
    (``duplicate``; ``pool`` of them, Zipf-ranked with ``skew``), and contents never seen before."""

    zero: float
    same: float
    duplicate: float
    pool: int
    skew: float
    _next: int = field(default=_UNIQUE, init=False)

    def __post_init__(self) -> None:
        self._ranks = Ranks(self.pool, self.skew)

    def draw(self, dice: Dice, count: int) -> NDArray[np.int64]:
        """Return ``count`` contents."""
        kind = (dice.words(count) >> np.uint64(11)).astype(np.int64)
        content = np.arange(self._next, self._next + count, dtype=np.int64)
        self._next += count
        lows = [int(share * 2.0**53) for share in np.cumsum([self.zero, self.same, self.duplicate]).tolist()]
        if self.duplicate:
            pooled = np.flatnonzero((kind >= lows[1]) & (kind < lows[2]))
            content[pooled] = _FILLED + self._ranks.draw(dice, len(pooled))
        if self.same:
            same = np.flatnonzero((kind >= lows[0]) & (kind < lows[1]))
            content[same] = 1 + dice.below(len(same), _FILLED - 1)
        content[kind < lows[0]] = 0
        return content
