"""One process that imports damaged recordings: ``python -m tests.fuzz.child FORMAT FIRST COUNT NOTES FAULT``.

A variant may become a trace or be refused with a :class:`SwaptraceError`. Anything else ends the process: another
exception or a warning, a variant that takes longer than ``SECONDS`` (the alarm kills), one that allocates more than
``MEMORY`` (the limit on the address space, or the peak of the memory in use). ``NOTES`` is a file that always holds the
number of the current variant; ``FAULT`` tests all this: a statement that variant 25 executes.
"""

from __future__ import annotations

import functools
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pydantic

__all__ = ["FORMATS", "MEMORY", "SECONDS", "Tally", "main", "variant"]

SECONDS = 10  # for one variant of a few KB; the median takes 0.02 s
MEMORY = 512 << 20  # bytes beyond what the process needs for whole recordings


@dataclass
class Tally:
    """What became of the variants of one format."""

    variants: int = 0
    imported: int = 0
    refused: int = 0
    seconds: float = 0.0  # all of them
    slowest: float = 0.0  # one of them ...
    which: int = 0  # ... this
    memory: int = 0  # bytes, peak beyond the start


def _seeds() -> dict[str, list[Callable[[random.Random], dict[str, bytes]]]]:
    """Format -> makers of damaged files."""
    from tests.fuzz import bpf, writers
    from tests.fuzz.damage import damaged

    events = [writers.workload(12, cpus) for cpus in (1, 2)]
    out: dict[str, list[Callable[[random.Random], dict[str, bytes]]]] = {}

    def of_files(make: Callable[[list[writers.Event]], dict[str, bytes]]) -> Callable[..., dict[str, bytes]]:
        whole = [make(e) for e in events]

        def one(rng: random.Random) -> dict[str, bytes]:
            files = dict(rng.choice(whole))
            for name in rng.sample(sorted(files), rng.choice((1, 1, min(2, len(files))))):
                files[name] = damaged(files[name], rng)
            return files

        return one

    for form, make in writers.FILES.values():
        out.setdefault(form, []).append(of_files(make))

    def inside(pipe: bool) -> Callable[[random.Random], dict[str, bytes]]:
        """Damage behind the compression, which would else find most of it."""
        wrap = writers.perf_pipe if pipe else writers.perf_file

        def one(rng: random.Random) -> dict[str, bytes]:
            records = damaged(writers.perf_records(rng.choice(events)), rng)
            return {"perf.data": wrap(writers.perf_squeeze(records), True)}

        return one

    out["perf-data"] += [inside(False), inside(True)]
    whole = _parquet(writers.csv(events[0]).encode())
    out["bpf-raw"] = bpf.makers()
    out["parquet"] = [lambda rng: {"t.parquet": damaged(rng.choice(whole), rng)}]
    return out


def _parquet(rows: bytes) -> list[bytes]:
    """A trace of swaptrace, and a file of another recorder."""
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory() as folder:
        text, trace, plain = (Path(folder) / name for name in ("rows.csv", "a.parquet", "b.parquet"))
        text.write_bytes(rows)
        _import(text, "csv", trace)
        table = pq.read_table(trace).replace_schema_metadata(None)
        pq.write_table(table, plain, row_group_size=8)
        return [trace.read_bytes(), plain.read_bytes()]


def _import(path: Path, form: str, out: Path) -> None:
    from swaptrace.ingest.convert import convert
    from swaptrace.ingest.csv_rows import parse_map
    from swaptrace.model.meta import SwapDevice

    options: dict[str, Any] = {}
    if form == "blkparse":
        options["devices"] = [SwapDevice(0, 253 << 20)]
    if form == "csv":
        options["columns"] = parse_map(["tid=pid", "dev=major", "slot=swap_offset"])
    convert([path], out, fmt=form, **options)


def variant(form: str, number: int, folder: Path) -> Path:
    """Write variant ``number`` of a format into ``folder`` and return what to import."""
    makers = FORMATS[form]
    rng = random.Random(f"{form} {number}")
    files = makers[number % len(makers)](rng)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder if len(files) > 1 else folder / next(iter(files))


FORMATS = _seeds()


def _one(form: str, number: int, tally: Tally, fault: str = "") -> None:
    from swaptrace.model.errors import SwaptraceError

    with tempfile.TemporaryDirectory(prefix="fuzz") as name:
        folder = Path(name) / "in"
        folder.mkdir()
        path, out = variant(form, number, folder), Path(name) / "out.parquet"
        start = time.perf_counter()
        signal.alarm(1 if fault else SECONDS)
        try:
            exec(fault)
            _import(path, form, out)
            tally.imported += 1
        except SwaptraceError as error:
            if error.exit_code not in (2, 3, 4) or not error.what:
                raise
            tally.refused += 1
            if left := [p.name for p in Path(name).iterdir() if p != folder]:
                raise AssertionError(f"a refused import left {left}") from error
        finally:
            signal.alarm(0)
        spent = time.perf_counter() - start
        tally.variants += 1
        tally.seconds += spent
        if spent > tally.slowest:
            tally.slowest, tally.which = spent, number


def main(form: str, first: int, count: int, notes: Path, fault: str) -> Tally:
    """Import variants ``first`` to ``first + count`` and return what became of them."""
    warnings.simplefilter("error")
    pydantic.TypeAdapter = functools.cache(pydantic.TypeAdapter)  # type: ignore[misc, assignment]  # a third of the time
    tally = Tally()
    for number in range(first, first + min(count, 20)):  # imports, thread pools and caches come before the limits
        _one(form, number, Tally())
    before = _in_use()
    space = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (space + 2 * MEMORY, resource.RLIM_INFINITY))
    for number in range(first, first + count):
        notes.write_text(str(number))
        _one(form, number, tally, fault if number == 25 else "")
        tally.memory = max(tally.memory, _in_use() - before)
        assert tally.memory <= MEMORY, f"{tally.memory:,} bytes of memory"
    return tally


def _in_use() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


if __name__ == "__main__":
    done = main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5])
    print(json.dumps(asdict(done)))
