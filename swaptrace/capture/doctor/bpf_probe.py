"""Whether the kernel loads a BPF program at all: bpf(2) with the shortest one there is, without libbpf."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

__all__ = ["load_errno"]

_SYSCALL = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}  # __NR_bpf
_PROG_LOAD = 5  # enum bpf_cmd, include/uapi/linux/bpf.h
_RAW_TRACEPOINT = 17  # enum bpf_prog_type
_RETURN_0 = bytes.fromhex("b700000000000000 9500000000000000")  # r0 = 0; exit


def load_errno() -> int:
    """Return 0 if a raw-tracepoint program loads (it is attached nowhere and dropped at once), else the errno."""
    number = _SYSCALL.get(platform.machine())
    if number is None:
        return errno.ENOSYS
    program = ctypes.create_string_buffer(_RETURN_0)
    license_name = ctypes.create_string_buffer(b"GPL")
    # union bpf_attr: prog_type, insn_cnt, insns, license, log_level, log_size, log_buf, kern_version; the rest is 0
    head = struct.pack(
        "=IIQQIIQI", _RAW_TRACEPOINT, 2, ctypes.addressof(program), ctypes.addressof(license_name), 0, 0, 0, 0
    )
    attributes = ctypes.create_string_buffer(head, 128)
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(
        ctypes.c_long(number), ctypes.c_long(_PROG_LOAD), ctypes.byref(attributes), ctypes.c_long(len(attributes))
    )
    if descriptor < 0:
        return ctypes.get_errno()
    os.close(descriptor)
    return 0
