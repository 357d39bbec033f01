"""Allocations and releases of handles in text: pointers of any width, hashed or not, and only objects as large as a
handle."""

from __future__ import annotations

import polars as pl
import pytest

from swaptrace.ingest.raw import Findings, RawKind
from swaptrace.ingest.text_events import TextDecoder

ALLOC = "call_site=zs_malloc+0x1d4 ptr={} name=zs_handle-zram0 bytes_req={} bytes_alloc=8 gfp_flags=GFP_NOIO node=-1"


def decode(*events: tuple[str, str]) -> list[tuple[int, int]]:
    frame = pl.DataFrame(
        {
            "row": range(len(events)),
            "comm": ["x"] * len(events),
            "tid": [1] * len(events),
            "tgid": [1] * len(events),
            "cpu": [0] * len(events),
            "ts": range(len(events)),
            "event": [name for name, _ in events],
            "rest": [rest for _, rest in events],
        }
    )
    chunk = TextDecoder(Findings(), lambda rows, why: pytest.fail(f"{rows.to_list()}: {why}"))(frame, [])
    return list(zip(chunk.kind.tolist(), chunk.value.tolist(), strict=True))


@pytest.mark.parametrize(
    "pointer", ["0xffff8881058ee1f8", "ffff8881058ee1f8", "00000000d1ce5a7e", "0xff11000108c21e80"]
)
def test_the_same_pointer_is_the_same_handle(pointer: str) -> None:
    found = decode(
        ("kmem_cache_alloc", ALLOC.format(pointer, 8)),
        ("kmem_cache_free", f"call_site=zram_free_page+0x79 ptr={pointer} name=zs_handle-zram0"),
        ("kmem_cache_free", f"(ffffffff81d76149) call_site=ffffffff81d76149 ptr={pointer}"),
    )
    handle = int(pointer, 16) & (1 << 60) - 1
    assert found == [
        (RawKind.HANDLE_ALLOC, handle),
        (RawKind.HANDLE_FREE, handle),
        (RawKind.HANDLE_FREE, handle),
    ]


def test_zspages_are_no_handles() -> None:
    assert decode(("kmem_cache_alloc", ALLOC.format("0xffff8881058ee1f8", 56))) == []
    assert decode(("kmem_cache_alloc", ALLOC.format("0xffff8881058ee1f8", 80))) == []
