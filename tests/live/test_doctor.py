"""doctor on the running kernel: its checks, and its self-test on a real swap area."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from swaptrace.capture.swaps import read_swaps
from tests.cli.shell import swaptrace
from tests.live.conftest import sh, swapped_on

pytestmark = pytest.mark.live


def found(*words: str) -> tuple[int, dict[str, dict[str, str]], dict[str, object]]:
    result = swaptrace("doctor", "--json", *words)
    document = json.loads(result.stdout)
    return result.returncode, {check["name"]: check for check in document["checks"]}, document


def test_without_swap_nothing_can_be_recorded() -> None:
    status, checks, document = found()
    assert status == 4
    assert checks["swap"]["state"] == "no"
    assert checks["tracefs"]["state"] == checks["writeouts"]["state"] == checks["bios"]["state"] == "ok"
    assert document["self_test"] is None
    assert document["can_record"] == []


@pytest.fixture
def small_blocks(machine: None, tmp_path: Path) -> Iterator[Path]:
    """A swap file of 32 MiB on ext4 in blocks of 1 KiB, in pieces that begin anywhere: its slots are not its pages."""
    image, where = tmp_path / "blocks.img", tmp_path / "blocks"
    where.mkdir()
    sh("truncate", "-s", "96M", image)
    loop = sh("losetup", "-f", "--show", image)
    try:
        sh("mkfs.ext4", "-q", "-b", "1024", "-O", "^has_journal", loop)
        sh("mount", loop, where)
        try:
            fillers = [where / f"filler{i}" for i in range(1000)]
            with contextlib.suppress(OSError):  # until the disk is full
                for i, filler in enumerate(fillers):
                    filler.write_bytes(bytes(1024 * (201 + i % 7)))
            os.sync()
            for filler in fillers[::2]:
                filler.unlink(missing_ok=True)
            area = where / "swap"
            sh("dd", "if=/dev/zero", f"of={area}", "bs=1M", "count=32", "conv=fsync")
            area.chmod(0o600)
            with swapped_on(area):
                (device,), _ = read_swaps()
                assert len(device.extents) > 20
                assert sum(pages for *_, pages in device.extents) == device.pages < (32 << 20) // 4096
                yield area
        finally:
            sh("umount", where)
    finally:
        sh("losetup", "-d", loop)
        image.unlink()


@pytest.mark.parametrize("area", ["zram", "swap_file", "xfs_file", "small_blocks"])
def test_the_self_test_sees_every_page(area: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(area)
    status, checks, document = found()
    assert status == 0
    assert checks["swap"]["state"] == "ok"
    test = document["self_test"]
    assert isinstance(test, dict)
    assert test["expected_out"] == test["seen_out"] == 2048
    assert test["expected_in"] == test["seen_in"] == 2048
    assert test["lost"] == 0
    assert test["check"]["state"] == "ok"
    assert "each at its slot" in test["check"]["what"]
    assert test["buffer_kib"] >= 1024
    assert checks["disk"]["state"] == "ok"
    can = document["can_record"]
    assert isinstance(can, list)
    assert "SLOT" in can


@pytest.mark.parametrize("tier", ["auto", "tracepoint"])
def test_what_doctor_says_can_be_recorded_is_recorded(zram: Path, limited: Path, tmp_path: Path, tier: str) -> None:
    """The verdict against a recording: what doctor promised of a tier is what its trace has."""
    from swaptrace.model.meta import Sight
    from swaptrace.model.trace import Trace

    _, _, document = found("--no-self-test")
    storm = Path("swaptrace/capture/doctor/storm.py").resolve()
    trace = tmp_path / "t.parquet"
    command = ("python3", "-I", storm, "512", tmp_path / "w", limited)
    made = swaptrace("record", "-o", trace, "--tier", tier, "--owner", "--cgroup", limited, "--", *command)
    assert made.returncode == 0, made.stderr
    has = {each.value for each, sight in Trace(trace).meta.capabilities.items() if sight is not Sight.ABSENT}
    found_tiers = document["tiers"]
    assert isinstance(found_tiers, list)
    named = {each["name"]: each for each in found_tiers}
    promised = named[Trace(trace).meta.tier]
    assert promised["possible"]
    assert has == set(promised["sees"])
    if tier == "auto":
        assert has == set(document["can_record"])  # type: ignore[call-overload]
