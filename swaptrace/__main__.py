"""``python -m swaptrace``: the same as the command ``swaptrace``."""

from swaptrace.cli.main import run

__all__: list[str] = []

if __name__ == "__main__":
    run()
