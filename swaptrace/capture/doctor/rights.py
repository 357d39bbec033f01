"""What this process may do: capabilities, tracefs, perf, lockdown, locked memory."""

from __future__ import annotations

import re

from swaptrace.capture.doctor.root import Check, Root, State

__all__ = ["has_capability", "lockdown", "memlock", "perf", "privileges", "snapshot", "tracefs"]

_BITS = {
    "dac_read_search": 2,
    "sys_ptrace": 19,
    "sys_admin": 21,
    "syslog": 34,
    "perfmon": 38,
    "bpf": 39,
}  # linux/capability.h
_IPC_LOCK = {"ipc_lock": 14}  # only for large buffers of perf
_FOR = {
    "dac_read_search": "tracefs files",
    "sys_ptrace": "pagemap of others",
    "sys_admin": "pfns and slots of pagemap",
    "syslog": "addresses of kallsyms",
    "perfmon": "perf and BPF",
    "bpf": "BPF",
}
_SETCAP = "sudo, or on a python of its own: setcap " + ",".join(f"cap_{name}" for name in _BITS) + "+ep"


def has_capability(root: Root, name: str) -> bool:
    """Return whether the effective set has a capability; SYS_ADMIN stands for BPF and PERFMON (split off in 5.8)."""
    match = re.search(r"^CapEff:\s*([0-9a-f]+)", root.read("/proc/self/status") or "", re.M)
    bits = int(match[1], 16) if match else 0
    numbers = _BITS | _IPC_LOCK
    wanted = [name, "sys_admin"] if name in ("bpf", "perfmon") else [name]
    return any(bits >> numbers[each] & 1 for each in wanted)


def privileges(root: Root) -> Check:
    """Capabilities of this process."""
    missing = [name for name in _BITS if not has_capability(root, name)]
    if not missing:
        return Check("privileges", State.OK, "all capabilities that a recorder can use")
    lost = ", ".join(f"CAP_{name.upper()} ({_FOR[name]})" for name in missing)
    return Check("privileges", State.NO if len(missing) == len(_BITS) else State.WARN, f"without {lost}", _SETCAP)


def snapshot(root: Root) -> Check:
    """What lay on swap before a recording: pagemap of every process, which is the owner's or CAP_SYS_PTRACE's to open
    (PTRACE_MODE_READ), and hides slots without CAP_SYS_ADMIN (fs/proc/task_mmu.c)."""
    if not has_capability(root, "sys_admin"):
        what = "what is on swap already is not seen: pagemap hides slots without CAP_SYS_ADMIN"
        return Check("snapshot", State.NO, what, "sudo")
    if not has_capability(root, "sys_ptrace"):
        what = "of own processes only: pagemap of others needs CAP_SYS_PTRACE"
        return Check("snapshot", State.WARN, what, "sudo")
    return Check("snapshot", State.OK, "the page tables of all processes can be read")


def tracefs(root: Root) -> Check:
    """Where tracefs is, and whether a private instance can be made in it."""
    where = root.tracefs
    mount = "mount -t tracefs nodev /sys/kernel/tracing"
    if where is None:
        own = [place for place, kind, _ in root.mounts() if kind in ("tracefs", "debugfs")]
        if own:
            return Check("tracefs", State.NO, f"{own[0]} is mounted, but its events cannot be read", "sudo")
        return Check("tracefs", State.NO, "tracefs is not mounted", mount)
    options = [options for place, _, options in root.mounts() if where == place or where.startswith(f"{place}/")]
    if any("ro" in each for each in options[-1:]):
        return Check("tracefs", State.NO, f"{where} is mounted read-only", f"mount -o remount,rw {where}")
    if not root.exists(f"{where}/instances"):
        return Check("tracefs", State.NO, f"{where} has no instances (kernel before 3.10)", "record with perf")
    if not root.writable(f"{where}/instances"):
        return Check(
            "tracefs", State.NO, f"{where}/instances is not writable", f"sudo; or: mount -o remount,gid=N {where}"
        )
    if not any(place == where and kind == "tracefs" for place, kind, _ in root.mounts()):
        return Check("tracefs", State.WARN, f"only below debugfs: {where}", mount)
    return Check("tracefs", State.OK, f"{where}; private instances can be made")


def perf(root: Root) -> Check:
    """The perf program, and who may use it."""
    if not root.program("perf"):
        return Check("perf", State.WARN, "perf is not installed; only needed where tracefs is closed", "linux-perf")
    level = root.read("/proc/sys/kernel/perf_event_paranoid")
    if level is None:
        return Check("perf", State.NO, "this kernel has no perf events", "a kernel with CONFIG_PERF_EVENTS")
    if has_capability(root, "perfmon") or int(level) < 0:
        what = f"perf_event_paranoid is {level}; this process may record tracepoints"
        if int(level) >= 0 and not has_capability(root, "ipc_lock"):  # perf_mmap() of kernel/events/core.c
            what += f", with --buffer {_perf_buffer(root)}KiB at most (CAP_IPC_LOCK)"
        return Check("perf", State.OK, what)
    return Check(
        "perf",
        State.NO,
        f"perf_event_paranoid is {level}: no tracepoints without CAP_PERFMON",
        "sudo, or: sysctl kernel.perf_event_paranoid=-1; still open: perf record -e major-faults -c 1 -d of own tasks",
    )


def _perf_buffer(root: Root) -> int:
    """Return the largest buffer of perf in KiB per CPU that needs no CAP_IPC_LOCK: a power of two, and a page more."""
    limit = int(root.read("/proc/sys/kernel/perf_event_mlock_kb") or 516) - root.page_size // 1024
    return 1 << max(limit, 1).bit_length() - 1


def lockdown(root: Root) -> Check:
    """The lockdown mode: tracefs, perf, kprobes and BPF reads are closed by ``confidentiality`` only (enum
    lockdown_reason of include/linux/security.h, from memory)."""
    text = root.read("/sys/kernel/security/lockdown")
    match = re.search(r"\[(\w+)\]", text or "")
    if match is None:
        return Check("lockdown", State.OK, "no lockdown, or securityfs is not mounted")
    if match[1] == "confidentiality":
        what = "confidentiality: the kernel refuses tracefs, perf, kprobes and BPF that reads memory"
        return Check("lockdown", State.NO, what, "boot with lockdown=integrity, or record on another machine")
    return Check("lockdown", State.OK, match[1])


def memlock(root: Root) -> Check:
    """RLIMIT_MEMLOCK: BPF maps counted against it before 5.11; the buffers of perf still do without CAP_IPC_LOCK."""
    if root.memlock < 0 or root.version >= (5, 11) or has_capability(root, "sys_admin"):
        size = "no limit" if root.memlock < 0 else f"{root.memlock >> 10} KiB"
        return Check("memlock", State.OK, f"{size}; no limit on BPF maps here")
    what = f"RLIMIT_MEMLOCK is {root.memlock >> 10} KiB, and BPF maps count against it before 5.11"
    return Check("memlock", State.WARN, what, "ulimit -l unlimited")
