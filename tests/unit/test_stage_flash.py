"""What the flash stage refuses, what it needs of a trace, and what packing saves."""

from __future__ import annotations

import pytest

from swaptrace.model.errors import CapabilityError, UsageError
from swaptrace.model.meta import Capability, Sight
from swaptrace.policies.registry import resolve
from swaptrace.replay.engine import replay
from tests.refusals import refusal
from tests.streams import MemoryTrace, random_trace


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("flash-vswap+flash:buffer=2MiB", "smaller than an erase block"),
        ("flash-vswap+flash:low=25%", "low cannot act"),
        ("flash-vswap+flash:pressure=10/1s", "pressure cannot act"),
        ("flash-vswap+flash:buffer=8MiB,low=101%", "more than the buffer"),
        ("flash-vswap+flash:buffer=8MiB,pressure=10", "not PAGES/TIME"),
        ("flash-vswap+flash:buffer=8MiB,pressure=0/1s", "not PAGES/TIME"),
        ("flash-vswap+flash:timer=soon", "is not a time"),
        ("flash-vswap+flash:gc=gredy", "did you mean 'greedy'?"),
        ("flash-device+flash:pack=aligned", "pack cannot act"),
    ],
)
def test_a_parameter_that_cannot_act_is_refused(spec: str, says: str) -> None:
    assert says in refusal(spec)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("flash-vswap+flash:compress=recorded", "cannot act under vswap-v6"),
        ("triple+flash:compress=recorded", "cannot act under stacked"),
        ("flash-device+zswap+flash:compress=recorded", "cannot act under zswap"),
        ("flash-device", "kept free"),
    ],
)
def test_a_combination_that_cannot_be_modelled_is_refused(spec: str, says: str) -> None:
    size = "" if spec == "flash-device" else ",size=8192"
    with pytest.raises(UsageError) as caught:
        replay(random_trace(1, 200, slots=2048).cut([]), [resolve(spec + size)])
    assert says in "\n".join(caught.value.lines())


def test_only_compression_needs_compressed_sizes() -> None:
    assert Capability.CLEN not in resolve("flash-device").requires
    packed = resolve("flash-device+flash:compress=recorded")
    assert Capability.CLEN in packed.requires
    assert "csize" in packed.columns
    trace = random_trace(1, 200, slots=8192)
    trace.meta.capabilities[Capability.CLEN] = Sight.ABSENT
    replay(trace.cut([]), [resolve("flash-device+flash:size=8192")])
    with pytest.raises(CapabilityError, match="flash needs"):
        replay(trace.cut([]), [packed])


def test_packing_saves_writes_and_the_tighter_one_saves_more() -> None:
    trace = random_trace(4, 4000)
    small = "flash-device+flash:buffer=64KiB,erase=64KiB"
    plain, aligned, straddle = (
        written(trace, small + options) for options in ("", ",compress=recorded,pack=aligned", ",compress=recorded")
    )
    assert plain > aligned > straddle > 0


def written(trace: MemoryTrace, spec: str) -> float:
    return replay(trace.cut([]), [resolve(spec)])[0].value("write.host_bytes") or 0
