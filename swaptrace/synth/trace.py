"""From a recipe to a trace file: rows become columns of the schema, in blocks whose cuts never show in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import swaptrace
from swaptrace.model.errors import UsageError
from swaptrace.model.events import Backend, Kind
from swaptrace.model.meta import Capability, HashInfo, Sight, SwapDevice, TraceMeta
from swaptrace.model.writer import ROW_GROUP, TraceWriter
from swaptrace.synth.catalogue import make_recipe
from swaptrace.synth.content import HASH, compressed, fill_word, hashed, is_filled
from swaptrace.synth.dice import Dice
from swaptrace.synth.machine import Machine, Rows
from swaptrace.synth.recipe import PAGE, Recipe

__all__ = ["Stream", "columns", "synthesize"]

_DEVICE = 254 << 20  # a zram device; its swap type is 0
_FIRST_CGROUP = 4000  # inode of the cgroup of process 0; each process has its own
_IDLE = 200  # rounds without a row
_COUNTERS = {  # /proc/vmstat's name of what a row of this kind and backend counts
    (Kind.SWAP_IN, Backend.DISK): "pswpin",
    (Kind.SWAP_OUT, Backend.DISK): "pswpout",
    (Kind.SWAP_IN, Backend.ZERO): "swpin_zero",
    (Kind.SWAP_OUT, Backend.ZERO): "swpout_zero",
}


class Stream:
    """The rows of a recipe: ``events`` of them, or up to 511 fewer so that the last folio is whole."""

    def __init__(self, recipe: Recipe, events: int, seed: int) -> None:
        dice = Dice(seed)
        self.recipe, self.events = recipe, events
        pages = recipe.pages(dice)
        self.processes = int(pages.process.max()) + 1
        self._machine = Machine(pages, recipe.hardware(), recipe.mix(), dice)
        self._rounds = recipe.rounds(dice)

    @property
    def slots(self) -> int:
        """Slots of the device, the header page included."""
        return self._machine.slots

    def blocks(self, rows: int) -> Iterator[Rows]:
        """Yield blocks of exactly ``rows`` rows, the last one with the rest."""
        return _regrouped(self._played(), rows)

    def _played(self) -> Iterator[Rows]:
        """Yield rows until there are enough."""
        left, idle = self.events, 0
        for step in self._rounds:
            idle += 1
            for rows in self._machine.play(step):
                count = len(rows["ts"])
                idle = 0 if count else idle
                if count > left:
                    left -= int(rows["sub"][left])  # not into the middle of a folio
                    yield {name: values[:left] for name, values in rows.items()}
                    return
                left -= count
                yield rows
            if not left:
                return
            if idle == _IDLE:
                raise UsageError(
                    f"{self.recipe.name} swaps nothing with these parameters.",
                    f"{_IDLE} rounds in a row found all their pages in memory.",
                    "Set a smaller resident, or spread the touches.",
                )


def columns(rows: Rows) -> tuple[Rows, dict[str, NDArray[np.bool_]]]:
    """Return the columns of the schema for ``rows``, and the masks of ``hash`` and ``fill``.

    As a recorder does, only a swap-out tells its content: hash, fill, compressed size.
    """
    out = rows["kind"] == Kind.SWAP_OUT
    content = rows["content"]
    about = rows["owner"] >= 0
    hashes = hashed(content)
    size = compressed(content, hashes)
    size[~out] = 0
    process = np.where(about, rows["owner"], rows["task"])
    same = ("ts", "kind", "cause", "backend", "cpu", "tgid", "owner_tgid", "slot", "va", "pfn", "order", "sub", "write")
    found = {name: rows[name] for name in same} | {
        "tid": rows["tgid"],
        "comm": rows["task"].astype(np.int32),
        "memcg": (_FIRST_CGROUP + process).astype(np.uint64),
        "dev": np.where(about, np.uint32(_DEVICE), np.uint32(0)),
        "swap_type": np.where(about, np.uint8(0), np.uint8(255)),
        "hash": hashes,
        "fill": fill_word(content),
        "csize": size,
        "incompressible": size == PAGE,
    }
    return found, {"hash": out, "fill": out & is_filled(content)}


def synthesize(
    path: Path,
    name: str,
    given: Mapping[str, str],
    events: int,
    seed: int,
    *,
    block: int = ROW_GROUP,
    progress: Callable[[int, int], None] | None = None,
) -> TraceMeta:
    """Write ``events`` events of the recipe ``name`` to ``path`` and return the header of the trace.

    The same arguments give the same bytes with the same versions of swaptrace and pyarrow, and the same rows, so the
    same digest, with every supported numpy. ``block`` is the number of rows made at a time; the file does not depend
    on it. ``progress(done, total)`` follows in events.

    Errors: :class:`UsageError` for parameters that are unknown, wrong or cannot act, or too few events;
    :class:`PermissionDenied` if ``path`` cannot be written.
    """
    recipe = make_recipe(name, given)
    if events <= recipe.fill:
        raise UsageError(
            f"{events:,} events end before {name} begins.",
            f"The first {recipe.fill:,} events swap out what does not fit into memory.",
            f"Set more --events, or a smaller footprint than {recipe.values['footprint'] >> 20}MiB.",
        )
    stream = Stream(recipe, events, seed)
    words = [f"{name}-{process}" for process in range(stream.processes)]
    counts = np.zeros(1 << 16, np.int64)
    done = 0
    with TraceWriter(path) as writer:
        for rows in _regrouped(stream.blocks(block), ROW_GROUP):
            found, valid = columns(rows)
            writer.write(found, valid, words)
            counts += np.bincount(rows["kind"].astype(np.int64) << 8 | rows["backend"], minlength=1 << 16)
            done += len(rows["ts"])
            if progress is not None:
                progress(done, events)
        return writer.finish(_header(stream, given, seed, counts))


def _regrouped(blocks: Iterator[Rows], rows: int) -> Iterator[Rows]:
    """Yield the rows of ``blocks`` in pieces of ``rows``, the last one with the rest."""
    pending: list[Rows] = []
    waiting = 0
    for block in blocks:
        pending.append(block)
        waiting += len(block["ts"])
        while waiting >= rows:
            joined = {name: np.concatenate([each[name] for each in pending]) for name in block}
            yield {name: values[:rows] for name, values in joined.items()}
            pending = [{name: values[rows:] for name, values in joined.items()}]
            waiting -= rows
    if waiting:
        yield {name: np.concatenate([each[name] for each in pending]) for name in pending[0]}


def _header(stream: Stream, given: Mapping[str, str], seed: int, counts: NDArray[np.int64]) -> TraceMeta:
    recipe, name = stream.recipe, stream.recipe.name
    settings = [f"--set {key}={given[key]}" for key in sorted(given)]
    command = ["swaptrace synth", name, f"--events {stream.events}", f"--seed {seed}", *settings]
    vmstat = {counter: int(counts[kind << 8 | backend]) for (kind, backend), counter in _COUNTERS.items()}
    return TraceMeta(
        tool=f"swaptrace {swaptrace.__version__}",
        kernel="none: synthetic",
        recorder="synth",
        command=" ".join(command),
        cpus=recipe.values["cpus"],
        sources=(f"synth:{name}",),
        devices=(SwapDevice(0, _DEVICE, "synthetic", "zram", stream.slots, 100),),
        vmstat_before=dict.fromkeys(vmstat, 0),
        vmstat_after=vmstat,
        hash=HashInfo(HASH),
        capabilities=dict.fromkeys(Capability, Sight.OBSERVED),
        notes=(
            "synthetic: no kernel made these events; recipe "
            + ", ".join([name, *(f"{p.name}={given.get(p.name, p.default)}" for p in recipe.params)]),
            "nothing was swapped out before the first event",
        ),
    )
