"""The course of a recording, with a recorder that records nothing: what is kept, what is cleaned, what is said."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from swaptrace.capture import session
from swaptrace.capture.backends import Backend, Plan, Result, choose
from swaptrace.capture.session import record_live
from swaptrace.ingest import convert as importer
from swaptrace.model.errors import CapabilityError, InputError, SwaptraceError, UsageError
from swaptrace.model.meta import SwapDevice, TraceMeta

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

    def stop(self) -> Result:
        (self.plan.target / "raw.cpu0").write_bytes(b"pages")
        return Result(self.plan.target, "T0", {"tracefs.cpu0": 3}, ("block:block_bio_queue",), ("a note",))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    """A machine with one swap area, whose vmstat is what the returned list says, one entry per reading."""
    readings = [{"pgpgin": 0, "pgpgout": 0, "pswpin": 0, "pswpout": n} for n in (5, 5, 12)]
    monkeypatch.setattr(session, "read_swaps", lambda: ((ZRAM,), ()))
    monkeypatch.setattr(
        session, "choose", lambda name, tier: (Backend("tracefs", "tracepoint", lambda: None, Recorder), ())
    )
    monkeypatch.setattr(session, "read_vmstat", lambda: readings.pop(0))
    return readings


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException | None], list[Any]]:
    """Replace the converter by one that fails as told; return the list of its calls."""

    def install(failure: BaseException | None = None) -> list[Any]:
        calls: list[Any] = []

        def convert(inputs: list[Path], out: Path, *, base: TraceMeta, progress: object) -> TraceMeta:
            kept = TypeAdapter(TraceMeta).validate_json((inputs[0] / "meta.json").read_bytes())
            calls.append((sorted(path.name for path in inputs[0].iterdir()), base, kept))
            if failure is not None:
                raise failure
            return base

        monkeypatch.setattr(importer, "convert", convert)
        return calls

    return install


def test_the_header_says_what_was_recorded(machine: Any, converted: Any, tmp_path: Path) -> None:
    calls = converted()
    meta = record_live(tmp_path / "t.parquet", command=["sh", "-c", "exit 3"])
    ((files, base, kept),) = calls
    assert files == ["meta.json", "raw.cpu0"]
    assert kept == base == meta
    assert (meta.recorder, meta.tier, meta.lost) == ("tracefs", "T0", {"tracefs.cpu0": 3})
    assert meta.command == "sh -c 'exit 3'"
    assert (meta.vmstat_before["pswpout"], meta.vmstat_after["pswpout"]) == (5, 12)
    assert meta.devices == (ZRAM,)
    assert meta.notes == ("a note", "the command ended with status 3")
    assert not meta.interrupted
    assert list(tmp_path.iterdir()) == []


def test_a_failed_conversion_keeps_the_raw_recording_and_says_how(machine: Any, converted: Any, tmp_path: Path) -> None:
    converted(InputError("page 7 is damaged."))
    with pytest.raises(InputError, match="damaged") as caught:
        record_live(tmp_path / "t.parquet", command=["true"])
    (raw,) = tmp_path.iterdir()
    assert (raw / "raw.cpu0").exists()
    assert f"swaptrace record {raw} -o {tmp_path / 't.parquet'}" in caught.value.next_step


def test_a_bug_in_the_conversion_keeps_it_too(machine: Any, converted: Any, tmp_path: Path) -> None:
    converted(ZeroDivisionError("division by zero"))
    with pytest.raises(SwaptraceError, match="ZeroDivisionError") as caught:
        record_live(tmp_path / "t.parquet", command=["true"])
    (raw,) = tmp_path.iterdir()
    assert str(raw) in caught.value.next_step
    assert caught.value.exit_code == 70


def test_ctrl_c_during_the_conversion_keeps_it_too(machine: Any, converted: Any, tmp_path: Path) -> None:
    converted(KeyboardInterrupt())
    with pytest.raises(SwaptraceError) as caught:
        record_live(tmp_path / "t.parquet", command=["true"])
    assert caught.value.exit_code == 128 + signal.SIGINT
    assert len(list(tmp_path.iterdir())) == 1


def test_an_idle_recording_leaves_nothing(machine: list[dict[str, int]], converted: Any, tmp_path: Path) -> None:
    calls = converted()
    machine[2]["pswpout"] = 5
    with pytest.raises(InputError, match="nothing was swapped"):
        record_live(tmp_path / "t.parquet", command=["true"])
    assert list(tmp_path.iterdir()) == calls == []


def test_without_swap_the_next_step_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(session, "read_swaps", lambda: ((), ()))
    with pytest.raises(CapabilityError, match="no swap area") as caught:
        record_live(tmp_path / "t.parquet", command=["true"])
    assert "swapon" in caught.value.next_step
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_backend_names_the_closest() -> None:
    with pytest.raises(UsageError) as caught:
        choose("trcefs")
    assert "tracefs" in caught.value.why
