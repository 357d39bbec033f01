"""Why a kernel refuses the BPF tier, in words; and what it allows, feature by feature, for the doctor."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from swaptrace.capture.bpf.bases import Bases
from swaptrace.capture.bpf.libbpf import LoadError, library
from swaptrace.capture.bpf.programs import OBJECT, Settings, load_programs
from swaptrace.model.errors import CapabilityError, PermissionDenied, SwaptraceError

__all__ = ["Feature", "features", "problem", "refusal"]

_BTF = Path("/sys/kernel/btf/vmlinux")
_SMALL_RING = 1 << 16
_STEP = "Without BPF: swaptrace record --tier tracepoint"
_MEANING = {
    errno.EPERM: "the kernel's policy forbids it (no CAP_BPF and CAP_PERFMON, or lockdown)",
    errno.EACCES: "the kernel's policy forbids it, or its verifier rejects a program",
    errno.EINVAL: "this kernel's verifier rejects a program, or a type differs",
    errno.ENOENT: "this kernel has no such tracepoint",
    errno.ENOMEM: "there is no memory for the ring buffer: use a smaller --buffer",
    errno.E2BIG: "this kernel's verifier finds a program too large",
    errno.EOPNOTSUPP: "this kernel is built without it",
}


@dataclass(frozen=True)
class Feature:
    """One part of the BPF tier on this machine: whether it works, else the errno (0: none) and the reason."""

    name: str
    works: bool
    errno: int = 0
    reason: str = ""


def refusal(error: OSError) -> SwaptraceError:
    """Return the error for a user whose machine refused the BPF tier with ``error``."""
    number = error.errno or 0
    name = errno.errorcode.get(number, str(number))
    where = f" ({error.filename})" if error.filename else ""
    why = f"{name}: {_MEANING.get(number, os.strerror(number))}{where}."
    what = "the kernel refuses the BPF programs."
    if number in (errno.EPERM, errno.EACCES):
        return PermissionDenied(what, why, _STEP if os.geteuid() == 0 else f"Run it with sudo. {_STEP}")
    return CapabilityError(what, why, _STEP)


def problem() -> SwaptraceError | None:
    """Return why the BPF tier is impossible here, or None: the programs are loaded for a moment, not attached."""
    missing = _missing()
    if missing is not None:
        return CapabilityError("the BPF tier cannot be used.", missing.reason, _STEP)
    try:
        load_programs(Settings(_SMALL_RING, frees=False)).object.close()
    except OSError as error:
        return refusal(error)
    return None


def _missing() -> Feature | None:
    try:
        library()
    except OSError:
        return Feature("libbpf", False, errno.ENOENT, "libbpf.so.1 is not installed (apt install libbpf1).")
    except AttributeError as error:
        return Feature("libbpf", False, 0, f"libbpf.so.1 is too old: {error}.")
    if not _BTF.exists():
        return Feature("BTF", False, errno.ENOENT, f"{_BTF} is missing: CONFIG_DEBUG_INFO_BTF is off.")
    if not OBJECT.exists():
        return Feature("object", False, errno.ENOENT, f"{OBJECT.name} is missing in this installation: make bpf")
    return None


def features() -> tuple[Feature, ...]:
    """Return what works here: libbpf, BTF, loading, base addresses (content and faults), frees in their function."""
    missing = _missing()
    if missing is not None:
        return (missing,)
    found = [Feature("libbpf", True), Feature("BTF", True)]
    try:
        programs = load_programs(Settings(_SMALL_RING))
    except LoadError as error:
        why = refusal(error).why
        return (*found, Feature("load", False, error.errno or 0, why))
    with programs.object:
        found.append(Feature("load", True))
        found.append(_bases_feature(programs.bases))
        free = Feature("slot frees", bool(programs.frees), 0, programs.frees or programs.refused)
        zero = Feature(
            "zero swap-ins", programs.zero_events, 0, "" if programs.zero_events else "no count_memcg_events"
        )
        return (*found, free, zero)


def _bases_feature(bases: Bases) -> Feature:
    return Feature("content and faults", bases.known, 0, bases.how or bases.why)
