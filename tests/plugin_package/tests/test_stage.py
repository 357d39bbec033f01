"""look-on keeps the laws, and among them: it changes no figure."""

import pytest

from swaptrace.testing import policy_contract


@pytest.mark.parametrize("layout", ["swap-table", "vswap-v6+dedup"])
def test_look_on(layout: str) -> None:
    policy_contract(f"{layout}+look-on", seeds=[1])
