"""Loops that have no vector form: one plain function over arrays, compiled where numba is installed.

A function under :func:`loop` is written once, over one-dimensional arrays and scalars, with integer
arithmetic that means the same in Python and in C (signed, far from overflow). With the extra ``[fast]``
numba compiles it at its first call; without it the same function runs interpreted, over memoryviews. Both
ways give the same bits.

``SWAPTRACE_ENGINE`` is ``numpy`` (never numba) or ``numba`` (an error if it is missing); unset, numba is used
if it can be imported. Importing this module does not import numba.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, update_wrapper
from importlib.util import find_spec
from typing import Any, Generic, Literal, ParamSpec, TypeVar, cast

import numpy as np

from swaptrace.kernels.tables import scalars
from swaptrace.model.errors import UsageError, closest

__all__ = ["ENGINES", "Engine", "Loop", "engine_name", "loop", "using_engine"]

P = ParamSpec("P")
R = TypeVar("R")
Engine = Literal["numpy", "numba"]
ENGINES: tuple[Engine, ...] = ("numpy", "numba")

_override: ContextVar[Engine | None] = ContextVar("swaptrace_engine", default=None)


@cache
def _numba_is_installed() -> bool:
    return find_spec("numba") is not None


def engine_name() -> Engine:
    """Return the engine in force: ``numba`` or ``numpy``.

    Raises:
        UsageError: ``SWAPTRACE_ENGINE`` is neither, or asks for numba where it is not installed.
    """
    asked = _override.get() or os.environ.get("SWAPTRACE_ENGINE", "")
    if not asked:
        return "numba" if _numba_is_installed() else "numpy"
    if asked not in ENGINES:
        raise UsageError(f"SWAPTRACE_ENGINE={asked} is not an engine", closest(asked, ENGINES))
    if asked == "numba" and not _numba_is_installed():
        raise UsageError(
            "SWAPTRACE_ENGINE=numba, but numba is not installed",
            "the loops run interpreted without it, with the same results",
            "pip install 'linux-swaptrace[fast]', or unset SWAPTRACE_ENGINE",
        )
    return asked


@contextmanager
def using_engine(name: Engine) -> Iterator[None]:
    """Force an engine inside a ``with`` block, in this thread only: tests and benchmarks compare both."""
    token = _override.set(name)
    try:
        yield
    finally:
        _override.reset(token)


class Loop(Generic[P, R]):
    """A loop over arrays that runs compiled or interpreted, as :func:`engine_name` says at each call."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.python = function
        self._compiled: Callable[P, R] | None = None
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the loop; arrays are changed in place."""
        if engine_name() == "numba":
            return self.compiled(*args, **kwargs)
        return self.interpreted(*args, **kwargs)

    @property
    def compiled(self) -> Callable[P, R]:
        """The function compiled by numba (at its first use; the machine code is cached on disk)."""
        if self._compiled is None:
            from numba import njit

            try:
                self._compiled = cast(Callable[P, R], njit(cache=True, nogil=True)(self.python))
            except RuntimeError:  # no directory where numba may keep its cache, as in a read-only container
                self._compiled = cast(Callable[P, R], njit(nogil=True)(self.python))
        return self._compiled

    def interpreted(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function itself, on memoryviews of the arrays."""
        views: list[Any] = [scalars(a) if isinstance(a, np.ndarray) else a for a in args]
        return self.python(*views, **kwargs)


def loop(function: Callable[P, R]) -> Loop[P, R]:
    """Mark a plain function over one-dimensional arrays as a :class:`Loop`."""
    return Loop(function)
