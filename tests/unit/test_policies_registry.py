"""The grammar of policies: what is refused, and whether the message helps."""

from __future__ import annotations

import pytest

from swaptrace.model.errors import UsageError
from swaptrace.policies.catalogue import NAMED
from swaptrace.policies.registry import resolve


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("vswap-v7", "did you mean 'vswap-v6'?"),
        ("VSWAP-V6", "did you mean 'vswap-v6'?"),
        ("swaptable", "did you mean 'swap-table'?"),
        ("vswap_table", "did you mean 'vswap-table'?"),
        ("flash-vwsap", "did you mean 'flash-vswap'?"),
        ("vswap-v6,dedup", "did you mean 'vswap-v6+dedup'?"),
        ("vswap-v6+dedupe", "did you mean 'dedup'?"),
        ("vswap-v6+Flash", "did you mean 'flash'?"),
        ("vswap-v6+swap-table", "It is a policy"),
        ("dedup", "vswap-v6+dedup"),
        ("vswap-v6+flash:bufer=8MiB", "did you mean 'buffer'?"),
        ("flash-vswap:bufer=8MiB", "did you mean 'buffer'?"),
        ("vswap-v6:buffer=8MiB", "+flash:buffer=8MiB"),
        ("vswap-zswap+dedup:pool=4MiB", "+zswap:pool=4MiB"),
        ("flash-vswap:erase=1MiB", "+ftl:erase=1MiB"),
        ("vswap-v6+flash:buffer=8MB", "did you mean 'MiB'?"),
        ("vswap-v6+flash:buffer=8", "4 KiB pages"),
        ("vswap-v6+flash:buffer=x", "is not a size"),
        ("vswap-v6+flash:buffer=-1MiB", "is not a size"),
        ("vswap-v6+ftl:op=7pct", "Write 7% or 0.07."),
        ("swap-table:phase=4", "did you mean 'p4'?"),
        ("vswap-v6+dedup:scope=devce", "did you mean 'device'?"),
        ("vswap-v6+dedup:index=los", "loose"),
        ("swap-table:size=4096", "cannot act"),
        ("vswap-v6+flash:buffer=4MiB,buffer=8MiB", "'buffer' is given twice"),
        ("vswap-v6+dedup+dedup", "stage 'dedup' is given twice"),
        ("vswap-v6+slots+flash", "flash and slots at once"),
        ("vswap-v6:dedup", "'dedup' is not key=value"),
        ("vswap-v6+dedup:", "is not key=value"),
        ("", "It is empty"),
        ("vswap-v6+", "one of its parts is"),
        ("+dedup", "one of its parts is"),
        ("as-recorded+dedup", "swap-table+dedup"),
        ("vswap-v6+device", "take as-recorded"),
    ],
)
def test_a_spec_that_cannot_be_meant_is_refused_with_help(spec: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(spec)
    assert says in "\n".join(caught.value.lines())
    assert len(caught.value.lines()) <= 3


@pytest.mark.parametrize("name", NAMED)
def test_every_rule_that_a_rule_refers_to_is_told(name: str) -> None:
    rules = dict(resolve(name).info.rules)
    text = "\n".join(rules.values())
    assert ":mod:" not in text
    assert ":class:" not in text
    if "ftl" in rules:
        assert "kernels.ftl" in rules["ftl"]  # "the rule of kernels.ftl": it stands below
        assert "greedy" in rules["kernels.ftl"].lower()


def test_blanks_around_the_parts_do_not_matter() -> None:
    assert resolve(" vswap-v6 + dedup : scope = device ").spec == resolve("vswap-v6+dedup:scope=device").spec


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("vswap-v6+tiers:sizes=1GiB", "not 2 to 4 tiers"),
        ("vswap-v6+tiers:memcg=7", "is not CGROUP@TIERS"),
        ("vswap-v6+tiers:memcg=7@5", "is not CGROUP@TIERS"),
        ("vswap-v6+tiers:memcg=7@3", "names a tier that does not exist"),
        ("vswap-v6+tiers:memcg=7@2/7@1", "given twice"),
        ("vswap-v6+tiers:sizes=1000000%/1%", "more than 1000%"),
        ("vswap-v6+tiers:sizes=9999TiB/1GiB", "more than 8TiB"),
        ("vswap-v6+tiers:sizes=1/1GiB", "not a whole number of 4 KiB pages"),
        ("vswap-v6+tiers:demote=99999999999999h", "more than ten years"),
        ("vswap-v6+dedup:index=loose,ttl=99999999999999h", "more than ten years"),
        ("swap-table+flash:buffer=8MiB,pressure=1/99999999999999h", "more than ten years"),
        ("swap-table+ftl:op=7", "Write 7%."),
        ("swap-table+dedup+tiers", "dedup over tiers is not modelled"),
        ("vswap-v6+tiers+ftl", "ftl cannot act under tiers"),
        ("stacked+tiers", "stacked cannot act over tiers"),
        ("stacked:upper=swap-table", "unknown value 'swap-table'"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(spec: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(spec)
    assert says in "\n".join(caught.value.lines())


def test_a_strict_index_refuses_the_parameters_of_a_loose_one() -> None:
    resolve("swap-table+dedup:index=loose,ttl=5s,capacity=10")
    for given in ("ttl=5s", "capacity=10"):
        with pytest.raises(UsageError, match="cannot act"):
            resolve(f"swap-table+dedup:{given}")


def test_program_pages_divide_erase_blocks() -> None:
    with pytest.raises(UsageError, match="whole number of program pages"):
        resolve("swap-table+ftl:erase=64KiB,prog=12KiB")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("vswap-table:redirect=12", "unknown value '12'"),
        ("vswap-table:redirect=16,memcg_table=eager", "there is no memcg table"),
        ("vswap-table:redirect=16+flash", "no reverse map"),
        ("vswap-table:redirect=4+tiers:demote=1s", "no reverse map"),
        ("vswap-module:share=101%", "not a share from 0% to 100%"),
        ("vswap-module:share=33.33333%", "in steps of 0.0001%"),
        ("vswap-module:bypass=7,9", "'9' is not key=value"),
        ("vswap-module:bypass=web", "not ids of memory cgroups"),
        ("vswap-module:share=0%,bypass=7", "every entry goes past"),
        ("vswap-module:share=0%,mru=1", "there is no virtual entry"),
        ("vswap-module:share=0%,redirect=4", "there is no virtual entry"),
        ("vswap-module:redirect=24,memcg_table=eager", "there is no memcg table"),
        ("vswap-module+dedup", "dedup cannot act under vswap-module"),
        ("vswap-module+flash", "flash cannot act under vswap-module"),
        ("vswap-module+tiers:demote=1s", "page tables"),
    ],
)
def test_knobs_of_the_swap_table_edition_that_cannot_act_are_refused(spec: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(spec)
    assert says in "\n".join(caught.value.lines())
