"""Whether what a plugin's distribution asks of swaptrace is this version: ``linux-swaptrace>=0.2,<1``.

Installers look at that, but a plugin may have been copied, or swaptrace changed below it. Only numbers are compared:
a clause that is not understood, or that holds only for an extra or a platform, counts as met.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable

from swaptrace import __version__

__all__ = ["unmet"]

_NAMES = ("linux-swaptrace", "swaptrace")
_REQUIREMENT = re.compile(r"\s*(?P<name>[\w.-]+)\s*(?:\[[^]]*\])?\s*\(?(?P<clauses>[^;)]*)\)?\s*(?P<marker>;.*)?")
_CLAUSE = re.compile(r"\s*(>=|<=|==|!=|~=|>|<)\s*(\d+(?:\.\d+)*)(\.\*)?\s*")
_COMPARE: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}


def unmet(requires: Iterable[str], version: str = __version__) -> str:
    """Return the first requirement on swaptrace that ``version`` does not meet, or nothing.

    >>> unmet(["numpy>=2", "linux-swaptrace>=0.1,<2"], "0.1.0")
    ''
    >>> unmet(["linux-swaptrace >= 2"], "0.1.0")
    'linux-swaptrace >= 2'
    """
    for text in requires:
        found = _REQUIREMENT.fullmatch(text)
        if found and found["name"].lower().replace("_", "-") in _NAMES and not found["marker"]:
            clauses = (_CLAUSE.fullmatch(clause) for clause in found["clauses"].split(","))
            if not all(_met(clause[1], clause[2], bool(clause[3]), version) for clause in clauses if clause):
                return text.strip()
    return ""


def _met(how: str, bound: str, prefix: bool, version: str) -> bool:
    asked, have = _numbers(bound), _numbers(version)
    if how == "~=":
        return have >= asked and _met("==", ".".join(bound.split(".")[:-1]) or bound, True, version)
    if prefix:
        have = have[: len(asked)]
    width = max(len(asked), len(have))
    return _COMPARE[how](have + (0,) * (width - len(have)), asked + (0,) * (width - len(asked)))


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in found[0].split(".")) if found else ()
