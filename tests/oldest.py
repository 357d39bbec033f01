"""Print pip constraints that pin every dependency of pyproject.toml to its lower bound."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
TOOLS = ("mypy", "ruff", "import-linter", "types-")  # they check the code, they do not run it


def constraints() -> list[str]:
    """Return ``name==lower bound`` for runtime, fast and test dependencies."""
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    bounds = [re.match(r"([A-Za-z0-9-]+)>=([0-9.]+)", text) for group in groups for text in group]
    assert all(bounds), "every dependency needs a lower bound"
    return [f"{b[1]}=={b[2]}.*" for b in bounds if b and not b[1].startswith(TOOLS)]


if __name__ == "__main__":
    print("\n".join(constraints()))
