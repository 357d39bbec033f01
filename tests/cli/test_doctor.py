"""``swaptrace doctor`` as a user runs it, without its self-test: that one swaps (tests/live/test_doctor.py)."""

from __future__ import annotations

import json

from tests.cli.shell import swaptrace

KEYS = {"schema", "kernel", "machine", "checks", "self_test", "tiers", "can_record", "cannot_record"}


def test_it_ends_with_what_can_be_recorded() -> None:
    result = swaptrace("doctor", "--no-self-test")
    assert result.returncode in (0, 4)
    assert result.stderr == ""
    printed = result.stdout.splitlines()
    assert max(map(len, printed)) <= 100
    last = [line for line in printed if line.startswith("you can record: ")]
    assert len(last) == 1
    assert (result.returncode == 4) == ("nothing now" in last[0])


def test_the_keys_of_its_json_are_stable() -> None:
    result = swaptrace("doctor", "--json", "--no-self-test")
    document = json.loads(result.stdout)
    assert set(document) == KEYS
    assert document["schema"] == "swaptrace.doctor/1"
    assert {frozenset(check) for check in document["checks"]} == {frozenset({"name", "state", "what", "fix"})}
    assert {check["state"] for check in document["checks"]} <= {"ok", "warn", "no"}
    assert [tier["name"] for tier in document["tiers"]] == ["T0", "T1", "T2", "T3"]
    assert set(document["tiers"][0]) == {"name", "what", "possible", "sees", "lacks", "why"}
    assert (result.returncode == 0) == bool(document["can_record"])
    assert sorted(document["can_record"] + document["cannot_record"]) == sorted(
        ["SLOT", "FREE", "OWNER", "HASH", "CLEN", "FAULT", "SNAPSHOT"]
    )
