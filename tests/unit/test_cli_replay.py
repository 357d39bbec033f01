"""``replay`` and ``diff``: arguments, files, formats and exit codes, with an engine that answers at once."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from swaptrace.cli.main import app
from swaptrace.model.errors import CapabilityError, UsageError, closest
from swaptrace.model.report import Report
from swaptrace.model.trace import Trace
from tests.reports import report
from tests.traces import story, write_trace

REQUESTS = {"swap-table": 100, "vswap-v6": 150, "needs-hash": 0, "interrupted": 0, "buggy": 0, "huge": 0}


def _resolve(spec: str) -> SimpleNamespace:
    if spec not in REQUESTS:
        raise UsageError(f"unknown policy {spec!r}.", closest(spec, REQUESTS))
    return SimpleNamespace(spec=spec)


def _replay(
    trace: Trace,
    policies: Sequence[Any],
    *,
    free_inference: str,
    cost: Any,
    command: str,
    progress: Any,
    **moment_and_jobs: Any,
) -> list[Report]:
    out = []
    for policy in policies:
        if policy.spec == "needs-hash":
            raise CapabilityError("needs-hash needs HASH; the trace has SLOT.", "Recorded without.", "Record again.")
        if policy.spec == "interrupted":
            raise KeyboardInterrupt
        if policy.spec == "buggy":
            raise ZeroDivisionError("boom")
        if policy.spec == "huge":
            raise MemoryError("Unable to allocate 93 GiB")
        figures = {"trace.events": trace.rows, "write.requests": REQUESTS[policy.spec]}
        one = report(policy.spec, figures, name=trace.path.name, sha256=trace.meta.digest)
        out.append(replace(one, command=command, options={"free_inference": free_inference}))
        if progress is not None:
            progress(trace.rows, trace.rows)
    return out


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run the command line in a folder of its own: ``run(words) -> (exit code, stdout, stderr)``."""
    registry, engine = ModuleType("swaptrace.policies.registry"), ModuleType("swaptrace.replay.engine")
    registry.resolve = _resolve  # type: ignore[attr-defined]
    engine.replay = _replay  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, registry.__name__, registry)
    monkeypatch.setitem(sys.modules, engine.__name__, engine)
    monkeypatch.chdir(tmp_path)
    write_trace(Path("launch.parquet"), story(40))
    write_trace(Path("other.parquet"), story(40, seed=8))

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["swaptrace", *words])
        with pytest.raises(SystemExit) as caught:
            app(list(words), prog_name="swaptrace")
        out = capsys.readouterr()
        return int(str(caught.value.code or 0)), out.out, out.err

    return call


TWO = ("-p", "swap-table", "-p", "vswap-v6")


def test_replay_prints_a_column_for_each_policy(run: Callable[..., Any]) -> None:
    code, out, err = run("replay", "launch.parquet", *TWO)
    assert (code, err) == (0, "")
    assert re.search(r"^metric +swap-table +vswap-v6 +kind$", out, re.M)
    assert re.search(r"^write\.requests +100 +150 +exact$", out, re.M)
    assert out.endswith("reproduce: swaptrace diff launch.parquet -p swap-table -p vswap-v6\n")


def test_replay_writes_a_json_and_a_text_for_each_policy(run: Callable[..., Any]) -> None:
    code, _, err = run("replay", "launch.parquet", "other.parquet", *TWO, "-o", "out/deep")
    names = sorted(path.name for path in Path("out/deep").iterdir())
    stems = [f"{trace}.{policy}" for trace in ("launch", "other") for policy in ("swap-table", "vswap-v6")]
    assert (code, names) == (0, [f"{stem}.{end}" for stem in stems for end in ("json", "txt")])
    assert err.splitlines() == [f"wrote out/deep/{stem}.json and .txt" for stem in stems]
    loaded = Report.load("out/deep/launch.vswap-v6.json")
    assert loaded.value("write.requests") == 150
    assert loaded.command == "swaptrace replay launch.parquet other.parquet -p swap-table -p vswap-v6 -o out/deep"


def test_quiet_says_nothing_beside_the_result(run: Callable[..., Any]) -> None:
    assert run("replay", "launch.parquet", *TWO, "-o", "out", "-q")[2] == ""


def test_replay_json_has_one_path_for_jq(run: Callable[..., Any]) -> None:
    _, one, _ = run("replay", "launch.parquet", "-p", "vswap-v6", "--format", "json")
    assert json.loads(one)["metrics"]["write.requests"]["value"] == 150
    _, many, _ = run("replay", "launch.parquet", *TWO, "--format", "json", "--metrics", "write.*")
    values = [json.loads(line)["metrics"] for line in many.splitlines()]
    assert [list(value) for value in values] == [["write.requests"]] * 2
    assert [value["write.requests"]["value"] for value in values] == [100, 150]


def test_the_base_comes_first_and_the_gate_trips(run: Callable[..., Any]) -> None:
    words = ("diff", "launch.parquet", *TWO, "--fail-on", "write.requests:+2%")
    code, out, err = run(*words)
    assert code == 1
    assert "+50.0%" in out
    assert err == "swaptrace: write.requests:+2% tripped by vswap-v6: 100 -> 150 (+50%)\n"
    assert run(*words[:-1], "write.requests:+50%")[0] == 0
    assert run(*words[:-1], "write.requests:-2%")[0] == 0


def test_a_gate_holds_whatever_is_shown(run: Callable[..., Any]) -> None:
    words = ("diff", "launch.parquet", *TWO, "--fail-on", "write.requests", "--metrics", "trace.*")
    code, out, _ = run(*words)
    assert code == 1
    assert "write.requests" not in out


def test_diff_of_files_equals_diff_of_the_trace(run: Callable[..., Any]) -> None:
    run("replay", "launch.parquet", *TWO, "-o", "out", "-q")
    files = [f"out/launch.{name}.json" for name in ("swap-table", "vswap-v6")]
    for style in ("text", "mail", "json"):
        assert run("diff", *files, "--format", style) == run("diff", "launch.parquet", *TWO, "--format", style)
    code, out, _ = run("diff", *files, "--format", "json", "--fail-on", "write.requests")
    value = json.loads(out)
    assert (code, value["schema"], len(value["tripped"])) == (1, "swaptrace.diff/1", 1)
    assert value["tests"][0]["rows"][-1]["relative"] == 0.5


def test_reports_of_different_traces_need_permission(run: Callable[..., Any]) -> None:
    run("replay", "launch.parquet", "other.parquet", "-p", "swap-table", "-o", "out", "-q")
    files = ("out/launch.swap-table.json", "out/other.swap-table.json")
    code, out, err = run("diff", *files)
    assert (code, out) == (3, "")
    assert "different traces" in err
    code, out, _ = run("diff", *files, "--allow-different-traces")
    assert code == 0
    assert "warning different traces" in out


def test_report_prints_again_what_replay_printed(run: Callable[..., Any]) -> None:
    printed = run("replay", "launch.parquet", *TWO, "-o", "out", "-q")[1]
    assert run("report", "out/launch.swap-table.json", "out/launch.vswap-v6.json")[1] == printed
    one = run("report", "out/launch.vswap-v6.json", "--format", "mail")[1]
    assert one == run("replay", "launch.parquet", "-p", "vswap-v6", "--format", "mail")[1]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("replay", "launch.parquet"), 2, "no policy given"),
        (("replay", "launch.parquet", "-p", "swap-tabel"), 2, "did you mean 'swap-table'?"),
        (("replay", "launch.parquet", "-p", "vswap-v6", "-p", "vswap-v6"), 2, "given twice"),
        (
            ("replay", "launch.parquet", *TWO, "--metrics", "wirte.requests"),
            2,
            "did you mean 'write.requests'?",
        ),
        (("replay", "launch.parquet", "nowhere.parquet", *TWO), 3, "nowhere.parquet does not exist"),
        (("replay", "launch.parquet", "-p", "needs-hash"), 4, "needs HASH"),
        (("replay", "launch.parquet", "-p", "interrupted"), 130, "interrupted"),
        (("replay", "launch.parquet", "-p", "buggy"), 70, "internal error: ZeroDivisionError: boom"),
        (("diff", "launch.parquet", "-p", "vswap-v6"), 2, "1 traces, 1 policies"),
        (("diff", "launch.parquet"), 2, "two things"),
        (("diff", "launch.parquet", "other.parquet"), 3, "not a report"),
        (
            ("diff", "launch.parquet", *TWO, "--fail-on", "write.reqests:+2%"),
            2,
            "did you mean 'write.requests'?",
        ),
        (("diff", "launch.parquet", *TWO, "--fail-on", "write.requests:2"), 2, "is not a limit"),
        (("diff", "launch.parquet", *TWO, "--fail-on", "dedup.hits"), 2, "no such figure"),
    ],
)
def test_errors_have_their_exit_code_and_leave_nothing(
    run: Callable[..., Any], words: tuple[str, ...], code: int, says: str
) -> None:
    extra = ("-o", "out") if words[0] == "replay" else ()
    found, out, err = run(*words, *extra)
    assert (found, out) == (code, "")
    assert says in err
    assert "Traceback" not in err
    assert 1 <= len(err.splitlines()) <= 3
    assert not Path("out").exists()


def test_an_unwritable_folder_is_exit_5_and_leaves_no_temporary(run: Callable[..., Any]) -> None:
    Path("file").write_text("")
    code, _, err = run("replay", "launch.parquet", *TWO, "-o", "file/out")
    assert code == 5
    assert "cannot write into file/out." in err
    assert sorted(path.name for path in Path().iterdir()) == ["file", "launch.parquet", "other.parquet"]


def test_a_bug_says_how_to_report_it_and_debug_adds_its_traceback(run: Callable[..., Any]) -> None:
    code, out, err = run("replay", "launch.parquet", "-p", "buggy")
    assert (code, out, len(err.splitlines())) == (70, "", 3)
    assert "--debug" in err
    assert "swaptrace --version" in err
    code, _, debugged = run("replay", "launch.parquet", "-p", "buggy", "--debug")
    assert code == 70
    assert debugged.startswith("Traceback (most recent call last)")
    assert debugged.endswith(err)


def test_too_little_memory_is_no_bug(run: Callable[..., Any]) -> None:
    code, _, err = run("replay", "launch.parquet", "-p", "huge")
    assert (code, err.splitlines()[:2]) == (4, ["swaptrace: out of memory.", "  Unable to allocate 93 GiB."])


def test_the_same_trace_twice_and_reports_of_one_name_are_refused(run: Callable[..., Any], tmp_path: Path) -> None:
    write_trace(Path("again.parquet"), story(40))
    code, _, err = run("replay", "launch.parquet", "again.parquet", "-p", "swap-table")
    assert code == 2
    assert "are the same trace" in err
    Path("b").mkdir()
    write_trace(Path("b/launch.parquet"), story(40, seed=9))
    code, _, err = run("replay", "launch.parquet", "b/launch.parquet", "-p", "swap-table", "-o", "out")
    assert code == 2
    assert "have the same name" in err
    assert not Path("out").exists()
    assert run("replay", "launch.parquet", "b/launch.parquet", "-p", "swap-table")[0] == 0


def test_a_trace_given_as_a_report_is_told_apart(run: Callable[..., Any]) -> None:
    for words in (("diff", "launch.parquet", "other.parquet"), ("report", "launch.parquet")):
        code, _, err = run(*words)
        assert code == 3
        assert "launch.parquet is a trace, not a report." in err
        assert "swaptrace diff launch.parquet -p" in err
