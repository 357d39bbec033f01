"""Tests for layouts and stages: one suite of laws, for those built in and for your own. It needs no test framework."""

from swaptrace.testing.contract import policy_contract
from swaptrace.testing.laws import LAWS
from swaptrace.testing.streams import MemoryTrace, ops_of, random_stream, random_trace
from swaptrace.testing.twin import assert_figures

__all__ = ["LAWS", "MemoryTrace", "assert_figures", "ops_of", "policy_contract", "random_stream", "random_trace"]
