"""Op-at-a-time twins of every layout, by name, written from the rules in their docstrings: one file each."""

from __future__ import annotations

from tests.oracle.layouts.base import SlowLayout
from tests.oracle.layouts.direct import SlowDirect
from tests.oracle.layouts.stacked import SlowStacked
from tests.oracle.layouts.swap_table import SlowSwapTable
from tests.oracle.layouts.vswap_module import SlowVswapModule
from tests.oracle.layouts.vswap_table import SlowVswapTable
from tests.oracle.layouts.vswap_v5 import SlowVswapV3, SlowVswapV5
from tests.oracle.layouts.vswap_v6 import SlowVswapV6

__all__ = ["LAYOUTS", "SlowLayout"]

LAYOUTS: dict[str, type[SlowLayout]] = {
    "direct": SlowDirect,
    "swap-table": SlowSwapTable,
    "vswap-v3": SlowVswapV3,
    "vswap-v5": SlowVswapV5,
    "vswap-v6": SlowVswapV6,
    "vswap-table": SlowVswapTable,
    "vswap-module": SlowVswapModule,
    "stacked": SlowStacked,
}
