"""What a layout and a stage are: their protocols, their parameters, and what they say about themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Protocol

from swaptrace.model.contents import ContentSizes
from swaptrace.model.errors import UsageError, closest
from swaptrace.model.ledger import Ledger
from swaptrace.model.meta import Capability
from swaptrace.model.ops import Backing, Op, Ops
from swaptrace.model.units import parse_bytes, parse_share, parse_time_ns

__all__ = [
    "PREFER",
    "PRIORITIES",
    "Account",
    "Area",
    "Component",
    "Layout",
    "Param",
    "Role",
    "Space",
    "Stage",
    "bytes_or_share",
    "bytes_param",
    "choice",
    "count_param",
    "share_param",
    "size_param",
    "time_param",
]

PAGE = 4096
_MOST_BYTES, _MOST_SHARE, _MOST_COUNT = 8 << 40, 10.0, (1 << 31) - 1  # addresses in pages are kept as int32
_LEAST_SLOTS = 512  # one cluster
_MOST_AREAS = 4


class Area(NamedTuple):
    """One of several swap devices that lie behind one another: its first slot, a cluster boundary; its slots, the
    header included; its priority (the highest is used first).
    """

    first: int
    slots: int
    priority: int


@dataclass(frozen=True)
class Space:
    """Where a policy runs: the swap slots that the recording had, header pages included.

    ``bases`` tells at which slot each swap type begins if all devices lie behind one another; ``areas`` are these
    devices, in the same order. ``ram`` is the RAM of the recorded machine in bytes, 0 where the trace does not say it;
    ``contents`` reads the sample of contents beside the trace (raises :class:`CapabilityError` where there is none).
    """

    slots: int
    bases: tuple[tuple[int, int], ...] = ()
    areas: tuple[Area, ...] = ()
    ram: int = 0
    contents: Callable[[], ContentSizes] | None = None

    def by_priority(self, owner: str) -> tuple[Area, ...]:
        """Return the devices for ``owner``, a part with priorities=on. Raises :class:`UsageError` unless there are 2 to
        4 of them.
        """
        if not 2 <= len(self.areas) <= _MOST_AREAS:
            raise UsageError(
                f"{owner}: priorities=on cannot act.",
                f"The trace names {len(self.areas)} swap device(s) of known size; it takes 2 to {_MOST_AREAS}.",
                "Leave it out.",
            )
        return self.areas


@dataclass(frozen=True)
class Param:
    """One parameter of a layout or stage: how it is written, what it means, its default as text.

    ``examples`` are other values for tests with random compositions: values that act on a trace of a thousand pages.
    """

    name: str
    default: str
    doc: str
    parse: Callable[[str], Any]
    unit: str = ""
    examples: tuple[str, ...] = ()

    def value(self, text: str, owner: str) -> Any:
        """Return the value that ``text`` names; a wrong one says which parameter of which ``owner``."""
        try:
            return self.parse(text)
        except UsageError as error:
            raise UsageError(f"{owner}:{self.name}={text}: {error.what}", error.why, error.next_step) from error


def bytes_param(name: str, default: str, doc: str, examples: tuple[str, ...] = ()) -> Param:
    """Return a parameter in bytes, a whole number of 4 KiB pages."""
    return Param(name, default, doc, _bytes, "bytes", examples)


def _bytes(text: str) -> int:
    size = parse_bytes(text)
    if size <= 0 or size % PAGE:
        raise UsageError("not a whole number of 4 KiB pages.", "", "For example 4MiB.")
    if size > _MOST_BYTES:
        raise UsageError("more than 8TiB.", "Addresses on a replayed device have 31 bits, in pages.")
    return size


def share_param(name: str, default: str, doc: str, examples: tuple[str, ...] = ()) -> Param:
    """Return a parameter that is a share, as 7% or 0.07."""
    return Param(name, default, doc, _share, "share", examples)


def _share(text: str) -> float:
    share = parse_share(text)
    if share > _MOST_SHARE:
        raise UsageError("more than 1000%.")
    return share


def bytes_or_share(text: str) -> int | float:
    """Return bytes (int), a whole number of 4 KiB pages; or a share (float), where a % is behind it."""
    return _share(text) if text.endswith("%") else _bytes(text)


def time_param(
    name: str, default: str, doc: str, never: tuple[str, int], least: int = 0, examples: tuple[str, ...] = ()
) -> Param:
    """Return a parameter that is a time, kept in ns, at least ``least``; ``never``: a word for none, and its value."""

    def parse(text: str) -> int:
        return never[1] if text == never[0] else max(least, parse_time_ns(text))

    return Param(name, default, doc, parse, "time", examples)


def count_param(name: str, default: str, doc: str, least: int = 0, examples: tuple[str, ...] = ()) -> Param:
    """Return a parameter that is a whole number."""

    def parse(text: str) -> int:
        if not text.isdigit() or not least <= int(text) <= _MOST_COUNT:
            raise UsageError(f"not a whole number from {least} to {_MOST_COUNT}.")
        return int(text)

    return Param(name, default, doc, parse, "1", examples)


def size_param() -> Param:
    """Return the parameter ``size`` of stages that place pages: slots of the device, 0 for the recorded number."""

    def parse(text: str) -> int:
        if not text.isdigit() or not (text == "0" or _LEAST_SLOTS <= int(text) <= _MOST_COUNT):
            raise UsageError(f"neither 0 nor a whole number of slots from {_LEAST_SLOTS} to {_MOST_COUNT}.")
        return int(text)

    doc = "slots of the device; 0: as many as the recording had"
    return Param("size", "0", doc, parse, "slots", ("4096", "6000"))


def choice(
    name: str, default: str, doc: str, options: Mapping[str, Any], examples: tuple[str, ...] | None = None
) -> Param:
    """Return a parameter that is one of the names in ``options``; all of them are examples unless some are given."""

    def parse(text: str) -> Any:
        if text not in options:
            raise UsageError(f"unknown value {text!r}.", closest(text, options))
        return options[text]

    return Param(name, default, doc, parse, "|".join(options), tuple(options) if examples is None else examples)


PREFER = choice(
    "prefer",
    "nonfull",
    "cluster taken next: nonfull (6.18 and later), or free (before, and with discard)",
    {"nonfull": False, "free": True},
)

PRIORITIES = choice(
    "priorities",
    "off",
    "on: the recorded swap devices are several, used by priority; off: they act as one",
    {"off": False, "on": True},
    examples=(),  # they act on traces of several devices
)


class Component(Protocol):
    """What layouts and stages have in common. Its constructor takes its parsed parameters by name."""

    name: ClassVar[str]
    summary: ClassVar[str]
    params: ClassVar[tuple[Param, ...]] = ()
    key_params: ClassVar[tuple[str, ...]] = ()  # whose values a reader of a table has to know, defaults or not
    requires: ClassVar[tuple[Capability, ...]] = ()
    columns: ClassVar[tuple[str, ...]] = ()  # trace columns that its ops must carry
    assumptions: ClassVar[tuple[str, ...]] = ()
    references: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def asks(cls, texts: Mapping[str, str]) -> tuple[tuple[Capability, ...], tuple[str, ...]]:
        """Return what a trace must show and the columns that its ops must carry, with these texts of the parameters."""
        return cls.requires, cls.columns

    def warnings(self) -> Iterator[str]:
        """Yield what a reader of the figures should know of this replay: parameters that met nothing in the trace."""
        yield from ()


@dataclass(frozen=True)
class Account:
    """What a stage says became of pages, for the laws of conservation (:mod:`swaptrace.testing`); all are in pages.

    ``kept`` were written out and go no further down: elided, merged, shared or absorbed for good, or held at the
    moment. ``added`` the stage wrote to the device besides: copies of a cleaner, moves, padding. ``entryless`` are
    live objects that have no swap entry of their own at the moment: mapped zero pages, merged ones. ``stale`` are
    blocks that the stage keeps below at the moment although no object has them.
    """

    kept: int = 0
    added: int = 0
    entryless: int = 0
    stale: int = 0


class Role(IntEnum):
    """Where in a path a stage stands."""

    CONTENT = 0  # decides what becomes of the content of a page; may reshape the stream of ops
    PLACEMENT = 1  # puts pages on the swap device; after the layout gave out its entries; a path has one
    DEVICE = 2  # what the device does with the pages written to it


class Stage(Component, Protocol):
    """One thing that happens to page content on its way down.

    ``feed`` gets every op of the trace once, in time order, cut anywhere; it annotates the batch in place (see
    :class:`swaptrace.model.ops.Ops`) and may put exact counts and gauges into the ledger. It returns the batch, or,
    if its role is content, another in its place: without ops that never become swap, or with ops that it causes.
    """

    role: ClassVar[Role] = Role.CONTENT
    over_ftl: ClassVar[bool] = True  # a placement: pages go to one device with a translation layer of its own
    moves: bool = False  # a placement: pages move on the device after they were written out
    gives_entries: ClassVar[bool] = False  # a placement: under a direct layout it hands out the slots instead
    under_mixed: ClassVar[bool] = False  # a placement: it also hands out the slots that are swap entries (ops.mapped)
    pages: int = 0  # size in pages of the device that it writes to; 0 for stages that write to none
    areas: tuple[Area, ...] = ()  # the devices that these pages are, if several
    models: tuple[str, ...] = ()  # beginnings of the names of figures that its parameters make modelled, not exact
    compressors: Mapping[Backing, str] = MappingProxyType({})  # lz4 or zstd, by backing; lz4 where it does not say

    def start(self, space: Space, ledger: Ledger, layout: Layout, above: Stage | None) -> None:
        """Begin a replay; ``above`` is the stage before this one in the path, started already."""

    def feed(self, ops: Ops) -> Ops:
        """Handle one batch; return what the stages below see of it."""

    def finish(self) -> None:
        """End the replay: add what is known only now. Most stages have nothing left to add."""
        return

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield the figures that only this stage has: names of the metric table and their values."""
        yield from ()

    def account(self) -> Account:
        """Return what became of the pages of all batches so far. Stages that pass every page on have nothing to say:

        writeouts = sum of ``kept`` over the path + pages written to the device - sum of ``added``.
        """
        return Account()

    def remains(self) -> Mapping[str, int]:
        """Return what dead pages still hold now, by gauge: nothing, or so much."""
        return MappingProxyType({})

    def idle(self) -> bool:
        """Return whether it has had nothing to do so far: then it may change no figure but its own."""
        return self.account() == Account()

    def work(self, op: Op, backing: Backing) -> tuple[str, ...]:
        """Return the cost parameters that each page of this op and backing pays here, besides what its backing
        costs by itself (:mod:`swaptrace.model.work`): checks and hashes on its way down.
        """
        return ()


class Layout(Component, Protocol):
    """How a swap entry resolves to its data. ``direct`` layouts hand out physical slots as swap entries; ``mixed`` ones
    are virtual, but have entries that are physical slots, too (``ops.mapped``).
    """

    direct: ClassVar[bool]
    entries_per_line: int = 8  # slots to a cache line of the table that the allocator scans
    scan_asks_owners: ClassVar[bool] = False  # the allocator asks the entry of each slot in use that it passes over
    mixed: bool = False
    gives_entries: bool = True  # no: the placement does (``ops.entries``), and nobody asks for ``ops.entry``
    reverse_map: bool = True  # a virtual layout: a physical slot leads back to its entry
    areas: tuple[Area, ...] = ()  # a direct layout: the devices whose slots it hands out, if several
    virtual_swapoff: ClassVar[bool] = False  # its virtual space can be disabled while physical devices stay
    state_per_slot: ClassVar[tuple[tuple[str, str], ...]] = ()
    lookups: ClassVar[tuple[tuple[str, str, str], ...]] = ()  # op, lookups, cache lines

    def start(self, space: Space, ledger: Ledger) -> None:
        """Begin a replay."""

    def cached(self) -> Mapping[str, int]:
        """Return what each CPU may keep when no object lives any more, by gauge: nothing, or so much."""
        return MappingProxyType({})

    def beside(self) -> int:
        """Return how many swap entries are in use now that the gauge of virtual slots does not count: physical slots
        beside virtual ones, where a layout has both.
        """
        return 0

    def enter(self, ops: Ops) -> None:
        """Before pages are placed: give each new object its swap entry (``ops.entry``)."""

    def feed(self, ops: Ops) -> None:
        """After the stages: charge lookups, cache lines and metadata by op and backing."""
