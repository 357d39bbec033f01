"""Random numbers that are the same with every numpy: raw words of PCG64, and integer arithmetic on them.

numpy promises the stream of a bit generator for ever, but not the methods of ``Generator``, which may draw
differently from one version to the next (NEP 19; numpy.random "Compatibility policy"). So only ``random_raw`` is
used, seeded through ``SeedSequence``, which is promised as well.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Dice", "Ranks"]

_BITS = 53  # of a share: what a float holds exactly


class Dice:
    """One stream of random numbers. What is drawn depends on the seed and on what was drawn before, nothing else."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def words(self, count: int) -> NDArray[np.uint64]:
        """Return ``count`` uniform 64-bit words."""
        return self._bits.random_raw(count)

    def below(self, count: int, bound: int) -> NDArray[np.int64]:
        """Return ``count`` whole numbers from 0 to ``bound`` - 1, uniform to within ``bound`` / 2**32.

        ``bound`` is at most 2**32 (Lemire, Fast Random Integer Generation in an Interval, 2019, without the
        rejection step: it would make the number of words depend on their values).
        """
        high = self.words(count) >> np.uint64(32)
        return ((high * np.uint64(bound)) >> np.uint64(32)).astype(np.int64)

    def share(self, count: int, share: float) -> NDArray[np.bool_]:
        """Return ``count`` flags, each set with probability ``share``, rounded to a multiple of 2**-53."""
        found: NDArray[np.bool_] = self.words(count) >> np.uint64(64 - _BITS) < np.uint64(int(share * 2**_BITS))
        return found

    def order(self, count: int) -> NDArray[np.int64]:
        """Return the numbers from 0 to ``count`` - 1 in random order."""
        return np.argsort(self.words(count), kind="stable")


class Ranks:
    """Zipf's law over ``count`` ranks: rank k, from 1, has a weight of k ** -alpha; alpha 0 is uniform.

    Drawn by inversion of the exact table of sums, scaled to 53 bits. The powers are those of the C library: one that
    rounds another way in the last bit moves a threshold by 2**-53, one draw in about 10**15.
    """

    def __init__(self, count: int, alpha: float) -> None:
        weights = np.fromiter((rank**-alpha for rank in range(1, count + 1)), np.float64, count)
        sums = np.cumsum(weights)
        self.thresholds = (sums / sums[-1] * 2.0**_BITS).astype(np.uint64)

    def draw(self, dice: Dice, count: int) -> NDArray[np.int64]:
        """Return ``count`` ranks, from 0."""
        words = dice.words(count) >> np.uint64(64 - _BITS)
        return np.searchsorted(self.thresholds, words, side="right").astype(np.int64)
