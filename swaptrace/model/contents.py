"""Compressed sizes of page contents from a sample of them, and of the others by their place among the hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["COMPRESSORS", "ContentSizes"]

COMPRESSORS = ("lz4", "zstd1", "zstd3")
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True)
class ContentSizes:
    """Sampled contents: ``hash`` uint64[n], ascending and distinct, n below 2**32; ``sizes`` by compressor: bytes that
    it makes of each page, uint16[n].
    """

    hash: NDArray[np.uint64]
    sizes: Mapping[str, NDArray[np.uint16]]

    def of(self, hashes: NDArray[np.uint64], compressor: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the compressed size of each content, and whether it was measured.

        A content that is not in the sample has the size of the sampled one at the same quantile of all hashes: of n
        sampled ones, sorted by hash, that with the index floor(hash * n / 2**64). Hashes are uniform, so sizes are
        distributed as in the sample, and equal contents have equal sizes.
        """
        n = np.uint64(len(self.hash))
        # hash * n / 2**64 in two halves, as 128 bits are too many
        carry = ((hashes & _LOW) * n) >> _HALF
        quantile = (((hashes >> _HALF) * n + carry) >> _HALF).astype(np.int64)
        place = np.minimum(np.searchsorted(self.hash, hashes), len(self.hash) - 1)
        measured = self.hash[place] == hashes
        size: NDArray[Any] = self.sizes[compressor][np.where(measured, place, quantile)]
        return size.astype(np.int64), measured
