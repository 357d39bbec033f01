"""doctor on the running kernel: its checks, and its self-test on a real swap area."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

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
def xfs_file(machine: None, tmp_path: Path) -> Iterator[Path]:
    """A swap file of 64 MiB on xfs, on a loop device."""
    if shutil.which("mkfs.xfs") is None:
        pytest.skip("live: mkfs.xfs is not installed")
    image, where = tmp_path / "disk.img", tmp_path / "mnt"
    where.mkdir()
    sh("truncate", "-s", "400M", image)
    loop = sh("losetup", "-f", "--show", image)
    try:
        sh("mkfs.xfs", "-q", loop)
        sh("mount", loop, where)
        try:
            sh("dd", "if=/dev/zero", f"of={where / 'swap'}", "bs=1M", "count=64", "conv=fsync")
            (where / "swap").chmod(0o600)
            with swapped_on(where / "swap") as area:
                yield area
        finally:
            sh("umount", where)
    finally:
        sh("losetup", "-d", loop)


@pytest.mark.parametrize("area", ["zram", "swap_file", "xfs_file"])
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
    can = document["can_record"]
    assert isinstance(can, list)
    assert "SLOT" in can


def test_what_doctor_says_can_be_recorded_is_recorded(zram: Path, limited: Path, tmp_path: Path) -> None:
    """The verdict against a recording: whatever a trace of this machine has, doctor promised."""
    from swaptrace.model.meta import Sight
    from swaptrace.model.trace import Trace

    _, _, document = found("--no-self-test")
    storm = Path("swaptrace/capture/doctor/storm.py").resolve()
    trace = tmp_path / "t.parquet"
    command = ("python3", "-I", storm, "512", tmp_path / "w", limited)
    made = swaptrace("record", "-o", trace, "--owner", "--cgroup", limited, "--", *command)
    assert made.returncode == 0, made.stderr
    has = {each.value for each, sight in Trace(trace).meta.capabilities.items() if sight is not Sight.ABSENT}
    can = document["can_record"]
    assert isinstance(can, list)
    assert has == set(can)
