"""What the kernel lets this process load: the shortest programs there are, through bpf(2) and perf_event_open(2)."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

__all__ = ["FUNCTION", "fentry_errno", "kprobe_errno", "load_errno"]

# A function of mm/swapfile.c that every kernel with swap has, that is not inlined, and that few things call (sysinfo,
# /proc/meminfo): a probe in it disturbs nobody.
FUNCTION = "si_swapinfo"

_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}  # __NR_bpf
_PERF = {"x86_64": 298, "aarch64": 241, "riscv64": 241, "ppc64le": 319, "s390x": 331}  # __NR_perf_event_open
_PROG_LOAD = 5  # enum bpf_cmd, include/uapi/linux/bpf.h
_RAW_TRACEPOINT, _TRACING = 17, 26  # enum bpf_prog_type
_FENTRY = 24  # enum bpf_attach_type: BPF_TRACE_FENTRY
_RETURN_0 = bytes.fromhex("b700000000000000 9500000000000000")  # r0 = 0; exit
# union bpf_attr: prog_type, insn_cnt, insns, license, 40 bytes of log, version, flags and name, prog_ifindex,
# expected_attach_type, 36 bytes of line information, attach_btf_id
_LOAD = struct.Struct("=IIQQ40xII36xI")
_ATTRIBUTES = 128
# struct perf_event_attr, PERF_ATTR_SIZE_VER5: type, size, config, 24 bytes, flags, 8 bytes, config1, config2
_EVENT = struct.Struct("=IIQ24xQ8xQQ40x")
_DISABLED = 1
_CLOEXEC = 8


def load_errno() -> int:
    """Return 0 if a raw-tracepoint program loads (it is attached nowhere and dropped at once), else the errno."""
    return _loaded(_RAW_TRACEPOINT)


def fentry_errno() -> int:
    """Return 0 if a program for the entry of :data:`FUNCTION` loads (it is not attached), else the errno.

    libbpf finds the function among the types of the kernel; without libbpf.so.1 it is ENOSYS.
    """
    try:
        libbpf = ctypes.CDLL("libbpf.so.1")
    except OSError:
        return errno.ENOSYS
    libbpf.libbpf_set_print.restype = ctypes.c_void_p
    libbpf.libbpf_set_print.argtypes = [ctypes.c_void_p]
    before = libbpf.libbpf_set_print(None)  # it would complain on stderr
    try:
        number = libbpf.libbpf_find_vmlinux_btf_id(FUNCTION.encode(), ctypes.c_int(_FENTRY))
    finally:
        libbpf.libbpf_set_print(before)
    return -number if number < 0 else _loaded(_TRACING, _FENTRY, number)


def kprobe_errno(kind: int) -> int:
    """Return 0 if a kprobe in :data:`FUNCTION` can be made (for a moment, counting nothing), else the errno.

    ``kind`` is the number of the PMU: /sys/bus/event_source/devices/kprobe/type.
    """
    name = ctypes.create_string_buffer(FUNCTION.encode())
    attributes = ctypes.create_string_buffer(
        _EVENT.pack(kind, _EVENT.size, 0, _DISABLED, ctypes.addressof(name), 0), _EVENT.size
    )
    this_task, any_cpu, no_group = 0, -1, -1
    return _called(_PERF, ctypes.byref(attributes), this_task, any_cpu, no_group, _CLOEXEC)


def _loaded(kind: int, attach_type: int = 0, attach_to: int = 0) -> int:
    program = ctypes.create_string_buffer(_RETURN_0)
    license_name = ctypes.create_string_buffer(b"GPL")
    head = _LOAD.pack(kind, 2, ctypes.addressof(program), ctypes.addressof(license_name), 0, attach_type, attach_to)
    return _called(_BPF, _PROG_LOAD, ctypes.byref(ctypes.create_string_buffer(head, _ATTRIBUTES)), _ATTRIBUTES)


def _called(numbers: dict[str, int], *arguments: object) -> int:
    """Make a system call that returns a descriptor, close that, and return 0 or the errno."""
    number = numbers.get(platform.machine())
    if number is None:
        return errno.ENOSYS
    words = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(ctypes.c_long(number), *words)
    if descriptor < 0:
        return ctypes.get_errno()
    os.close(descriptor)
    return 0
