"""What the BPF recorder needs of the kernel."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from swaptrace.capture.doctor.bpf_probe import FUNCTION
from swaptrace.capture.doctor.rights import has_capability
from swaptrace.capture.doctor.root import Check, Root, State

__all__ = ["bpf_loads", "bpf_recorder", "btf", "fentry", "kallsyms", "kprobes", "libbpf"]

SEE_PROBES = "see kprobes and fentry"
_LIBRARIES = ("usr/lib", "usr/lib64", "lib", "lib64", "usr/local/lib")


def btf(root: Root) -> Check:
    """The types of the kernel, by which a program finds its fields."""
    if root.exists("/sys/kernel/btf/vmlinux"):
        return Check("BTF", State.OK, "/sys/kernel/btf/vmlinux")
    return Check("BTF", State.NO, "the kernel does not describe its types", "a kernel with CONFIG_DEBUG_INFO_BTF=y")


def libbpf(root: Root) -> Check:
    """The loader library."""
    for folder in _LIBRARIES:
        for pattern in ("libbpf.so.1", "*/libbpf.so.1"):
            if found := root.names(f"/{folder}", pattern):
                return Check("libbpf", State.OK, f"/{folder}/{found[0]}")
    old = any(root.names(f"/{folder}", f"{depth}libbpf.so.0") for folder in _LIBRARIES for depth in ("", "*/"))
    what = "libbpf.so.0 is too old" if old else "libbpf.so.1 is not installed"
    return Check(
        "libbpf", State.NO, what, "apt install libbpf1 (Debian 12, Ubuntu 22.10 and later), or dnf install libbpf"
    )


def bpf_loads(root: Root) -> Check:
    """Whether an empty raw-tracepoint program loads."""
    error = root.bpf_errno()
    if error == 0:
        return Check("BPF", State.OK, "a raw-tracepoint program loads")
    what = f"the kernel refuses a raw-tracepoint program: {_named(error)}"
    return Check("BPF", State.NO, what, _allow(root, error, "CONFIG_BPF_SYSCALL=y"))


def bpf_recorder(root: Root) -> Iterator[Check]:
    """What the BPF recorder itself says: whether it can start, and which of its parts work."""
    for needed in (libbpf(root), btf(root), bpf_loads(root)):
        if needed.state is State.NO:
            yield Check("BPF recorder", State.NO, f"cannot start without {needed.name}", f"see {needed.name}")
            return
    problem = root.problem("bpf")
    if problem is not None:
        what = problem.what.rstrip(".") + (f": {problem.why.rstrip('.')}" if problem.why else "")
        yield Check("BPF recorder", State.NO, what, problem.next_step)
        return
    yield Check("BPF recorder", State.OK, "it can start")
    features = root.features()
    if "slot frees" in features:
        works, reason = features["slot frees"]
        said = f"on disk swap by {reason}" if works else f"not on disk swap: {reason}"
        yield Check("slot frees", State.OK if works else State.WARN, said, "" if works else SEE_PROBES)
    if "content and faults" in features:
        works, reason = features["content and faults"]
        said = f"hashes and swap PTEs by {reason}" if works else f"no hashes, no swap PTEs of faults: {reason}"
        yield Check("contents", State.OK if works else State.WARN, said, "" if works else "see kallsyms")


def kprobes(root: Root) -> Check:
    """A breakpoint in a function: the exact slot frees on disk swap."""
    kind = root.read("/sys/bus/event_source/devices/kprobe/type")
    if kind is None:
        if root.tracefs and root.exists(f"{root.tracefs}/kprobe_events"):
            return Check("kprobes", State.OK, "through kprobe_events of tracefs (before 4.17); not tried")
        what = "this kernel has no kprobe events"
        return Check("kprobes", State.WARN, what, "a kernel with CONFIG_KPROBE_EVENTS=y")
    error = root.kprobe_errno(int(kind))
    if error == 0:
        return Check("kprobes", State.OK, f"a kprobe in {FUNCTION}() can be made")
    what = f"refused in {FUNCTION}(): {_named(error)}"
    return Check("kprobes", State.WARN, what, _allow(root, error, "CONFIG_KPROBE_EVENTS=y"))


def fentry(root: Root) -> Check:
    """A BPF program on the entry of a function (5.5): what a kprobe shows, for less."""
    for needed in (libbpf(root), btf(root), bpf_loads(root)):
        if needed.state is State.NO:
            return Check("fentry", State.WARN, f"not tried without {needed.name}", f"see {needed.name}")
    error = root.fentry_errno()
    if error == 0:
        return Check("fentry", State.OK, f"a program on the entry of {FUNCTION}() loads")
    what = f"refused on the entry of {FUNCTION}(): {_named(error)}"
    return Check("fentry", State.WARN, what, _allow(root, error, "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y"))


def kallsyms(root: Root) -> Check:
    """The addresses of the page tables' bases, which reading page contents needs."""
    text = root.read("/proc/kallsyms") or ""
    lines = [line for line in text.splitlines() if line.endswith((" page_offset_base", " vmemmap_base"))]
    if not text:
        return Check("kallsyms", State.WARN, "/proc/kallsyms is not readable: bases of memory by calibration", "sudo")
    if text.startswith("0000000000000000"):
        level = root.read("/proc/sys/kernel/kptr_restrict") or "?"
        fix = "sysctl kernel.kptr_restrict=1, and sudo or CAP_SYSLOG" if level == "2" else "sudo, or CAP_SYSLOG"
        return Check("kallsyms", State.WARN, f"addresses are hidden (kptr_restrict {level})", fix)
    if root.x86 and len(lines) < 2:
        what = "no data symbols (CONFIG_KALLSYMS_ALL is off): bases of memory by calibration"
        if has_capability(root, "sys_admin"):
            return Check("kallsyms", State.OK, what)
        return Check("kallsyms", State.WARN, f"{what}, not without CAP_SYS_ADMIN", "sudo: calibration reads pagemap")
    return Check("kallsyms", State.OK, "addresses are readable")


def _named(error: int) -> str:
    return f"{errno.errorcode.get(error, str(error))} ({os.strerror(error)})"


def _allow(root: Root, error: int, config: str) -> str:
    """Return what would make the kernel load it. What is forbidden to root is not to be worked around."""
    if error not in (errno.EPERM, errno.EACCES):
        return f"a kernel with {config}"
    if has_capability(root, "bpf") and has_capability(root, "perfmon"):
        return "none: this process has the rights, so a policy of the machine forbids it (lockdown, LSM, seccomp)"
    return "sudo, or CAP_BPF and CAP_PERFMON"
