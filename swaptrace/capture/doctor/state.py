"""The clocks of a recording, and other users of the tracer."""

from __future__ import annotations

from swaptrace.capture.doctor.root import Check, Root, State

__all__ = ["clocks", "others"]


def clocks(root: Root) -> Check:
    """The clock of all recordings, and what ties it to a boot."""
    boot = root.read("/proc/sys/kernel/random/boot_id")
    offered = (root.read(f"{root.tracefs}/trace_clock") or "") if root.tracefs else ""
    if offered and "mono" not in offered.replace("[", " ").replace("]", " ").split():
        return Check("clocks", State.NO, "tracefs has no clock mono (before 3.17)", "record with perf")
    if boot is None:
        return Check("clocks", State.WARN, "no boot_id: recordings of one boot cannot be told from others")
    return Check("clocks", State.OK, f"CLOCK_MONOTONIC; boot {boot}")


def others(root: Root) -> Check:
    """Other tracers: a private instance is not disturbed by them, but all share the cost."""
    where = root.tracefs
    if where is None:
        return Check("other tracers", State.OK, "none can be seen")
    tracer = root.read(f"{where}/current_tracer") or "nop"
    instances = root.names(f"{where}/instances")
    running = [name for name in instances if root.read(f"{where}/instances/{name}/tracing_on") == "1"]
    if tracer != "nop":
        what = f"current_tracer is {tracer}: it slows the workload down"
        return Check("other tracers", State.WARN, what, f"echo nop > {where}/current_tracer")
    if running:
        what = f"instances that trace now: {', '.join(running)}"
        return Check("other tracers", State.WARN, what, "the next recording removes those of dead recorders")
    return Check("other tracers", State.OK, "none")
