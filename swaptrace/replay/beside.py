"""Tables that lie beside a trace: found by their ending, and only if they are the ones that its header names."""

from __future__ import annotations

import hashlib
from pathlib import Path

from swaptrace.model.meta import Sidecar
from swaptrace.model.trace import Trace

__all__ = ["beside"]


def beside(trace: Trace, suffix: str) -> tuple[Sidecar, Path] | str | None:
    """Return the sidecar whose name ends so, and its path; why it cannot be used; None if the trace has none."""
    sidecar = next((each for each in trace.meta.sidecars if each.name.endswith(suffix)), None)
    if sidecar is None:
        return None
    path = trace.path.with_name(sidecar.name)
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return f"{sidecar.name} is not beside the trace"
    if digest != sidecar.sha256:
        return f"{sidecar.name} is not the file that was recorded with the trace"
    return sidecar, path
