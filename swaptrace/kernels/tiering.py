"""Which tier each block is in: filled from the top, and moved down when it has been idle for long.

Rule. Tiers are numbered from the top. A block *takes* a slot of the first tier that its memory cgroup may use and that
has a free one (a tier has one slot less than its size: the swap header), and gives it back to the tier it is in then.
A block is *touched* when it takes a slot, is stored over in place, or is fetched.

With demotion, an op that did any of these things then looks at the tiers from the top, the lowest one left out: while
the block of the tier whose latest touch came before those of all others (several may have one time) is idle for
``age`` ns or more, it moves to the next lower tier that its cgroup may use and that has a free slot; there it counts as
touched now. A block whose cgroup may use no lower tier is not looked at again until it is touched; where lower tiers
are full, looking stops for this tier.
"""

from __future__ import annotations

from swaptrace.kernels.acts import Act, Acts
from swaptrace.kernels.loop import engine_name
from swaptrace.kernels.tables import Bools, Bytes, Ints, Ints32
from swaptrace.kernels.tiering_lists import ListTiering
from swaptrace.kernels.tiering_loop import LoopTiering

__all__ = ["Act", "Acts", "Tiering"]


class Tiering:
    """Tiers of ``capacity`` slots each; ``age`` in ns, 0: blocks stay where they are."""

    def __init__(self, capacity: list[int], age: int) -> None:
        form = LoopTiering if engine_name() == "numba" else ListTiering
        self._form: LoopTiering | ListTiering = form(capacity, age)

    def feed(
        self, ts: Ints, gives: Bools, takes: Bools, stores: Bools, fetches: Bools, drop: Ints32, block: Ints32,
        allowed: Bytes,
    ) -> Acts:  # fmt: skip
        """Run the ops in order: ``drop`` gives its slot back, then ``block`` takes one, is stored, or is fetched.

        Raises:
            SpaceError: no tier that the cgroup may use has a free slot.
        """
        return self._form.feed(ts, gives, takes, stores, fetches, drop, block, allowed)
