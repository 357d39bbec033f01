"""What is said where a policy is refused, by its parts alone or by what the trace does not show."""

from __future__ import annotations

import pytest

from swaptrace.model.errors import CapabilityError, SwaptraceError, UsageError
from swaptrace.model.meta import Capability, Sight
from swaptrace.policies.registry import resolve
from swaptrace.replay.engine import replay
from tests.streams import random_trace

__all__ = ["refusal", "refusal_without_sizes"]


def refusal(spec: str) -> str:
    """Return what, why and the next step, as one line, where ``spec`` is refused."""
    with pytest.raises(UsageError) as error:
        resolve(spec)
    return _said(error.value)


def refusal_without_sizes(spec: str) -> str:
    """Return the same where the trace has no compressed sizes."""
    trace = random_trace(1, 100)
    trace.meta.capabilities[Capability.CLEN] = Sight.ABSENT
    with pytest.raises(CapabilityError) as error:
        replay(trace.cut([]), [resolve(spec)])
    return _said(error.value)


def _said(error: SwaptraceError) -> str:
    return f"{error.what} {error.why} {error.next_step}"
