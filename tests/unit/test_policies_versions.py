"""What a plugin asks of swaptrace, in the forms that requirements have."""

from __future__ import annotations

import pytest

from swaptrace.policies.versions import unmet


@pytest.mark.parametrize(
    ("requirement", "met"),
    [
        ("linux-swaptrace", True),
        ("linux-swaptrace>=0.1", True),
        ("linux_swaptrace (>=0.1.0,<0.2)", True),
        ("linux-swaptrace[fast]~=0.1.0", True),
        ("linux-swaptrace==0.1.*", True),
        ("linux-swaptrace!=0.1", False),
        ("linux-swaptrace>0.1.0", False),
        ("linux-swaptrace<=0.0.9", False),
        ("Linux-Swaptrace>=0.2", False),
        ("linux-swaptrace~=0.2.1", False),
        ("linux-swaptrace==1.*", False),
        ("linux-swaptrace>=9; extra == 'future'", True),
        ("linux-swaptrace>=0.1,<0.1", False),
        ("numpy>=99", True),
        ("linux-swaptrace @ file:///somewhere", True),
    ],
)
def test_requirements(requirement: str, met: bool) -> None:
    assert unmet(["numpy", requirement], "0.1.0") == ("" if met else requirement)
