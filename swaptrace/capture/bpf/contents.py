"""Compress sampled contents and forget them: only their sizes are written."""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa

from swaptrace.capture.bpf.programs import CONTENT_RING
from swaptrace.ingest.bpf.contents import SIZES

__all__ = ["ContentSizes"]

_PAGE = mmap.PAGESIZE
_POLL_S = 0.02
_BUSY = np.uint64(1 << 31)
_BATCH = 64
_CONTENT = np.dtype([("ring", "<u8"), ("hash", "<u8"), ("page", "u1", 4096)])  # struct content of swaptrace.bpf.c


class ContentSizes(threading.Thread):
    """Reads the ring ``fd`` of contents until :meth:`finish`, and appends their sizes to ``target``.

    ``error`` holds what ended the thread early (a full disk).
    """

    def __init__(self, fd: int, target: Path, ring_bytes: int = CONTENT_RING) -> None:
        super().__init__(name="swaptrace contents", daemon=True)
        self._size = ring_bytes
        self._consumer = np.frombuffer(mmap.mmap(fd, _PAGE), "<u8", 1)
        self._data = mmap.mmap(fd, _PAGE + 2 * ring_bytes, mmap.MAP_SHARED, mmap.PROT_READ, offset=_PAGE)
        self._producer = np.frombuffer(self._data, "<u8", 1)
        self._file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._codecs = [pa.Codec("lz4_raw"), pa.Codec("zstd", 1), pa.Codec("zstd", 3)]
        self._ending = threading.Event()
        self._open = True
        self.error: OSError | None = None

    def run(self) -> None:
        """Compress what comes; at the end what is left."""
        try:
            while not self._ending.wait(_POLL_S):
                while self._step():
                    pass
            while self._step():
                pass
        except OSError as error:
            self.error = error

    def finish(self) -> None:
        """Drain the ring and close the file, once. Nothing may be sampled any more."""
        if not self._open:
            return
        self._open = False
        self._ending.set()
        if self.is_alive():
            self.join()
        os.close(self._file)

    def _step(self) -> bool:
        start, end = int(self._consumer[0]), int(self._producer[0])
        count = min((end - start) // _CONTENT.itemsize, _BATCH)
        ready = np.frombuffer(self._data, _CONTENT, count, _PAGE + (start & (self._size - 1)))
        busy = ready["ring"] & _BUSY != 0
        if busy.any():
            ready = ready[: int(busy.argmax())]
        if not len(ready):
            return False
        sizes = np.zeros(len(ready), SIZES)
        sizes["hash"] = ready["hash"]
        sizes["zeros"] = (ready["page"] == 0).sum(axis=1)
        for i, page in enumerate(ready["page"]):  # one in N of the distinct contents, not per event
            lengths = [codec.compress(page.data, asbytes=False).size for codec in self._codecs]
            sizes["lz4"][i], sizes["zstd1"][i], sizes["zstd3"][i] = lengths
        os.write(self._file, sizes.tobytes())
        self._consumer[0] = start + ready.nbytes
        return True
