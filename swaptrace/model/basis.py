"""The exact basis of a report's prices: what the cost model multiplies, as JSON. It holds no price."""

from __future__ import annotations

from dataclasses import dataclass, field

from swaptrace.model.ops import Backing, Op

__all__ = ["Basis", "PageClass"]


@dataclass(frozen=True, order=True)
class PageClass:
    """Ops that cost the same: one op, its backing, its table walks and its distinct dependent cache lines."""

    op: Op
    backing: Backing
    walks: int
    lines: int

    @property
    def key(self) -> str:
        """The class as text: ``out.disk.3.4``."""
        return f"{self.op.name}.{self.backing.name}.{self.walks}.{self.lines}".lower()

    @property
    def way(self) -> str:
        """Op and backing as text: ``out.disk``."""
        return f"{self.op.name}.{self.backing.name}".lower()

    @staticmethod
    def of(key: str) -> PageClass:
        """Return the class of a key. Raises :class:`ValueError` if it is none.

        >>> PageClass.of("out.disk.3.4").key
        'out.disk.3.4'
        """
        try:
            op, backing, walks, lines = key.split(".")
            found = PageClass(Op[op.upper()], Backing[backing.upper()], int(walks), int(lines))
        except (KeyError, ValueError) as error:
            raise ValueError(f"{key!r} is no class of ops") from error
        if found.key != key:
            raise ValueError(f"{key!r} is no class of ops")
        return found


@dataclass(frozen=True)
class Basis:
    """How many pages there are of each class, and what else is priced.

    ``pages``: by ``op.backing.walks.lines`` (:class:`PageClass`), pages of 4 KiB. ``work``: by ``op.backing``, the
    parameters of the cost model that one page of it pays besides its walks and lines; a class that is missing here has
    no latency. ``discarded_pages`` are those reported to the device as dead, ``erase_blocks`` those that the replayed
    device has (0: no translation layer was replayed).
    """

    pages: dict[str, int] = field(default_factory=dict)
    work: dict[str, tuple[str, ...]] = field(default_factory=dict)
    discarded_pages: int = 0
    erase_blocks: int = 0

    def __post_init__(self) -> None:
        if min((*self.pages.values(), self.discarded_pages, self.erase_blocks)) < 0:
            raise ValueError("a count below zero")
        for key in self.pages:
            PageClass.of(key)

    def classes(self, op: Op) -> list[tuple[PageClass, int]]:
        """Return the classes of ``op`` with their pages, in order."""
        found = ((PageClass.of(key), pages) for key, pages in self.pages.items())
        return sorted((each, pages) for each, pages in found if each.op == op and pages)
