"""``swaptrace doctor``: what can be recorded on this machine, and what to do about the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swaptrace.cli.options import Json

if TYPE_CHECKING:
    from swaptrace.capture.doctor.root import Check
    from swaptrace.capture.doctor.table import Tier
    from swaptrace.model.meta import Capability

__all__ = ["doctor", "register"]

_SCHEMA = "swaptrace.doctor/1"
_WIDTH = 100
_NOTHING_RECORDED = 4


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(short_help="Say what can be recorded here, and how to fix the rest.")(doctor)


def doctor(
    json: Json = False,
    self_test: Annotated[
        bool,
        typer.Option("--self-test/--no-self-test", help="Swap 8 MiB in a cgroup and record it; time the disk."),
    ] = True,
) -> None:
    """Say what can be recorded on this machine, and how to fix the rest.

    Changes nothing: the self-test uses a swap area that is enabled and a child cgroup of its own, and writes 16 MiB
    to a temporary file here, where a trace would go.
    Exit code 0 if anything can be recorded now, else 4.
    """
    from swaptrace.capture.doctor.disk import write_speed
    from swaptrace.capture.doctor.root import Root
    from swaptrace.capture.doctor.selftest import run_selftest
    from swaptrace.capture.doctor.swap import kinds
    from swaptrace.capture.doctor.table import can_record, examine, tiers

    root = Root()
    checks = examine(root)
    found = tiers(checks, kinds(root))
    can, cannot = can_record(checks, found)
    test = run_selftest(root) if self_test and can else None
    if self_test:
        checks.append(write_speed(root, Path.cwd()))
    if json:
        import json as json_module

        document = {
            "schema": _SCHEMA,
            "kernel": root.release,
            "machine": root.machine,
            "checks": [asdict(check) for check in checks],
            "self_test": None if test is None else asdict(test),
            "tiers": [asdict(tier) for tier in found],
            "can_record": can,
            "cannot_record": cannot,
        }
        print(json_module.dumps(document, indent=1))
    else:
        shown = checks if test is None else [*checks, test.check]
        print("\n".join(_text(f"Linux {root.release} {root.machine}", shown, found, can, cannot)))
    if not can:
        raise typer.Exit(_NOTHING_RECORDED)


def _text(
    machine: str,
    checks: Sequence[Check],
    found: Sequence[Tier],
    can: Sequence[Capability],
    cannot: Sequence[Capability],
) -> Iterator[str]:
    """Yield the lines: a check each, its fix below it, the tiers, and what follows."""
    yield machine
    for check in _joined(checks):
        yield from _wrapped(f"{check.name:<14}{check.state:<6}", check.what)
        if check.fix and check.state != "ok":
            yield from _wrapped(" " * 20 + "fix: ", check.fix)
    yield ""
    for tier in found:
        said = ", ".join(tier.sees) if tier.possible else f"lacks {', '.join(tier.lacks)}"
        yield from _wrapped(f"{tier.name:<14}{'ok' if tier.possible else 'no':<6}", f"{tier.what}: {said}")
    yield ""
    if can:
        names = [tier.name for tier in found if tier.possible]
        yield from _wrapped(
            "you can record: ", f"{', '.join(can)} ({', '.join(names)}).  not: {', '.join(cannot) or 'none'}"
        )
        return
    no_swap = next((check.what for check in checks if check.name == "swap" and check.state == "no"), "")
    yield from _wrapped("you can record: ", f"nothing now: {no_swap or 'no tier is possible'}")
    possible = [tier for tier in found if tier.possible]
    after = [each for each in cannot if any(each in tier.sees for tier in possible)]
    if no_swap and after:
        yield from _wrapped("once swap is on: ", f"{', '.join(after)} ({', '.join(tier.name for tier in possible)})")


def _joined(checks: Sequence[Check]) -> Iterator[Check]:
    """Yield the checks, those that only say that they need tracefs as one."""
    from swaptrace.capture.doctor.events import SEE_TRACEFS

    unknown = [check for check in checks if check.fix == SEE_TRACEFS]
    for check in checks:
        if check not in unknown:
            yield check
        elif check is unknown[0]:
            names = ", ".join(each.name for each in unknown)
            yield replace(check, name="events", what=f"unknown without tracefs: {names}")


def _wrapped(head: str, text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
