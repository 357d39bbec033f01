"""Random event streams: those of swaptrace.testing."""

from __future__ import annotations

from swaptrace.testing.streams import MemoryTrace, random_trace

__all__ = ["MemoryTrace", "random_trace"]
