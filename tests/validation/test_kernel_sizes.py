"""Sizes of kernel structs that figures rest on, against the BTF of the running kernel (docs/kernel-facts.md).

They are those of Linux 6.18 on a 64-bit machine; other kernels may differ, and are skipped with their release.
"""

from __future__ import annotations

import os
import struct
from functools import cache
from pathlib import Path

import pytest

from swaptrace.layouts import swap_table, zswap_tree
from swaptrace.model.component import Space
from swaptrace.model.ledger import METADATA
from swaptrace.policies.registry import resolve
from swaptrace.replay.engine import Run
from swaptrace.stages import zswap
from tests.validation.test_metadata_tables import writeouts

BTF = Path("/sys/kernel/btf")
BYTES = {
    "swap_cluster_info": 32,
    "zswap_entry": 56,
    "xa_node": 576,
    "vm_struct": 72,
    "vmap_area": 72,
    "ksm_rmap_item": 64,
    "ksm_stable_node": 64,
    "zram_table_entry": 16,
}
MODULES = {"zram_table_entry": "zram"}  # whose BTF has it, unless it is built in
MAGIC, STRUCT = 0xEB9F, 4
# bytes behind the 12 of each type, by kind: fixed, and for each of its vlen members (include/uapi/linux/btf.h)
FIXED = {1: 4, 3: 12, 14: 4, 17: 4}
MEMBER = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}


def structs(data: bytes, base: int = 0) -> dict[str, int]:
    """Return the size of each struct in a BTF blob; ``base``: bytes of strings in the vmlinux that it builds on."""
    magic, _, _, header, types, types_len, strings, strings_len = struct.unpack_from("<HBBIIIII", data)
    assert magic == MAGIC
    text = data[header + strings : header + strings + strings_len]
    at, end = header + types, header + types + types_len
    found = {}
    while at < end:
        name, info, size = struct.unpack_from("<III", data, at)
        kind, members = info >> 24 & 31, info & 0xFFFF
        if kind == STRUCT and name > base:
            found[text[name - base : text.index(b"\0", name - base)].decode()] = size
        at += 12 + FIXED.get(kind, 0) + MEMBER.get(kind, 0) * members
    assert at == end
    return found


@cache
def of_kernel(module: str = "vmlinux") -> dict[str, int] | None:
    """Return the structs that the running kernel, or one of its modules, describes; None if it cannot be read."""
    try:
        data = (BTF / module).read_bytes()
        if module == "vmlinux":
            return structs(data)
        vmlinux = (BTF / "vmlinux").read_bytes()
    except OSError:
        return None
    return structs(data, base=struct.unpack_from("<I", vmlinux, 20)[0])


@pytest.mark.parametrize("name", BYTES)
def test_struct_has_the_size_that_figures_rest_on(name: str) -> None:
    release, found = os.uname().release, of_kernel()
    if found is None:
        pytest.skip(f"{BTF}/vmlinux cannot be read")
    if not release.startswith("6.18."):
        pytest.skip(f"this kernel is {release}, the sizes are those of 6.18")
    if name not in found and (module := MODULES.get(name)):
        found = of_kernel(module)
        if found is None:
            pytest.skip(f"{name} is in the module {module}, which is not loaded")
    assert found.get(name) == BYTES[name]


def test_the_code_uses_these_sizes() -> None:
    phases = swap_table.PHASES
    assert [phases[name].header for name in ("p1", "p2", "p3")] == [BYTES["swap_cluster_info"]] * 3
    assert BYTES["zswap_entry"] == zswap._ENTRY
    assert BYTES["xa_node"] == 64 * zswap_tree.REAL_BYTES
    run = Run(resolve("vswap-v6:bytes=real"))
    run.start(Space(512))
    run.feed(writeouts(0, 1, zero=True))
    vzalloc = BYTES["vm_struct"] + BYTES["vmap_area"]
    assert run.ledger.gauges[METADATA].now == 112 + 512 * 24 + vzalloc + BYTES["xa_node"] // 64


def test_structs_are_found_in_a_blob_made_by_hand() -> None:
    """An int, a struct of two members, a function with one argument, and a struct without a name."""
    text = b"\0int\0pair\0"
    types = struct.pack("<IIII", 1, 1 << 24, 4, 32)
    types += struct.pack("<III", 5, STRUCT << 24 | 2, 8) + struct.pack("<6I", 0, 1, 0, 0, 1, 32)
    types += struct.pack("<III", 0, 13 << 24 | 1, 0) + struct.pack("<2I", 0, 1)
    types += struct.pack("<III", 0, STRUCT << 24, 3)
    head = struct.pack("<HBBIIIII", MAGIC, 1, 0, 24, 0, len(types), len(types), len(text))
    assert structs(head + types + text) == {"pair": 8}
