"""Where the functions of the kernel are that the BPF programs tell callers by."""

from __future__ import annotations

import struct
from pathlib import Path

from swaptrace.capture.bpf.kallsyms import KernelText
from swaptrace.capture.bpf.programs import text_ranges


def test_functions_have_ranges(tmp_path: Path) -> None:
    file = tmp_path / "kallsyms"
    file.write_text(
        "ffffffff81000000 T zs_free\nffffffff81000100 t zs_malloc\nffffffff81000200 T other\n"
        "ffffffff81000300 t zswap_load\nffffffff81000380 t zswap_store\nffffffff81000400 t end\n"
        "ffffffff80000000 t zs_malloc.cold\nffffffff90000000 t zs_init\nffffffff81000308 d zs_data\n"
    )
    text = KernelText.read(file)
    assert text.around("zs_*") == (0xFFFFFFFF81000000, 0xFFFFFFFF81000200)
    assert text.around("zram_*") == (0, 0)
    assert text.of("zswap_load") == (0xFFFFFFFF81000300, 0xFFFFFFFF81000380)
    assert text.of("gone") is None
    assert "other" in text
    ranges = text_ranges(text)
    assert ranges["zswap_start"] == struct.pack("=Q", 0xFFFFFFFF81000300)
    assert len(ranges["reasons"]) == 2 * 24


def test_hidden_symbols_are_none(tmp_path: Path) -> None:
    file = tmp_path / "kallsyms"
    file.write_text("0000000000000000 T zs_free\n0000000000000000 t zswap_load\n")
    assert KernelText.read(file).around("zs_*") == (0, 0)
