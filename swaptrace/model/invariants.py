"""What must be true of every trace, checked in one pass: the rules of ``swaptrace validate``.

Violations break what the schema promises. Warnings are what a true recording can show, too: reads and frees
of slots written before it began, events lost by the recorder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from swaptrace.model.digest import ContentDigest
from swaptrace.model.events import COLUMN_BY_NAME, COLUMNS, EventBatch, Kind
from swaptrace.model.meta import Capability, Sight
from swaptrace.model.trace import Trace

__all__ = ["Finding", "Findings", "validate"]

_Mask = NDArray[np.bool_]
_WITH_CONTENT = (Kind.SWAP_OUT, Kind.SWAP_IN, Kind.WRITEBACK)
_WITH_SLOT = (Kind.SLOT_FREE, Kind.WRITEBACK, Kind.DISCARD)
_MAX_ORDER = 9  # a folio that is swapped out is at most one PMD: 512 pages of 4 KiB


@dataclass(frozen=True)
class Finding:
    """One broken rule: how many ``rows`` break it, the first of them, and the rule in words."""

    rule: str
    text: str
    rows: int = 0
    first_row: int | None = None


@dataclass
class Findings:
    """All findings of one trace."""

    violations: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)


class _Tally:
    """Rows that break a rule, counted over batches."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._first: dict[str, int] = {}

    def add(self, rule: str, broken: _Mask, first: int) -> None:
        count = int(broken.sum())
        if count:
            self._rows[rule] = self._rows.get(rule, 0) + count
            self._first.setdefault(rule, first + int(broken.argmax()))

    def findings(self, texts: dict[str, str]) -> list[Finding]:
        return [
            Finding(rule, text, self._rows[rule], self._first[rule])
            for rule, text in texts.items()
            if rule in self._rows
        ]


_VIOLATIONS = {
    "sorted": "time goes back",
    "device": "swap_type is not among the swap devices of the header",
    "slot-range": "slot is negative, the header page, or beyond the size of its device",
    "slot-missing": "slot_free, writeback and discard need a slot and its swap_type",
    "content-kind": "hash or fill on an event that moves no content",
    "folio": "sub is not below 2**order, or the order is above a PMD",
    "folio-rows": "a swapped-out folio does not have exactly one row for each of its 2**order pages",
}
_WARNINGS = {
    "orphan-read": "reads of slots that this trace never saw written (written before it began, or lost)",
    "orphan-free": "frees of slots that this trace never saw written (written before it began, or lost)",
}


def validate(trace: Trace) -> Findings:
    """Check every invariant of ``trace``; raises :class:`InputError` where it cannot be decoded."""
    out = Findings()
    tally = _Tally()
    _check_types(trace, out)
    if not out.violations:  # columns of another type cannot be decoded
        digest = _check_rows(trace, tally)
        out.violations += tally.findings(_VIOLATIONS)
        if digest != trace.meta.digest:
            said = trace.meta.digest[:16] or "nothing"
            text = f"the content has sha256 {digest[:16]}.., the header says {said}.."
            out.violations.append(Finding("digest", text))
    if trace.meta.rows != trace.rows:
        out.violations.append(Finding("rows", f"the file has {trace.rows:,} rows, the header says {trace.meta.rows:,}"))
    types = [device.swap_type for device in trace.meta.devices]
    for swap_type in sorted(set(types)):
        if not 0 <= swap_type < 255 or types.count(swap_type) > 1:
            text = f"the header has swap type {swap_type} {types.count(swap_type)} times; types are 0 to 254, each once"
            out.violations.append(Finding("header", text))
    out.warnings += tally.findings(_WARNINGS)
    for source, count in sorted(trace.meta.lost.items()):
        if count:
            out.warnings.append(Finding("lost", f"{count:,} events lost by {source}"))
    for reason, count in sorted(trace.meta.skipped.items()):
        if count:
            out.warnings.append(Finding("skipped", f"{count:,} input records skipped: {reason}"))
    if trace.meta.interrupted:
        out.warnings.append(Finding("interrupted", "the recording was interrupted; what it has is whole"))
    if trace.meta.sight(Capability.SLOT) is Sight.ABSENT:
        out.warnings.append(Finding("capability", "the header does not declare SLOT: nothing can be replayed"))
    return out


def _check_types(trace: Trace, out: Findings) -> None:
    """Compare the Arrow types, the nulls and the words of the file with the table of columns."""
    schema = trace.schema
    for column in COLUMNS:
        if column.name not in schema.names:
            continue
        found, expected = schema.field(column.name).type, column.arrow()
        if isinstance(expected, pa.DictionaryType):
            alike = isinstance(found, pa.DictionaryType) and found.value_type == expected.value_type
        else:
            alike = found == expected
        if not alike:
            out.violations.append(Finding("type", f"column {column.name} has type {found}, not {expected}"))
    if out.violations:
        return
    named = [c.name for c in COLUMNS if c.name in schema.names and (c.names is not None or c.required)]
    unknown: dict[str, set[str]] = {}
    nulls: dict[str, int] = {}
    for batch in trace.arrow_batches(named):
        for name in named:
            column, array = COLUMN_BY_NAME[name], batch.column(name)
            if column.required and array.null_count:
                nulls[name] = nulls.get(name, 0) + array.null_count
            if column.names is not None:
                used = array.dictionary.take(array.indices.drop_null().unique()).to_pylist()
                unknown.setdefault(name, set()).update(set(used) - {n.name.lower() for n in column.names})
    for name, count in nulls.items():
        out.violations.append(Finding("null", f"column {name} is required, but missing", count))
    for name, words in unknown.items():
        if words:
            out.violations.append(Finding("word", f"column {name} has unknown values: {', '.join(sorted(words))}"))


def _check_rows(trace: Trace, tally: _Tally) -> str:
    """Run the row rules over ``trace`` and return the digest of its content."""
    digest = ContentDigest()
    sizes = np.zeros(256, np.int64)
    known = np.zeros(256, np.bool_)
    for device in trace.meta.devices:
        if 0 <= device.swap_type < 255:  # others are a finding of their own
            known[device.swap_type] = True
            sizes[device.swap_type] = device.pages or np.iinfo(np.int64).max
    written = np.empty(0, np.int64)
    folios = _Folios()
    last_ts = np.iinfo(np.int64).min
    for batch in trace.batches([c.name for c in COLUMNS if not c.text], check_order=False):
        if len(batch) == 0:
            continue
        for column in COLUMNS:
            if not column.text:
                values = batch[column.name]
                present = batch.valid[column.name] if column.null is None else values != column.null
                digest.update(column.name, values, None if column.required else present)
        ts = batch["ts"]
        before = np.concatenate([[last_ts if batch.first else ts[0]], ts[:-1]])
        tally.add("sorted", ts < before, batch.first)
        last_ts = ts[-1]
        _check_slots(batch, known, sizes, tally)
        content = batch.valid["hash"] | batch.valid["fill"]
        tally.add("content-kind", content & ~np.isin(batch["kind"], _WITH_CONTENT), batch.first)
        order, sub = batch["order"].astype(np.int64), batch["sub"]
        tally.add("folio", (order > _MAX_ORDER) | (sub >= 1 << np.minimum(order, _MAX_ORDER)), batch.first)
        folios.feed(batch, tally)
        written = _orphans(batch, written, tally)
    folios.finish(tally)
    for codes, words in trace.comms():
        digest.update_text("comm", codes, words, codes >= 0)
    return digest.hexdigest()


def _check_slots(batch: EventBatch, known: _Mask, sizes: NDArray[np.int64], tally: _Tally) -> None:
    swap_type, slot, kind = batch["swap_type"], batch["slot"], batch["kind"]
    has = slot != COLUMN_BY_NAME["slot"].null
    typed = swap_type != 255
    if known.any():
        tally.add("device", typed & ~known[swap_type], batch.first)
        inside = (slot >= 1) & (slot < np.where(known, sizes, np.iinfo(np.int64).max)[swap_type])
        tally.add("slot-range", has & typed & ~inside, batch.first)
    else:
        tally.add("slot-range", has & (slot <= 0), batch.first)
    tally.add("slot-missing", np.isin(kind, _WITH_SLOT) & ~(has & typed), batch.first)


def _orphans(batch: EventBatch, written: NDArray[np.int64], tally: _Tally) -> NDArray[np.int64]:
    """Count reads and frees of slots never written so far; return all slots written so far, sorted."""
    kind, slot = batch["kind"], batch["slot"]
    key = batch["swap_type"].astype(np.int64) << 48 | slot
    has = slot >= 0
    outs = np.flatnonzero(has & ((kind == Kind.SWAP_OUT) | (kind == Kind.WRITEBACK)))
    keys, first = np.unique(key[outs], return_index=True)
    asks = np.flatnonzero(has & ((kind == Kind.SWAP_IN) | (kind == Kind.SLOT_FREE)))
    orphan = ~_contains(written, key[asks])
    if len(keys):  # written in this batch, but before the question
        at = np.minimum(np.searchsorted(keys, key[asks]), len(keys) - 1)
        orphan &= ~((keys[at] == key[asks]) & (outs[first][at] < asks))
    for rule, which in (("orphan-read", Kind.SWAP_IN), ("orphan-free", Kind.SLOT_FREE)):
        broken = np.zeros(len(batch), np.bool_)
        broken[asks[orphan & (kind[asks] == which)]] = True
        tally.add(rule, broken, batch.first)
    return np.union1d(written, keys)


def _contains(sorted_keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> _Mask:
    if len(sorted_keys) == 0:
        return np.zeros(len(wanted), np.bool_)
    at = np.minimum(np.searchsorted(sorted_keys, wanted), len(sorted_keys) - 1)
    found: _Mask = sorted_keys[at] == wanted
    return found


class _Folios:
    """Large folios swapped out: rows of one (ts, pfn - sub, order) must be subs 0 .. 2**order - 1, each once.

    The rows of the newest instant wait for the next batch, which may go on with them.
    """

    def __init__(self) -> None:
        self._rows: NDArray[Any] = np.empty((0, 5), np.int64)  # ts, pfn - sub, order, sub, file row

    def feed(self, batch: EventBatch, tally: _Tally) -> None:
        at = np.flatnonzero((batch["kind"] == Kind.SWAP_OUT) & (batch["order"] > 0) & (batch["pfn"] >= 0))
        fresh = [
            batch["ts"][at],
            batch["pfn"][at] - batch["sub"][at],
            batch["order"][at],
            batch["sub"][at],
            at + batch.first,
        ]
        rows = np.concatenate([self._rows, np.stack(fresh, axis=1).astype(np.int64)])
        whole = rows[:, 0] < batch["ts"][-1]
        self._rows = rows[~whole]
        self._check(rows[whole], tally)

    def finish(self, tally: _Tally) -> None:
        self._check(self._rows, tally)

    @staticmethod
    def _check(rows: NDArray[np.int64], tally: _Tally) -> None:
        if len(rows) == 0:
            return
        rows = rows[np.lexsort((rows[:, 3], rows[:, 2], rows[:, 1], rows[:, 0]))]
        start = np.append(True, (rows[1:, :3] != rows[:-1, :3]).any(axis=1))
        group = np.cumsum(start) - 1
        position = np.arange(len(rows)) - np.flatnonzero(start)[group]
        short = np.bincount(group) != 1 << rows[start, 2]
        broken = short[group] | (rows[:, 3] != position)
        if broken.any():
            tally.add("folio-rows", np.ones(int(broken.sum()), np.bool_), int(rows[broken, 4].min()))
