"""The four ways of ``swaptrace record`` and the options of each: one that cannot act is refused, never ignored."""

from __future__ import annotations

from typing import Any

from swaptrace.model.errors import UsageError

__all__ = ["DRY_RUN", "IMPORT", "RECORD", "RECOVER", "refuse_idle_options"]

RECORD, IMPORT, RECOVER, DRY_RUN = "a recording", "an import", "--recover", "--dry-run"
# By name of the parameter: the ways in which it acts. What is not here acts in all of them.
_ACTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("duration", "cgroup", "buffer", "owner"), (RECORD, DRY_RUN)),
    **dict.fromkeys(("tier", "backend", "hash_", "salt", "content", "snapshot"), (RECORD,)),
    **dict.fromkeys(("form", "columns", "errors", "device", "vmstat"), (IMPORT,)),
}
_FOR = {RECORD: "It is for recording this machine.", IMPORT: "It is for FILEs to import, before any --."}
_OF_CONTENTS = ("hash_", "salt", "content")


def refuse_idle_options(ctx: Any, way: str, tier: str, backend: str) -> None:
    """Raise :class:`UsageError` for an option of the command line that does nothing in ``way``, or nothing with the
    tracepoint tier where ``tier`` or ``backend`` chose that."""
    tracepoints = tier == "tracepoint" or backend in ("tracefs", "perf")
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(parameter.name)
        if source is None or source.name != "COMMANDLINE":
            continue
        option, acts = parameter.opts[-1], _ACTS.get(parameter.name, (way,))
        if way not in acts:
            raise UsageError(f"{option} does nothing with {way}.", _FOR[acts[0]], f"Leave {option} out.")
        if tracepoints and parameter.name in _OF_CONTENTS:
            why = "Only the BPF tier sees contents."
            raise UsageError(f"{option} does nothing with the tracepoint tier.", why, f"Leave {option} out.")
