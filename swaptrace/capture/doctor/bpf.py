"""What the BPF recorder needs of the kernel."""

from __future__ import annotations

import errno
import os

from swaptrace.capture.doctor.root import Check, Root, State

__all__ = ["bpf_loads", "bpf_recorder", "btf", "kallsyms", "kprobes", "libbpf"]

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
    name = errno.errorcode.get(error, str(error))
    what = f"the kernel refuses a raw-tracepoint program: {name} ({os.strerror(error)})"
    if error == errno.ENOSYS:
        return Check("BPF", State.NO, what, "a kernel with CONFIG_BPF_SYSCALL")
    if error in (errno.EPERM, errno.EACCES):
        return Check("BPF", State.NO, what, "sudo, or CAP_BPF and CAP_PERFMON; for root it is a policy of the machine")
    return Check("BPF", State.NO, what, "report it with this errno")


def bpf_recorder(root: Root) -> Check:
    """What the BPF recorder itself says."""
    problem = root.problem("bpf")
    if problem is None:
        return Check("BPF recorder", State.OK, "it can start")
    what = problem.what.rstrip(".") + (f": {problem.why.rstrip('.')}" if problem.why else "")
    return Check("BPF recorder", State.NO, what, problem.next_step)


def kprobes(root: Root) -> Check:
    """Probes in functions: exact slot frees on disk swap. fentry, the other way, is only known when it is tried."""
    where = root.tracefs
    if root.exists("/sys/bus/event_source/devices/kprobe") or (where and root.exists(f"{where}/kprobe_events")):
        return Check("kprobes", State.OK, "kprobes can be made; fentry is not tried here")
    return Check(
        "kprobes", State.WARN, "no kprobes: slot frees on disk swap are not seen", "a kernel with CONFIG_KPROBES=y"
    )


def kallsyms(root: Root) -> Check:
    """The addresses of the page tables' bases, which reading page contents needs."""
    text = root.read("/proc/kallsyms") or ""
    lines = [line for line in text.splitlines() if line.endswith((" page_offset_base", " vmemmap_base"))]
    if not text:
        return Check("kallsyms", State.WARN, "/proc/kallsyms is not readable: bases of memory by calibration", "sudo")
    if text.startswith("0000000000000000"):
        what = f"addresses are hidden (kptr_restrict {root.read('/proc/sys/kernel/kptr_restrict') or '?'})"
        return Check("kallsyms", State.WARN, what, "sudo or CAP_SYSLOG; sysctl kernel.kptr_restrict=1")
    if root.x86 and len(lines) < 2:
        what = "no data symbols (CONFIG_KALLSYMS_ALL is off): bases of memory by calibration"
        return Check("kallsyms", State.WARN, what, "nothing to do: calibration needs pagemap (CAP_SYS_ADMIN)")
    return Check("kallsyms", State.OK, "addresses are readable")
