"""Write the golden files: `make golden`."""

from __future__ import annotations

from tests.golden import FOLDER, TRACES, golden_files

FOLDER.mkdir(parents=True, exist_ok=True)
for old in FOLDER.glob("*"):
    old.unlink()
for trace in TRACES:
    for path, text in golden_files(trace).items():
        path.write_text(text)
        print(path.relative_to(FOLDER.parents[1]))
