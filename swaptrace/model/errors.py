"""Errors a user sees: what happened, why, and what to do next, with a documented exit code.

Every error that is meant for a user is a :class:`SwaptraceError`; the command line prints its three lines and
exits with its code. Anything else that escapes is a bug in swaptrace: the command line says so in three lines, too,
with how to report it, and exits with 70; ``--debug`` prints the traceback of either kind before the lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "CapabilityError",
    "InputError",
    "PermissionDenied",
    "SpaceError",
    "SwaptraceError",
    "UsageError",
    "WriteError",
    "closest",
]


class SwaptraceError(Exception):
    """Base of all expected errors: ``what`` happened, ``why``, and the ``next_step`` for the user."""

    exit_code = 1

    def __init__(self, what: str, why: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.next_step = next_step

    def lines(self) -> list[str]:
        """Return the message as one to three lines, the later ones indented by two spaces."""
        return [f"swaptrace: {self.what}", *(f"  {text}" for text in (self.why, self.next_step) if text)]


class UsageError(SwaptraceError):
    """A command line or a policy spec that cannot be meant as written (exit code 2)."""

    exit_code = 2


class InputError(SwaptraceError):
    """An input that is unreadable, corrupt, not what it claims to be, or of a newer schema (exit code 3)."""

    exit_code = 3


class CapabilityError(SwaptraceError):
    """A trace lacks what a policy needs, or a kernel lacks an event (exit code 4)."""

    exit_code = 4


class SpaceError(SwaptraceError):
    """A replayed device ran out of slots: the figures beyond this point would be fiction (exit code 4)."""

    exit_code = 4


class PermissionDenied(SwaptraceError):
    """The machine refuses an access; the message names the file or the capability (exit code 5)."""

    exit_code = 5


class WriteError(PermissionDenied):
    """A file could not be written to its end: no room is left, or its device failed (exit code 5)."""


def closest(word: str, known: Iterable[str], short: Iterable[str] = ()) -> str:
    """Return ``did you mean 'x'?`` for the closest match of ``word``, else the list of what is known, or a short one.

    >>> closest("bufer", ["buffer", "erase"])
    "did you mean 'buffer'?"
    >>> closest("VSWAP-V6", ["vswap-v6"])
    "did you mean 'vswap-v6'?"
    >>> closest("zzz", ["buffer", "erase"])
    'known: buffer, erase'
    """
    names = sorted(known)
    plain = {name.lower(): name for name in names}
    match = get_close_matches(word.lower(), plain, n=1, cutoff=0.5)
    return f"did you mean {plain[match[0]]!r}?" if match else "known: " + ", ".join(short or names)
