"""The sample of page contents that was recorded with a trace: ``T.content.parquet`` (docs/recording.md)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from swaptrace.model.contents import COMPRESSORS, ContentSizes
from swaptrace.model.errors import CapabilityError
from swaptrace.model.trace import Trace
from swaptrace.replay.beside import beside

__all__ = ["contents_of"]

_SUFFIX = ".content.parquet"


def contents_of(trace: Trace) -> ContentSizes:
    """Return the compressed sizes of the sampled contents. Raises :class:`CapabilityError` if there are none."""
    found = beside(trace, _SUFFIX)
    if isinstance(found, tuple):
        try:
            table = pq.read_table(found[1], columns=["hash", *COMPRESSORS])
            hashes = table["hash"].to_numpy()
            order = np.argsort(hashes)
            if len(order):
                return ContentSizes(hashes[order], {name: table[name].to_numpy()[order] for name in COMPRESSORS})
            why = f"{found[0].name} is empty."
        except (pa.ArrowException, OSError) as error:
            why = f"{found[0].name}: {str(error).splitlines()[0]}"
    else:
        why = "No contents were sampled." if found is None else f"{found}."
    raise CapabilityError(
        f"{trace.path.name} has no compressed sizes of sampled contents.",
        why,
        "Record them: swaptrace record --content N; or leave zswap:sizes=recorded.",
    )
