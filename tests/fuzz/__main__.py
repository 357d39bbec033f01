"""``make fuzz``: damaged recordings of every format, many of them; prints a table."""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tabulate import tabulate

from tests.fuzz.child import FORMATS, SECONDS, Tally, variant
from tests.fuzz.runner import fuzz

_PIECE = 1000  # variants of one process


def _add(whole: Tally, part: Tally) -> None:
    if part.slowest > whole.slowest:
        whole.slowest, whole.which = part.slowest, part.which
    whole.memory = max(whole.memory, part.memory)
    for name in ("variants", "imported", "refused", "seconds"):
        setattr(whole, name, getattr(whole, name) + getattr(part, name))


def main() -> int:
    """Fuzz the formats that were named, or all; return how many of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--variants", type=int, default=20_000, help="of each format (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first variant")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--only", type=int, help="write this variant to a folder and import it here")
    args = parser.parse_args()
    if args.only is not None:
        folder = Path(tempfile.mkdtemp(prefix="fuzz"))
        print(variant(args.formats[0], args.only, folder))
        print(fuzz(args.formats[0], args.only, 1))
        return 0
    tallies, failed = {}, []
    with ThreadPoolExecutor(args.jobs) as pool:
        for form in args.formats or FORMATS:
            whole = tallies[form] = Tally()
            starts = range(args.first, args.first + args.variants, _PIECE)
            stop = args.first + args.variants
            for part in [pool.submit(fuzz, form, at, min(_PIECE, stop - at)) for at in starts]:
                try:
                    _add(whole, part.result())
                except AssertionError as error:
                    failed.append(form)
                    print(error, flush=True)
            print(f"{form}: {whole}", file=sys.stderr, flush=True)
    rows = [
        (f, t.variants, t.imported, t.refused, f"{t.slowest:.2f}", f"{t.memory >> 20}", f"{t.seconds:.0f}")
        for f, t in tallies.items()
    ]
    head = ("format", "variants", "imported", "refused", f"slowest s (limit {SECONDS})", "memory MiB", "all s")
    print(tabulate(rows, head, intfmt=","))
    print(f"{len(failed)} failures")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
