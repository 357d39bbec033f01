"""The choice of the engine, and what a loop is given in each."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from swaptrace.kernels.loop import Engine, engine_name, loop, using_engine
from swaptrace.kernels.tables import LOWEST_BIT, Ints, grown, readable
from swaptrace.model.errors import UsageError
from tests.engines import ENGINES


@loop
def prefix_sums(values: Ints, out: Ints) -> int:
    total = 0
    for i in range(len(values)):
        total += values[i]
        out[i] = total
    return total


@pytest.mark.parametrize("engine", ENGINES)
def test_a_loop_changes_the_callers_arrays(engine: Engine) -> None:
    out = np.zeros(5, np.int64)
    with using_engine(engine):
        assert engine_name() == engine
        assert prefix_sums(readable([3, -1, 0, 2, 1], np.int64), out) == 5
    assert out.tolist() == [3, 2, 2, 4, 5]


def test_engine_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWAPTRACE_ENGINE", "numpy")
    assert engine_name() == "numpy"
    monkeypatch.setenv("SWAPTRACE_ENGINE", "nunba")
    with pytest.raises(UsageError, match="nunba") as caught:
        engine_name()
    assert caught.value.why == "did you mean 'numba'?"


def test_numba_that_is_asked_for_and_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swaptrace.kernels.loop._numba_is_installed", lambda: False)
    monkeypatch.setenv("SWAPTRACE_ENGINE", "numba")
    with pytest.raises(UsageError, match="not installed"):
        engine_name()
    monkeypatch.delenv("SWAPTRACE_ENGINE")
    assert engine_name() == "numpy"


def test_importing_kernels_does_not_import_numba() -> None:
    code = "import sys, swaptrace.kernels.flashlog, swaptrace.kernels.ftl; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_lowest_bit() -> None:
    for x in (1, 2, 3, 12, 1 << 31, (1 << 32) - 1, 0xF000_0000):
        assert LOWEST_BIT[(x & -x) % 37] == bin(x)[::-1].index("1")


def test_tables_grow_by_doubling() -> None:
    table = np.arange(100, dtype=np.int32)
    assert grown(table, 100, -1) is table
    wider = grown(table, 101, -1)
    assert wider.tolist() == [*range(100)] + [-1] * 100
    assert wider.dtype == np.int32


def test_readable_does_not_copy_what_is_right_already() -> None:
    column = np.arange(10, dtype=np.int64)
    view = readable(column, np.int64)
    assert np.shares_memory(column, view)
    assert column.flags.writeable
    assert not view.flags.writeable
    assert readable(column[::2], np.int64).tolist() == [0, 2, 4, 6, 8]
