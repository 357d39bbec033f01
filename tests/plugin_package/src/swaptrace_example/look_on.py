"""A stage that only looks: it counts nothing and changes nothing.

Rule. Every op goes on as it came.
"""

from swaptrace.model.component import Layout, Role, Space, Stage
from swaptrace.model.ledger import Ledger
from swaptrace.model.ops import Ops


class Nothing(Stage):
    """Passes everything on."""

    name = "look-on"
    summary = "passes everything on"
    role = Role.CONTENT

    def start(self, space: Space, ledger: Ledger, layout: Layout, above: Stage | None) -> None:
        """Begin a replay."""

    def feed(self, ops: Ops) -> Ops:
        """Pass the batch on."""
        return ops
