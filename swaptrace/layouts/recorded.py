"""No layout at all: entries are the recorded slots, and nothing is charged. Only device traffic has a meaning.

Rule. The entry of an object is the slot that the recording kernel gave it. There are no walks, no lines and no
metadata: the indirection figures are absent from the report.
"""

from __future__ import annotations

from swaptrace.model.component import Layout, Space
from swaptrace.model.ledger import Ledger
from swaptrace.model.meta import Capability
from swaptrace.model.ops import Ops

__all__ = ["Recorded"]


class Recorded(Layout):
    """The recorded slots themselves."""

    name = "recorded"
    summary = "the slots as recorded, no indirection figures"
    direct = True
    requires = (Capability.SLOT,)
    columns = ("slot",)
    assumptions = ("The only policy that sees recorded slots: all others re-key them.",)
    references = ("vmscan:mm_vmscan_write_folio, block:block_bio_queue",)

    def start(self, space: Space, ledger: Ledger) -> None:
        """Begin a replay."""

    def enter(self, ops: Ops) -> None:
        """Take the recorded slot as the entry."""
        ops.entry = ops.columns["slot"]

    def feed(self, ops: Ops) -> None:
        """Charge nothing."""
