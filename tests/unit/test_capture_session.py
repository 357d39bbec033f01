"""The course of a recording, with a recorder that records nothing: what is kept, what is cleaned, what is said."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from swaptrace.capture import session, swapwatch
from swaptrace.capture.backends import Backend, Content, Plan, Result, choose
from swaptrace.capture.recover import recover
from swaptrace.capture.scratch import abandoned
from swaptrace.capture.session import record_live
from swaptrace.capture.snapshot import Snapshot
from swaptrace.ingest import convert as importer
from swaptrace.model.errors import CapabilityError, InputError, SwaptraceError, UsageError, WriteError
from swaptrace.model.meta import Capability, Sight, SwapDevice, TraceMeta

ZRAM = SwapDevice(0, 253 << 20, "/dev/zram0", "zram", 4096)


class Recorder:
    """Leaves one file."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to clean up."""

    def check(self) -> None:
        """Always well."""

    def widen(self, devices: Any) -> bool:
        return True

    def so_far(self) -> Result:
        return Result(self.plan.target, "T0", {}, ("block:block_bio_queue",), ("a note",))

    def stop(self) -> Result:
        (self.plan.target / "raw.cpu0").write_bytes(b"pages")
        return replace(self.so_far(), lost={"tracefs.cpu0": 3})


class FullDisk(Recorder):
    """Ends early: there is no room."""

    def check(self) -> None:
        (self.plan.target / "raw.cpu0").write_bytes(b"pages")
        raise WriteError("the recording stopped.", "No space left on device.")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    """A machine with one swap area, whose vmstat is what the returned list says, one entry per reading."""
    readings = [{"pgpgin": 0, "pgpgout": 0, "pswpin": 0, "pswpout": n} for n in (5, 5, 12)]
    monkeypatch.setattr(session, "read_swaps", lambda: ((ZRAM,), ()))
    monkeypatch.setattr(swapwatch, "read_swaps", lambda path: ((ZRAM,), ()))
    monkeypatch.setattr(session, "choose", lambda *_: (Backend("tracefs", "tracepoint", lambda: None, Recorder), ()))
    monkeypatch.setattr(session, "read_vmstat", lambda: readings.pop(0))
    return readings


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException | None], list[Any]]:
    """Replace the converter by one that fails as told; return the list of its calls."""

    def install(failure: BaseException | None = None) -> list[Any]:
        calls: list[Any] = []

        def convert(inputs: list[Path], out: Path, *, base: TraceMeta, progress: object, whole: bool) -> TraceMeta:
            kept = TypeAdapter(TraceMeta).validate_json((inputs[0] / "meta.json").read_bytes())
            calls.append((sorted(path.name for path in inputs[0].iterdir()), base, kept, whole))
            if failure is not None:
                raise failure
            return base

        monkeypatch.setattr(importer, "convert", convert)
        return calls

    return install


def test_the_header_says_what_was_recorded(machine: Any, converted: Any, tmp_path: Path) -> None:
    calls = converted()
    meta = record_live(tmp_path / "t.parquet", command=["sh", "-c", "exit 3"], snapshot=False)
    ((files, base, kept, whole),) = calls
    assert files == ["meta.json", "raw.cpu0"]
    assert whole
    assert kept == base == meta
    assert (meta.recorder, meta.tier, meta.lost) == ("tracefs", "T0", {"tracefs.cpu0": 3})
    assert meta.command == "sh -c 'exit 3'"
    assert (meta.vmstat_before["pswpout"], meta.vmstat_after["pswpout"]) == (5, 12)
    assert meta.devices == (ZRAM,)
    assert meta.notes == ("a note", "the command ended with status 3")
    assert not meta.interrupted
    assert list(tmp_path.iterdir()) == []


def test_arguments_may_be_any_bytes(machine: Any, converted: Any, tmp_path: Path) -> None:
    converted()
    meta = record_live(tmp_path / "t.parquet", command=["true", os.fsdecode(b"\xff")], snapshot=False)
    assert meta.command == "true '\\udcff'"


def test_a_command_that_cannot_be_run_leaves_nothing(machine: Any, converted: Any, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("no interpreter\n")
    script.chmod(0o755)
    with pytest.raises(UsageError, match="cannot be run"):
        record_live(tmp_path / "t.parquet", command=[str(script)], snapshot=False)
    assert list(tmp_path.iterdir()) == [script]


def test_a_failed_conversion_keeps_the_raw_recording_and_says_how(machine: Any, converted: Any, tmp_path: Path) -> None:
    converted(InputError("page 7 is damaged."))
    with pytest.raises(InputError, match="damaged") as caught:
        record_live(tmp_path / "t.parquet", command=["true"], snapshot=False)
    (raw,) = tmp_path.iterdir()
    assert (raw / "raw.cpu0").exists()
    assert f"swaptrace record --recover {raw} -o {tmp_path / 't.parquet'}" in caught.value.next_step


def test_a_bug_in_the_conversion_keeps_it_too(machine: Any, converted: Any, tmp_path: Path) -> None:
    converted(ZeroDivisionError("division by zero"))
    with pytest.raises(SwaptraceError, match="ZeroDivisionError") as caught:
        record_live(tmp_path / "t.parquet", command=["true"], snapshot=False)
    (raw,) = tmp_path.iterdir()
    assert str(raw) in caught.value.next_step
    assert caught.value.exit_code == 70


def test_ctrl_c_during_the_conversion_keeps_it_too(machine: Any, converted: Any, tmp_path: Path) -> None:
    converted(KeyboardInterrupt())
    with pytest.raises(SwaptraceError) as caught:
        record_live(tmp_path / "t.parquet", command=["true"], snapshot=False)
    assert caught.value.exit_code == 128 + signal.SIGINT
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_keeps_what_was_recorded_and_it_is_recovered(
    machine: Any, converted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = converted()
    monkeypatch.setattr(session, "choose", lambda *_: (Backend("tracefs", "tracepoint", lambda: None, FullDisk), ()))
    with pytest.raises(WriteError, match="stopped") as caught:
        record_live(tmp_path / "t.parquet", command=["sleep", "60"], snapshot=False)
    (raw,) = tmp_path.iterdir()
    assert f"swaptrace record --recover {raw}" in caught.value.next_step
    assert [left.path for left in abandoned(tmp_path)] == [raw]
    meta = recover(raw, tmp_path / "t.parquet")
    assert meta.interrupted
    assert "the recording ended early: the recording stopped. No space left on device." in meta.notes
    assert calls[0][3] is False
    assert list(tmp_path.iterdir()) == []


def test_a_recorder_that_does_not_start_leaves_nothing(
    machine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(plan: Plan) -> Any:
        raise CapabilityError("no such event.")

    monkeypatch.setattr(session, "choose", lambda *_: (Backend("tracefs", "tracepoint", lambda: None, refuse), ()))
    with pytest.raises(CapabilityError) as caught:
        record_live(tmp_path / "t.parquet", command=["true"], snapshot=False)
    assert caught.value.next_step == ""
    assert list(tmp_path.iterdir()) == []


def test_contents_are_refused_where_the_bpf_tier_is_not_possible(machine: Any, tmp_path: Path) -> None:
    with pytest.raises(CapabilityError, match="BPF tier"):
        record_live(tmp_path / "t.parquet", duration=0, content=Content(sample=4))
    assert list(tmp_path.iterdir()) == []


def test_snapshots_are_named_in_the_header_with_their_sha256(
    machine: Any, converted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def snapshot(when: str, devices: Any) -> Snapshot:
        pages = pa.table({"when": pa.array([when] * 3).dictionary_encode(), "slot": pa.array([1, 2, 3])})
        return Snapshot(pages, pages.slice(0, 1), when == "stop", () if when == "stop" else ("one was unreadable",))

    monkeypatch.setattr(session, "take", snapshot)
    calls = converted()
    meta = record_live(tmp_path / "t.parquet", command=["true"])
    assert calls[0][0][-2:] == ["snapshot-start.parquet", "snapshot-stop.parquet"]
    assert [(s.name, s.rows) for s in meta.sidecars] == [
        ("t.snapshot.parquet", {"start": 3, "stop": 3}),
        ("t.processes.parquet", {"start": 1, "stop": 1}),
    ]
    for sidecar in meta.sidecars:
        assert hashlib.sha256((tmp_path / sidecar.name).read_bytes()).hexdigest() == sidecar.sha256
    assert pq.read_table(tmp_path / "t.snapshot.parquet")["when"].to_pylist() == ["start"] * 3 + ["stop"] * 3
    assert meta.capabilities == {Capability.SNAPSHOT: Sight.INFERRED}
    assert meta.notes == ("a note", "one was unreadable")
    machine += [{"pgpgin": 0, "pgpgout": 0, "pswpin": 0, "pswpout": n} for n in (5, 5, 12)]
    converted(InputError("no."))
    with pytest.raises(InputError):
        record_live(tmp_path / "u.parquet", command=["true"])
    assert not list(tmp_path.glob("u.*"))


def test_an_idle_recording_leaves_nothing(machine: list[dict[str, int]], converted: Any, tmp_path: Path) -> None:
    calls = converted()
    machine[2]["pswpout"] = 5
    with pytest.raises(InputError, match="nothing was swapped"):
        record_live(tmp_path / "t.parquet", command=["true"], snapshot=False)
    assert list(tmp_path.iterdir()) == calls == []


def test_without_swap_the_next_step_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(session, "read_swaps", lambda: ((), ()))
    with pytest.raises(CapabilityError, match="no swap area") as caught:
        record_live(tmp_path / "t.parquet", command=["true"], snapshot=False)
    assert "swapon" in caught.value.next_step
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_backend_names_the_closest() -> None:
    with pytest.raises(UsageError) as caught:
        choose("trcefs")
    assert "tracefs" in caught.value.why
