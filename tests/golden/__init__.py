"""The golden reports: every named policy on the sample traces, kept in reports/golden."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from swaptrace.compare.diff import compare
from swaptrace.model.report import Report, ToolUsed
from swaptrace.model.trace import Trace
from swaptrace.policies.catalogue import NAMED
from swaptrace.policies.registry import resolve
from swaptrace.render.files import report_paths
from swaptrace.render.mail import mail_diff
from swaptrace.replay.engine import replay

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "reports" / "golden"
TRACES = tuple(sorted((ROOT / "traces").glob("*.parquet")))
MAILS = (("swap-table", "vswap-v6"), ("vswap-v6", "flash-vswap"), ("swap-table", "swap-table+dedup"))
# The figures do not depend on the versions and the engine that computed them: golden files do not name any.
TOOL = ToolUsed("swaptrace", "any", "any", "any", "any")


def golden_files(path: Path) -> dict[Path, str]:
    """Return the golden files of one sample trace: a JSON report per policy, and mail texts of pairs."""
    trace = Trace(path)
    reports = replay(trace, [resolve(name) for name in NAMED])
    files = {}
    by_name: dict[str, Report] = {}
    for report, place in zip(reports, report_paths(reports, path, FOLDER), strict=True):
        name = f"traces/{path.name}"
        command = f"swaptrace replay {name} -p {report.policy.name}"
        by_name[report.policy.name] = dataclasses.replace(report, tool=TOOL, command=command)
        files[place] = by_name[report.policy.name].to_json()
    for base, test in MAILS:
        diffs = compare(by_name[base], [by_name[test]])
        files[FOLDER / f"{path.stem}.{base}-vs-{test}.txt"] = mail_diff(diffs, trace=f"traces/{path.name}")
    return files
