"""Cost models: the presets, files of one's own, overrides, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from swaptrace.model.cost import DEVICE, PARAMETERS, CostModel, Price
from swaptrace.model.cost_files import load_cost, preset_names
from swaptrace.model.errors import InputError, UsageError


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_has_every_price_with_a_source(name: str) -> None:
    cost = load_cost(name)
    expected = {*PARAMETERS} if cost.has_device else {*PARAMETERS} - {*DEVICE, "pe_cycles"}
    assert cost.prices.keys() >= expected - {"pe_cycles"}
    assert list(cost.prices) == [parameter for parameter in PARAMETERS if parameter in cost.prices]
    assert cost.summary
    for price in cost.prices.values():
        assert price.source
        assert price.low <= price.typical <= price.high


def test_the_presets_are_the_documented_ones() -> None:
    assert preset_names() == ["neutral", "emmc51", "nvme-client", "nvme-enterprise", "pmem", "ufs3", "zram"]
    assert not load_cost("neutral").has_device
    assert all(load_cost(name).has_device for name in preset_names()[1:])
    assert {name for name in preset_names() if "pe_cycles" not in load_cost(name).prices} == {"neutral", "pmem", "zram"}


def test_neutral_prices_of_the_indirection_are_those_of_the_first_reports() -> None:
    neutral = load_cost().prices
    assert [neutral["line_ns"].low, neutral["line_ns"].typical, neutral["line_ns"].high] == [20, 90, 150]
    assert [neutral["walk_ns"].low, neutral["walk_ns"].typical, neutral["walk_ns"].high] == [5, 15, 25]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("60", (60, 60, 60)),
        ("60..120", (60, 90, 120)),
        ("60..70..120", (60, 70, 120)),
        ("30us..80us", (30_000, 55_000, 80_000)),
        ("0.5us..1000", (500, 750, 1000)),
        (" 1e3 .. 2e3 ", (1000, 1500, 2000)),
    ],
)
def test_an_override_replaces_one_price(text: str, values: tuple[float, float, float]) -> None:
    plain, cost = load_cost("emmc51"), load_cost("emmc51", [f"line_ns={text}"])
    price = cost.prices["line_ns"]
    assert (price.low, price.typical, price.high) == values
    assert cost.sha256 == plain.sha256  # of the preset; the override stands beside it
    assert {name: p for name, p in cost.prices.items() if name != "line_ns"} == {
        name: p for name, p in plain.prices.items() if name != "line_ns"
    }
    again = load_cost("emmc51", [f"{name}={value}" for name, value in cost.overrides.items()])
    assert again == cost  # the text in a report means the same price


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("lines_ns=3", "did you mean 'line_ns'?"),
        ("line_ns", "is not a time"),
        ("line_ns=", "is not a time"),
        ("line_ns=4 parsecs", "is not a time"),
        ("line_ns=-4", "is not a time"),
        ("line_ns=nan", "is not a time"),
        ("line_ns=1e99", "a number from 0 to"),
        ("line_ns=9..3", "not in this order"),
        ("line_ns=1..2..3..4", "4 values"),
        ("pe_cycles=3us", "is not a number"),
    ],
)
def test_a_wrong_override_says_why(change: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_cost("emmc51", [change])
    assert says in " ".join(caught.value.lines())


def test_an_override_is_given_once() -> None:
    with pytest.raises(UsageError, match="twice"):
        load_cost("emmc51", ["line_ns=3", "line_ns=4"])


def test_half_a_device_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        load_cost("neutral", ["device_read_ns=100us"])
    assert "It lacks device_write_ns, device_seq_write_ns, device_discard_ns." in caught.value.why


def test_a_file_builds_on_another(tmp_path: Path) -> None:
    (tmp_path / "board.toml").write_text(
        'summary = "our board"\nbase = "emmc51"\n[device_read_ns]\nlow = 1\ntypical = 2\nhigh = 3\nsource = "fio"\n'
    )
    (tmp_path / "slow.toml").write_text('base = "board.toml"\n[line_ns]\nlow = 7\ntypical = 8.5\nhigh = 9\n')
    cost = load_cost(str(tmp_path / "slow.toml"))
    assert cost.prices["device_read_ns"] == Price(1, 2, 3, "fio")
    assert cost.prices["line_ns"] == Price(7, 8.5, 9, "")
    assert cost.prices["device_write_ns"] == load_cost("emmc51").prices["device_write_ns"]
    assert cost.sha256 not in {load_cost(name).sha256 for name in preset_names()}


def test_the_digest_is_of_the_values_not_of_the_words(tmp_path: Path) -> None:
    path = tmp_path / "same.toml"
    path.write_text('summary = "other words"\nbase = "ufs3"\n')
    assert load_cost(str(path)).sha256 == load_cost("ufs3").sha256
    path.write_text('base = "ufs3"\n[line_ns]\nlow = 20\ntypical = 90\nhigh = 151\n')
    assert load_cost(str(path)).sha256 != load_cost("ufs3").sha256


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[line_ns", "is not TOML"),
        ("\xff", "is not UTF-8"),
        ("x = " + "9" * 5000, "is not TOML"),
        ('base = "emmc52"', "did you mean 'emmc51'?"),
        ('base = "mine.toml"', "in a circle"),
        ('base = "absent.toml"', "does not exist"),
        ("base = 3", "are texts"),
        ("[lin_ns]\nlow = 1\ntypical = 1\nhigh = 1", "did you mean 'line_ns'?"),
        ("line_ns = 3", "is not a table"),
        ("[line_ns]\nlow = 1\nhigh = 1", "lacks typical"),
        ("[line_ns]\nlow = 1\ntypical = true\nhigh = 1", "lacks typical"),
        ("[line_ns]\nlow = 1\ntypical = 1\nhihg = 1", "did you mean 'high'?"),
        ("[line_ns]\nlow = 3\ntypical = 2\nhigh = 1", "not in this order"),
        ("[line_ns]\nlow = 3\ntypical = 3\nhigh = inf", "a number from 0 to"),
        ("[line_ns]\nlow = 1\ntypical = 1\nhigh = 1\nsource = 3", "a source in words"),
        ("[device_read_ns]\nlow = 1\ntypical = 1\nhigh = 1", "not all"),
    ],
)
def test_a_damaged_file_says_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises((InputError, UsageError)) as caught:
        load_cost(str(path))
    lines = caught.value.lines()
    assert len(lines) <= 3
    assert says in " ".join(lines)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big.toml"
    path.write_bytes(b"#" * (2 << 20))
    for name in (str(path), "/dev/zero", str(tmp_path) + "/"):
        with pytest.raises(InputError, match="not a cost model"):
            load_cost(name)


def test_an_unknown_preset_names_the_closest() -> None:
    with pytest.raises(UsageError) as caught:
        load_cost("emc51")
    assert "did you mean 'emmc51'?" in caught.value.why


def test_a_model_cannot_be_wrong() -> None:
    for values in ((-1, 0, 0), (0, float("nan"), 1), (2, 1, 3)):
        with pytest.raises(ValueError, match=r"a price is|in this order"):
            Price(*values)
    with pytest.raises(UsageError):
        CostModel("x", {"device_read_ns": Price(1, 1, 1)})
