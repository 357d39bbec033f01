"""``policies list`` and ``policies explain``."""

from __future__ import annotations

import json

from tests.cli.shell import lines, swaptrace


def test_list_names_every_policy_with_its_needs() -> None:
    from swaptrace.policies.registry import catalogue

    text = swaptrace("policies", "list").stdout
    listed = json.loads(swaptrace("policies", "list", "--json").stdout)
    assert [info["name"] for info in listed] == [info.name for info in catalogue()]
    for info in catalogue():
        assert f"\n{info.name} " in text
        assert info.summary in text


def test_explain_has_every_part_of_the_info() -> None:
    value = json.loads(swaptrace("policies", "explain", "flash-vswap+dedup", "--json").stdout)
    result = swaptrace("policies", "explain", "flash-vswap+dedup")
    flat = " ".join(result.stdout.split())
    assert result.returncode == 0
    assert max(map(len, result.stdout.partition("rules of")[0].splitlines())) <= 130
    for text in (value["summary"], *value["assumptions"], *value["references"], *value["requires"]):
        assert text in flat
    for param in value["params"]:
        assert f"{param['stage']} {param['name']} {param['value']}" in flat
    for component, rule in value["rules"]:
        assert f"rules of {component}" in flat
        assert " ".join(rule.split()) in flat


def test_an_unknown_policy_names_the_closest() -> None:
    result = swaptrace("policies", "explain", "vswap-v7")
    assert result.returncode == 2
    assert "did you mean 'vswap-v6'?" in "\n".join(lines(result))
