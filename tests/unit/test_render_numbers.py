"""Numbers, scales, sparklines and file names."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swaptrace.render.files import report_paths, slug
from swaptrace.render.numbers import number, percent, scale_of
from swaptrace.render.spark import sparkline
from tests.reports import report


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1_204_331, "1,204,331"), (0.0, "0"), (9.2, "9.200"), (9.9996, "10.00"), (0.99999, "1.000")],
)
def test_counts_in_full_others_with_four_digits(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(min_value=1e-12, max_value=1e18) | st.integers(min_value=0, max_value=10**30))
def test_no_exponent_and_right_to_four_digits(value: float) -> None:
    text = number(value)
    assert "e" not in text
    assert float(text.replace(",", "")) == pytest.approx(value, rel=5.1e-4)


@pytest.mark.parametrize(
    ("values", "unit", "cells"),
    [
        ((9_646_899, 49_389_568), "MiB", ["9.200", "47.10"]),
        ((None, 100), "B", ["n/a", "100"]),
        ((0, 0), "B", ["0", "0"]),
        ((512, 50 << 30), "KiB", ["0.5000", "52,428,800"]),
    ],
)
def test_a_row_has_one_unit_that_keeps_every_value_readable(
    values: tuple[int | None, int], unit: str, cells: list[str]
) -> None:
    scale = scale_of("B", values)
    assert scale.unit == unit
    assert [scale.cell(value) for value in values] == cells


def test_other_units_stay() -> None:
    assert scale_of("pages", [5_000_000]).unit == "pages"
    assert scale_of("1", [5.5]).unit == ""
    assert scale_of("ns", [1.5e6, 2e6]).unit == "ms"
    assert [scale_of("y", [years, 3 * years]).unit for years in (2.5, 0.1, 3e-4, 2e-5)] == [
        "years",
        "days",
        "hours",
        "minutes",
    ]
    assert scale_of("y", [0.5]).cell(0.5) == "182.6"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "+0.0%"),
        (4.12, "+412.0%"),
        (-0.0005, "-0.050%"),
        (-0.00001, "-<0.01%"),
        (1e30, "+>1,000,000%"),
        (123.4, "+12,340%"),
    ],
)
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text


def test_sparkline_heights() -> None:
    assert sparkline([0, 1, 4, 8]) == " ▁▄█"
    assert sparkline([0, 1, 80], ascii_only=True) == " .#"
    assert sparkline([]) == ""


def test_file_names_are_safe_and_never_equal() -> None:
    assert slug("a/../b c") == "a-..-b-c"
    assert len(slug("x" * 300)) < 100
    assert slug("x" * 300) != slug("x" * 301)
    paths = report_paths([report("a:b"), report("a,b"), report("c")], Path("d/t.parquet"), Path("out"))
    assert len(set(paths)) == 3
    assert paths[2] == Path("out/t.c.json")
