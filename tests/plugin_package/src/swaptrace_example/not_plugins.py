"""What is not a layout, for the tests of what swaptrace says then."""

from swaptrace.model.component import Layout, Space, count_param
from swaptrace.model.ledger import Ledger
from swaptrace.model.ops import Ops

A_NUMBER = 8


class ForgetsItsParams(Layout):
    """Declares a parameter that its constructor does not take."""

    name = "forgets"
    summary = "nothing"
    direct = False
    params = (count_param("word", "8", "bytes of an entry"),)

    def __init__(self) -> None:
        """Take nothing."""

    def start(self, space: Space, ledger: Ledger) -> None:
        """Begin a replay."""

    def enter(self, ops: Ops) -> None:
        """Give no entry."""

    def feed(self, ops: Ops) -> None:
        """Charge nothing."""
