"""The contract: every law, on random traces, for one policy.

The traces visit every regime: growing and churning live state, rewrites, unseen frees, folios, swap-cache hits, zero
and same-filled pages, duplicates inside and across memory cgroups, pages without a hash or a size, several CPUs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from swaptrace.model.errors import UsageError, closest
from swaptrace.policies.policy import Policy
from swaptrace.policies.registry import resolve
from swaptrace.testing.laws import LAWS, Subject
from swaptrace.testing.streams import MemoryTrace, random_stream
from swaptrace.testing.watch import LawBroken

__all__ = ["policy_contract"]


def policy_contract(
    policy: str | Callable[[], Policy],
    *,
    seeds: Iterable[int] = range(4),
    stream: Callable[[int], MemoryTrace] = random_stream,
    twin: Callable[[MemoryTrace], Mapping[str, float]] | None = None,
    counted: str = "*",
    laws: Collection[str] = tuple(LAWS),
) -> None:
    """Hold ``policy`` to the laws; the first that does not hold is an error that names it, policy, seed and figure.

    Args:
        policy: a spec as after ``-p``: the name of an installed plugin, ``./mine.py:MyLayout``, or a composition; or
            a function that returns a policy.
        seeds: one random trace for each.
        stream: what makes a trace of a seed.
        twin: counts figures of a trace in a slow and obvious way (:func:`swaptrace.testing.ops_of` gives the ops),
            by name; they must come out the same.
        counted: which it counts, as a glob of names; it counts all of them, but those of the trace, prices and
            ratios that follow from others.
        laws: names of :data:`swaptrace.testing.LAWS`, all by default.

    Raises:
        AssertionError: a law does not hold.
        UsageError: the spec cannot be meant, or what it means cannot run; or there is no such law.

    >>> policy_contract("vswap-v6+dedup", seeds=[7], laws=["batch cuts", "zero pages"])
    """
    for law in laws:
        if law not in LAWS:
            raise UsageError(f"unknown law {law!r}.", closest(law, LAWS))
    named = policy if isinstance(policy, str) else policy().spec
    for seed in seeds:
        subject = Subject(resolve(policy) if isinstance(policy, str) else policy(), stream(seed), seed, twin, counted)
        for law in laws:
            try:
                LAWS[law](subject)
            except LawBroken as broken:
                at = f" (in the replays of the law of {law})" if law != broken.law else ""
                raise AssertionError(f"{named} breaks the law of {broken.law}{at}, seed {seed}: {broken.how}") from None
            except UsageError:
                raise
            except Exception as error:
                error.add_note(f"{named}, law of {law}, seed {seed}")
                raise
