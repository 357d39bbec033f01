"""Ring-buffer pages of ``trace_pipe_raw``, decoded in lock-step: event k of every page of a batch at once.

Source: kernel/trace/ring_buffer.c and the files ``events/header_page`` and ``events/header_event``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.model.errors import InputError

__all__ = ["PageLayout", "Records", "decode_pages", "parse_header_page"]

Array = NDArray[Any]
_PADDING, _TIME_EXTEND, _TIME_STAMP = (
    29,
    30,
    31,
)  # type_len values; below them it is a size in words, 0: size follows
_MISSED, _MISSED_STORED = 1 << 31, 1 << 30  # RB_MISSED_EVENTS, RB_MISSED_STORED in the commit word
_ABSOLUTE_LOW = (1 << 59) - 1  # an absolute time stamp has 59 bits; the upper ones come from the page's time


@dataclass(frozen=True)
class PageLayout:
    """Where a page keeps its parts: commit counter (offset, bytes), data offset, page bytes."""

    commit_at: int = 8
    commit_size: int = 8
    data_at: int = 16
    page: int = 4096


def parse_header_page(text: str) -> PageLayout:
    """Parse tracefs ``events/header_page``. Raises :class:`InputError` for layouts that no kernel has."""
    fields = {m[1]: (int(m[2]), int(m[3])) for m in re.finditer(r"(\w+);\s*offset:(\d+);\s*size:(\d+);", text)}
    try:
        (commit_at, commit_size), (data_at, data_size) = fields["commit"], fields["data"]
    except KeyError as error:
        raise InputError("header_page of the recording is damaged.", f"It has no field {error}.") from error
    layout = PageLayout(commit_at, commit_size, data_at, data_at + data_size)
    good = layout.page & (layout.page - 1) == 0 and 4096 <= layout.page <= 1 << 20
    if not good or commit_size not in (4, 8) or commit_at % 4 or data_at % 4 or commit_at + commit_size > data_at:
        raise InputError("header_page of the recording is damaged.", f"{layout} is impossible.")
    return layout


@dataclass(frozen=True)
class Records:
    """Events of a batch of pages of one CPU, in time order: byte offset of each event's data, its bytes, its time."""

    at: NDArray[np.int64]
    size: NDArray[np.int64]
    ts: NDArray[np.uint64]
    lost_ts: NDArray[np.uint64]  # for each page before which events were lost: its time ...
    lost: NDArray[np.int64]  # ... and how many they were, 0 where the page does not say


def decode_pages(data: NDArray[np.uint8], layout: PageLayout) -> Records:
    """Decode whole pages. Raises :class:`InputError` where an event reaches beyond its page."""
    pages = len(data) // layout.page
    words = data.view(np.uint32)
    per_page = layout.page // 4
    time = data.view(np.uint64)[:: layout.page // 8].copy()
    commit = words[layout.commit_at // 4 :: per_page].astype(np.int64)
    end = layout.data_at + (commit & 0xFFFFF)
    if bool((end > layout.page).any()):
        raise InputError(
            "a ring-buffer page is corrupt.",
            "Its counter says that it holds more than a page.",
            "Copy or record it again.",
        )
    lane, position = np.arange(pages), np.full(pages, layout.data_at, np.int64)
    empty = end <= position
    lane, position = lane[~empty], position[~empty]
    found: list[Array] = []
    sizes: list[Array] = []
    times: list[Array] = []
    while len(lane):
        base = lane * layout.page + position
        head = words[base >> 2]
        following = words[np.minimum((base >> 2) + 1, len(words) - 1)]
        kind, delta = head & 31, (head >> 5).astype(np.uint64)
        long = delta | following.astype(np.uint64) << np.uint64(27)
        now = time[lane]
        stamp = now & ~np.uint64(_ABSOLUTE_LOW) | long & np.uint64(_ABSOLUTE_LOW)
        now = np.where(kind == _TIME_EXTEND, now + long, np.where(kind == _TIME_STAMP, stamp, now + delta))
        time[lane] = now
        is_data = kind < _PADDING
        sized = kind == 0
        header = np.where(sized, 8, 4)
        body = np.where(sized, following.astype(np.int64) - 4, kind.astype(np.int64) << 2)
        body = np.where(is_data, body, np.where((kind == _PADDING) & (delta > 0), following.astype(np.int64), 4))
        body = np.where((kind == _PADDING) & (delta == 0), layout.page, body)  # the rest of the page is empty
        stop = position + header + body
        stopped = end[lane]
        if bool((is_data & ((stop > stopped) | (body < 4))).any()):
            raise InputError(
                "a ring-buffer page is corrupt.",
                "An event reaches beyond its page.",
                "Copy or record it again.",
            )
        found.append((base + header)[is_data])
        sizes.append(body[is_data])
        times.append(now[is_data])
        position = position + header + np.maximum(body, 0) + 3 & ~3
        more = position < stopped
        lane, position = lane[more], position[more]
    at, size, ts = (np.concatenate(p) if p else np.zeros(0, np.int64) for p in (found, sizes, times))
    order = np.argsort(at, kind="stable")
    missed = np.flatnonzero(commit & (_MISSED | _MISSED_STORED))
    stamps = data.view(np.uint64)[:: layout.page // 8][missed]
    lost = _counted(words, commit, end, layout)[missed]
    return Records(at[order], size[order], ts[order].astype(np.uint64), stamps, lost)


def _counted(words: NDArray[np.uint32], commit: Array, end: Array, layout: PageLayout) -> NDArray[np.int64]:
    """Return the number of lost events that each page stores right after its data, 0 where it stores none."""
    stored = np.flatnonzero((commit & _MISSED_STORED != 0) & (end + 8 <= layout.page))
    counts = np.zeros(len(commit), np.int64)
    counts[stored] = words[(stored * layout.page + end[stored]) >> 2]
    return counts
