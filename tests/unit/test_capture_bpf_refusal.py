"""Where the BPF tier is refused: what is said, and the tier that is taken instead."""

from __future__ import annotations

import errno

import pytest

from swaptrace.capture import backends
from swaptrace.capture.backends import choose
from swaptrace.capture.bpf.refusal import refusal
from swaptrace.model.errors import CapabilityError, PermissionDenied, SwaptraceError, UsageError


def test_a_refusal_says_its_errno_and_what_it_means() -> None:
    denied = refusal(OSError(errno.EPERM, "Operation not permitted", "load"))
    assert isinstance(denied, PermissionDenied)
    assert "EPERM" in denied.why
    assert "policy" in denied.why
    assert "--tier tracepoint" in denied.next_step
    assert isinstance(refusal(OSError(errno.EINVAL, "")), CapabilityError)


def possible(name: str, tier: str, problem: SwaptraceError | None = None) -> backends.Backend:
    return backends.Backend(name, tier, lambda: problem, lambda plan: None)  # type: ignore[arg-type, return-value]


def test_a_refused_tier_falls_back_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    no = refusal(OSError(errno.EPERM, "", "load"))
    table = {b.name: b for b in (possible("bpf", "bpf", no), possible("tracefs", "tracepoint"))}
    monkeypatch.setattr(backends, "backends", lambda: table)
    chosen, notes = choose()
    assert chosen.name == "tracefs"
    assert len(notes) == 1
    assert "EPERM" in notes[0]
    with pytest.raises(PermissionDenied, match="refuses"):
        choose(tier="bpf")
    with pytest.raises(UsageError, match="not of the tier"):
        choose("tracefs", "bpf")
    with pytest.raises(UsageError, match="unknown tier"):
        choose(tier="bfp")
