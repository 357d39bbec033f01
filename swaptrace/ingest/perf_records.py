"""Find the samples in a block of perf.data, without a loop over them.

A sample begins with a word whose low half is 9 and carries, at a fixed word, an id that the header declares.
These candidates are found by comparison; then the chain of records is proven: each record must end where the
next begins, with the few other records between samples walked one by one. Where the candidates do not chain (page
contents that look like a sample) the whole block is walked instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.errors import InputError

__all__ = ["Block", "IdTable", "find_samples"]

Words = NDArray[np.uint64]
SAMPLE = 9
_NEAR_WORDS = 1 << 17  # temporaries that stay in the near cache
_UNBOUNDED = (66, 71)  # TRACING_DATA and AUXTRACE are followed by data that their size does not count


@dataclass
class Block:
    """Samples of a block: their word offsets and event numbers; other records; words up to the last whole record."""

    at: NDArray[np.int64]
    attr: NDArray[np.int16]
    others: list[tuple[int, int, int]] = field(default_factory=list)  # (word, type, words)
    used: int = 0


class IdTable:
    """Event number by sample id, vectorised. Ids are small consecutive numbers in practice, so a table serves."""

    _DENSE = 1 << 20

    def __init__(self, ids: dict[int, int]) -> None:
        self._keys = np.array(sorted(ids), np.uint64)
        self._attrs = np.array([ids[int(k)] for k in self._keys], np.int16)
        self._low = int(self._keys[0])
        span = int(self._keys[-1]) - self._low + 1
        self._dense: NDArray[np.int16] | None = None
        if span <= self._DENSE:
            self._dense = np.full(span + 2, -1, np.int16)  # from the id before the lowest to that after the highest
            self._dense[(self._keys - np.uint64(self._low)).astype(np.int64) + 1] = self._attrs

    def __call__(self, ids: Words) -> NDArray[np.int16]:
        """Return the event number of each id, -1 where it is unknown."""
        if self._dense is not None:
            offset = (ids - np.uint64(self._low) + np.uint64(1)).view(np.int64)  # clipped to the two unknown entries
            return self._dense.take(offset, mode="clip")
        at = np.minimum(np.searchsorted(self._keys, ids), len(self._keys) - 1)
        return np.where(self._keys[at] == ids, self._attrs[at], np.int16(-1))


def find_samples(words: Words, id_word: int | None, ids: IdTable | None) -> Block:
    """Return the records of a block that begins at a record; its last record may be cut off.

    ``id_word`` is the word of a sample that holds its id; without ids (one event) every sample is event 0.
    Raises :class:`InputError` where the chain of records is broken.
    """
    at = _candidates(words)
    at = at[: np.searchsorted(at, len(words) - (id_word or 0))]
    attr = np.zeros(len(at), np.int16) if ids is None or id_word is None else ids(words[id_word:].take(at))
    end = at + (words.take(at) >> np.uint64(51)).view(np.int64)  # the size in bytes is the upper 16 bits of the word
    good = (attr >= 0) & (end <= len(words))  # known and whole
    if not good.all():
        keep = np.flatnonzero(good)
        at, attr, end = at.take(keep), attr.take(keep), end.take(keep)
    chained = _chain(words, at, end)
    if chained is None:
        return _walk_all(words, id_word, ids)
    return Block(at, attr, *chained)


def _candidates(words: Words) -> NDArray[np.int64]:
    """Return where the low half of a word is that of a sample's header."""
    parts = [np.zeros(0, np.int64)]
    for start in range(0, len(words), _NEAR_WORDS):
        low = words[start : start + _NEAR_WORDS].astype(np.uint32)  # a copy compares faster than a stride
        parts.append(np.flatnonzero(low == SAMPLE) + start)
    return np.concatenate(parts)


def _chain(words: Words, at: NDArray[Any], end: NDArray[Any]) -> tuple[list[tuple[int, int, int]], int] | None:
    """Prove that the candidates and the records between them are one chain; return those records and the words used."""
    others: list[tuple[int, int, int]] = []
    begin = np.concatenate([np.zeros(1, at.dtype), end[:-1]]) if len(at) else at
    gaps = np.flatnonzero(begin != at)
    if len(gaps) and bool((begin[gaps] > at[gaps]).any()):
        return None
    starts, stops = begin[gaps], at[gaps]
    for start, stop, head in zip(starts.tolist(), stops.tolist(), words[starts].tolist(), strict=True):
        if start + (head >> 51) == stop and not head >> 48 & 7 and head & 0xFFFFFFFF not in _UNBOUNDED:
            others.append((start, head & 0xFFFFFFFF, head >> 51))  # the usual case: one record
        elif _walk(words, start, stop, others) != stop:
            return None
    return others, _walk(words, int(end[-1]) if len(at) else 0, len(words), others)


def _walk(words: Words, start: int, stop: int, others: list[tuple[int, int, int]]) -> int:
    """Walk records from ``start`` to ``stop`` or to the last whole record before it; return where it ended."""
    while start < stop:
        head = int(words[start])
        size = head >> 51
        _check(head, start)
        if start + size > stop:
            return start
        others.append((start, head & 0xFFFFFFFF, size))
        start += size
    return start


def _walk_all(words: Words, id_word: int | None, ids: IdTable | None) -> Block:
    """Walk every record of the block: the slow way that is always right."""
    at: list[int] = []
    others: list[tuple[int, int, int]] = []
    records: list[tuple[int, int, int]] = []
    used = _walk(words, 0, len(words), records)
    for record in records:
        if record[1] == SAMPLE and record[2] > (id_word or 0):
            at.append(record[0])
        else:
            others.append(record)
    where = np.array(at, np.int64)
    attr = np.zeros(len(where), np.int16) if ids is None or id_word is None else ids(words[where + id_word])
    others += [(int(p), SAMPLE, 0) for p in where[attr < 0]]
    return Block(where[attr >= 0], attr[attr >= 0], others, used)


def _check(head: int, at: int) -> None:
    if head >> 51 == 0 or head >> 48 & 7:
        raise InputError(
            "the records of perf.data are corrupt.",
            f"The record at word {at:,} of a block says that it has {head >> 48} bytes.",
            "Copy or record the file again.",
        )
    if head & 0xFFFFFFFF in _UNBOUNDED:
        raise InputError("perf.data holds AUX or pipe-mode data.", "Only samples of events are supported.")
