"""The ring buffer of the BPF tier, without a kernel."""

from __future__ import annotations

import os
import struct
import time
from typing import Any

import pytest
from numpy.typing import NDArray

from swaptrace.capture.bpf.recorder import ring_bytes
from swaptrace.capture.bpf.ring import Ring
from swaptrace.ingest.bpf.records import RECORD
from tests.unit.bpf_raw import some_records


class FakeRing:
    """The memory of a ring buffer: the consumer's page, the producer's page, the data (not wrapped)."""

    SIZE = 1 << 16

    def __init__(self) -> None:
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, 2 * 4096 + 2 * self.SIZE)
        self.end = 0

    def put(self, records: NDArray[Any], busy: int | None = None) -> None:
        data = records.copy()
        data["ring"] = RECORD.itemsize - 8
        if busy is not None:
            data["ring"][busy] |= 1 << 31
        os.pwrite(self.fd, data.tobytes(), 2 * 4096 + self.end)
        self.end += data.nbytes
        os.pwrite(self.fd, struct.pack("=Q", self.end), 4096)

    def commit(self, at: int) -> None:
        os.pwrite(self.fd, struct.pack("=Q", RECORD.itemsize - 8), 2 * 4096 + at * RECORD.itemsize)


def test_the_ring_is_drained_up_to_the_first_busy_record() -> None:
    fake = FakeRing()
    ring = Ring(fake.fd, fake.SIZE)
    assert ring.drain(0) is None
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    fake.put(some_records(10), busy=4)
    chunk = ring.drain(0)
    assert chunk is not None
    assert len(chunk.records) == 4
    assert chunk.watermark < before  # record 4 is older than what comes behind it, and not there yet
    assert ring.drain(0) is None
    fake.commit(4)
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    chunk = ring.drain(3)
    assert chunk is not None
    assert chunk.records["ts"].tolist() == list(range(1004, 1010))
    assert before <= chunk.watermark
    assert chunk.watermark <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert after <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert chunk.lost == 3
    assert struct.unpack("=Q", os.pread(fake.fd, 8, 0)) == (10 * RECORD.itemsize,)
    assert ring.most_used == 10 * RECORD.itemsize
    os.close(fake.fd)


def test_the_watermark_waits_for_what_was_busy() -> None:
    """Records that follow a busy one may be older than the moment when they were seen."""
    fake = FakeRing()
    ring = Ring(fake.fd, fake.SIZE)
    fake.put(some_records(2), busy=1)
    chunk = ring.drain(0)
    seen = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    fake.commit(1)
    fake.put(some_records(3), busy=2)  # now a later record is busy
    later = ring.drain(0)
    assert chunk is not None
    assert later is not None
    assert len(later.records) == 3
    assert later.watermark <= seen
    os.close(fake.fd)


def test_the_ring_has_room_for_all_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert ring_bytes(32 << 10) == 128 << 20
    assert ring_bytes(1) == 1 << 16
    assert ring_bytes(1 << 30) == 1 << 30
