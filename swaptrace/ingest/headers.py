"""The header of a trace, as far as its recordings tell."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swaptrace.ingest.devices import parse_swaps
from swaptrace.ingest.ftrace_pages import FtracePages
from swaptrace.ingest.perf_data import PerfData
from swaptrace.ingest.sources import AnySource
from swaptrace.ingest.trace_dat import TraceDat
from swaptrace.model.errors import InputError
from swaptrace.model.meta import TraceMeta

__all__ = ["header_beside", "header_of"]


def header_of(source: AnySource, formats: Sequence[str], base: TraceMeta | None) -> TraceMeta:
    """Return ``base`` (or what lies beside raw pages) completed by what the recordings say about their machine."""
    meta = base or TraceMeta(clock="")
    for one in source.sources:
        if isinstance(one, FtracePages) and base is None:
            meta = header_beside(one.path, meta)
        if isinstance(one, PerfData):
            header = one.header
            meta = dataclasses.replace(
                meta,
                kernel=meta.kernel or header.kernel,
                command=meta.command or header.command,
                clock=meta.clock or header.attrs[0].clock,
                mono_ns=meta.mono_ns or header.mono_ns,
                real_ns=meta.real_ns or header.real_ns,
            )
        if isinstance(one, TraceDat):
            meta = dataclasses.replace(
                meta, kernel=meta.kernel or one.header.kernel, clock=meta.clock or one.header.clock
            )
    recorder = "+".join(sorted(set(f.replace("perf-data", "perf.data") for f in formats)))
    return dataclasses.replace(
        meta,
        recorder=meta.recorder or recorder,
        tier=meta.tier or "T0",
        clock=meta.clock or "unknown",
        sources=meta.sources or tuple(source.name.split(", ")),
    )


def header_beside(folder: Path, meta: TraceMeta) -> TraceMeta:
    """Read ``meta.json``: a header as this tool dumps it, or the one of the prototype with the text of /proc/swaps."""
    file = folder / "meta.json"
    if not file.is_file():
        return meta
    from pydantic import TypeAdapter, ValidationError

    try:
        info: Any = json.loads(file.read_text())
        if "schema_version" in info:
            return TypeAdapter(TraceMeta).validate_python(info)
        return dataclasses.replace(
            meta,
            kernel=str(info.get("kernel", "")),
            clock="mono",
            devices=tuple(parse_swaps(str(info.get("swaps", "")))),
            mono_ns=int(info.get("mono", 0)),
            real_ns=int(info.get("real", 0)),
        )
    except (ValueError, TypeError, AttributeError, ValidationError) as error:
        raise InputError(
            f"{file} is damaged.", str(error).splitlines()[0], "Remove it to import without it."
        ) from error
