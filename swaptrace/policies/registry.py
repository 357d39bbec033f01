"""From the text of a policy to a :class:`Policy`, and the list of named ones.

Grammar: ``NAME[:key=value,...][+STAGE[:key=value,...]]...``. NAME is a named policy or a layout; its parameters are
those of the layout, else of the one stage in the named path that has it. A stage that the path already has gets the
parameters; a new one goes to its place in the order of the catalogue; a stage that places pages on the device replaces
the one there. In a path with zswap, dedup has ``scope=zswap`` unless it is given. ``FILE.py:CLASS`` stands for a layout
or stage of one's own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from swaptrace.model.component import Role, Stage
from swaptrace.model.errors import UsageError, closest
from swaptrace.policies.catalogue import LAYOUTS, NAMED, STAGES
from swaptrace.policies.info import PolicyInfo
from swaptrace.policies.parts import layout_kind, place_of, plugins, refuse_broken, stage_kind
from swaptrace.policies.plugins import FILE, origin_of
from swaptrace.policies.policy import Part, Policy

__all__ = ["catalogue", "resolve", "stages"]

_DEFAULT_PATH = {"recorded": ("device", "ftl")}
_LIST = "See: swaptrace policies list"


def catalogue() -> list[PolicyInfo]:
    """Return what every named policy says about itself, and every layout of a plugin."""
    return [resolve(name).info for name in (*NAMED, *plugins().layouts)]


def stages() -> list[tuple[str, str]]:
    """Return the name and summary of every stage, in path order, those of plugins marked."""
    kinds = sorted((*STAGES.values(), *plugins().stages.values()), key=place_of)
    marks = {kind: "" if (origin := origin_of(kind)) == "builtin" else f" [{origin}]" for kind in kinds}
    return [(kind.name, kind.summary + marks[kind]) for kind in kinds]


def resolve(spec: str) -> Policy:
    """Return the policy that ``spec`` means. Raises :class:`UsageError` naming the closest match."""
    first, *rest = (_token(text, spec) for text in spec.strip().split("+"))
    name, given = first
    policy = _with_params(_base(name), given, spec)
    seen: set[str] = set()
    for stage, params in rest:
        if stage in seen:
            raise UsageError(f"{spec}: stage {stage!r} is given twice.", "", "Give its parameters once.")
        placing = sorted(name for name in {stage, *seen} if _places(name))
        if len(placing) > 1:
            raise UsageError(
                f"{spec}: {' and '.join(placing)} at once.", "Both place pages on the device.", "Choose one of them."
            )
        seen.add(stage)
        policy = _with_stage(policy, stage, params, spec)
    policy = _named(_in_the_pool(policy), spec)
    for part in policy.parts:
        part.build()  # parse every parameter now: a wrong value is a usage error
    _refuse_idle_parameters(policy, spec)
    return policy


def _token(text: str, spec: str) -> tuple[str, dict[str, str]]:
    if match := FILE.fullmatch(text.strip()):
        name, tail, colon = f"{match['path']}:{match['cls']}", match["params"] or "", match["params"]
    else:
        name, colon, tail = text.partition(":")
    name = name.strip()
    if not name:
        raise UsageError(
            f"{spec!r} is not a policy.",
            "It is empty, or one of its parts is.",
            "Write LAYOUT+STAGE:KEY=VALUE, as in vswap-v6+dedup; see: swaptrace policies list",
        )
    params: dict[str, str] = {}
    for item in tail.split(",") if colon else ():
        key, _, value = (word.strip() for word in item.partition("="))
        if not key or not value:
            raise UsageError(f"{spec}: {item!r} is not key=value.", "", "For example: flash-vswap:buffer=8MiB")
        if key in params:
            raise UsageError(f"{spec}: {key!r} is given twice.", f"{params[key]} and {value}.", "Give it once.")
        params[key] = value
    return name, params


def _base(name: str) -> Policy:
    if name in NAMED:
        named = NAMED[name]
        layout, path, summary = named.layout, named.path, named.summary
        references = named.references
    elif kind := layout_kind(name):
        layout, path, summary = name, _DEFAULT_PATH.get(name, ("zero", "slots", "ftl")), kind.summary
        references = ()
    elif stage_kind(name):
        raise UsageError(
            f"{name!r} is a stage, not a policy.",
            "A policy begins with a layout.",
            f"For example: vswap-v6+{name}",
        )
    else:
        refuse_broken(name)
        raise UsageError(f"unknown policy {name!r}.", closest(name, {**NAMED, **LAYOUTS, **plugins().layouts}), _LIST)
    layout, given = _token(layout, layout)
    base = layout_kind(layout)
    assert base is not None
    stages = (_token(text, text) for text in path)
    return Policy(
        name,
        summary,
        Part(base, tuple(given.items())),
        tuple(Part(STAGES[stage], tuple(params.items())) for stage, params in stages),
        references,
    )


def _places(stage: str) -> bool:
    kind = stage_kind(stage)
    return kind is not None and kind.role is Role.PLACEMENT


def _with_params(policy: Policy, given: dict[str, str], spec: str) -> Policy:
    """Give each parameter to the one part of the policy that has it."""
    parts: list[Part[Any]] = list(policy.parts)
    for key, text in given.items():
        owners = [i for i, part in enumerate(parts) if any(p.name == key for p in part.kind.params)]
        if 0 in owners:
            owners = [0]  # the layout's own parameter comes first
        if len(owners) != 1:
            known = [p.name for part in parts for p in part.kind.params]
            if owners:
                names = " and ".join(parts[i].kind.name for i in owners)
                raise UsageError(
                    f"{spec}: {key!r} is a parameter of {names}.",
                    "",
                    f"Write it at its stage: +{parts[owners[-1]].kind.name}:{key}={text}",
                )
            hint = closest(key, known)
            raise _no_parameter(policy.name, key, text, spec, hint, f"See: swaptrace policies explain {policy.name}")
        part = parts[owners[0]]
        parts[owners[0]] = Part(part.kind, (*part.given, (key, text)))
    return replace(policy, layout=parts[0], path=tuple(parts[1:]))


def _no_parameter(owner: str, key: str, text: str, spec: str, hint: str, more: str) -> UsageError:
    """Return the error that ``owner`` has no such parameter: whose it is, if it is a stage's, else the ``hint``."""
    what = f"{spec}: {owner} has no parameter {key!r}."
    stages = [name for name, kind in STAGES.items() if any(p.name == key for p in kind.params)]
    if stages:
        return UsageError(what, f"It is one of {' and '.join(stages)}.", f"Write it there: +{stages[0]}:{key}={text}")
    return UsageError(what, hint, more)


def _with_stage(policy: Policy, stage: str, given: dict[str, str], spec: str) -> Policy:
    kind = stage_kind(stage)
    if kind is None:
        refuse_broken(stage)
        comes_first = stage in NAMED or layout_kind(stage)
        hint = "It is a policy: it can only come first." if comes_first else closest(stage, STAGES)
        raise UsageError(f"{spec}: unknown stage {stage!r}.", hint, _LIST)
    known = [p.name for p in kind.params]
    for key, text in given.items():
        if key not in known:
            hint = closest(key, known) if known else "It has none."
            raise _no_parameter(stage, key, text, spec, hint, _LIST)
    names = [part.kind.name for part in policy.path]
    recorded = policy.layout.kind.name == "recorded"
    if recorded and stage not in names:
        raise UsageError(
            f"{spec}: {stage!r} cannot act here.",
            "as-recorded replays the recorded traffic itself: nothing stands before the device.",
            f"Put it on a layout that decides the traffic anew: swap-table+{stage}",
        )
    if not recorded and stage == "device":
        raise UsageError(
            f"{spec}: {stage!r} cannot act here.",
            f"It passes on the recorded traffic, and {policy.layout.kind.name} decides the traffic anew.",
            "Leave it out, or take as-recorded.",
        )
    path: list[Part[Stage]] = list(policy.path)
    if kind.name in names:
        index = names.index(kind.name)
        path[index] = Part(kind, (*path[index].given, *given.items()))
    else:
        if kind.role is Role.PLACEMENT:
            path = [part for part in path if part.kind.role is not Role.PLACEMENT]
            if not kind.over_ftl:
                path = [part for part in path if part.kind.role is not Role.DEVICE]
        index = sum(place_of(part.kind) <= place_of(kind) for part in path)
        path.insert(index, Part(kind, tuple(given.items())))
    return replace(policy, path=tuple(path))


def _named(policy: Policy, spec: str) -> Policy:
    """Name the policy as the user wrote it, with the summary of the named policy that it is, if it is one."""
    for name in NAMED:
        named = _base(name)
        if named.spec == policy.spec:
            return replace(policy, name=spec, summary=named.summary, references=named.references)
    if "+" not in spec:
        return replace(policy, name=spec)  # a named policy or a layout, maybe with other parameters
    summary = "; ".join(part.kind.summary for part in policy.parts)
    return replace(policy, name=spec, summary=summary, references=())


def _in_the_pool(policy: Policy) -> Policy:
    """In a path with zswap, dedup acts in its pool unless its scope is given."""
    if not any(part.kind.name == "zswap" for part in policy.path):
        return policy
    path = (
        Part(part.kind, (*part.given, ("scope", "zswap")))
        if part.kind.name == "dedup" and "scope" not in dict(part.given)
        else part
        for part in policy.path
    )
    return replace(policy, path=tuple(path))


def _refuse_idle_parameters(policy: Policy, spec: str) -> None:
    names = [part.kind.name for part in policy.path]
    for above in policy.path:
        if above.kind.role is Role.PLACEMENT and not above.kind.over_ftl and "ftl" in names:
            raise UsageError(
                f"{spec}: ftl cannot act under {above.kind.name}.",
                "There is no single flash device below it.",
                "Leave one of them out.",
            )
        if above.kind.role is Role.PLACEMENT and not above.kind.over_ftl and policy.layout.kind.name == "stacked":
            raise UsageError(
                f"{spec}: stacked cannot act over {above.kind.name}.",
                "It maps the slots of one device once more, and there is none that it could stand for here.",
                "Take the upper layout itself, for example vswap-v6.",
            )
    _refuse_between(policy, spec)
    dedup = next((part for part in policy.path if part.kind.name == "dedup"), None)
    in_pool = dedup is not None and dedup.texts["scope"] == "zswap"
    if in_pool and "zswap" not in names:
        raise UsageError(
            f"{spec}: dedup:scope=zswap cannot act.",
            "There is no compressed pool in the path.",
            "Add it: +zswap; or leave scope= out, for dedup in the device.",
        )
    if in_pool and names[names.index("dedup") + 1] != "zswap":
        raise UsageError(
            f"{spec}: dedup:scope=zswap cannot act.",
            f"{names[names.index('dedup') + 1]} stands between it and the pool.",
            "Leave one of them out.",
        )
    if dedup is not None and not in_pool and "zswap" in names:
        raise UsageError(
            f"{spec}: dedup:scope=device under zswap is not modelled.",
            "Pages arrive in the device only when the pool writes them back.",
            "Leave scope= out, for dedup in the pool, or leave zswap out.",
        )
    if {"zswap", "zram"} <= set(names):
        raise UsageError(
            f"{spec}: zswap over zram is not modelled.",
            "What the pool writes back has no compressed size of its own.",
            "Take one of them.",
        )
    slots = next((part for part in policy.path if part.kind.name == "slots"), None)
    on_device = dedup is not None and not in_pool
    if on_device and policy.layout.kind.direct and "tiers" in names:
        raise UsageError(
            f"{spec}: dedup over tiers is not modelled under {policy.layout.kind.name}.",
            "A swap entry is a slot of one tier there, and the content that it shares may lie in another.",
            "Take a layout whose entries are virtual, for example vswap-tiers+dedup.",
        )
    _refuse_idle_priorities(policy, spec, slots is not None, on_device)
    idle = [name for name, _ in slots.given if name in ("size", "prefer", "alloc")] if slots else []
    if idle and policy.layout.kind.direct and not on_device:
        raise UsageError(
            f"{spec}: slots:{idle[0]} cannot act.",
            f"{policy.layout.kind.name} writes each page to the slot of its swap entry.",
            "Leave it out, or choose a virtual layout.",
        )
    zram = next((part for part in policy.path if part.kind.name == "zram"), None)
    idle = [name for name, _ in zram.given if name in ("size", "prefer")] if zram else []
    if idle and policy.layout.kind.direct:
        raise UsageError(
            f"{spec}: zram:{idle[0]} cannot act.",
            f"The swap entries of {policy.layout.kind.name} are zram's slots: the layout hands them out.",
            "Leave it out, or choose a virtual layout.",
        )


def _refuse_between(policy: Policy, spec: str) -> None:
    """Refuse stages that cannot act on the kinds of entries that this layout, with its parameters, has."""
    layout = policy.layout.build()
    name = policy.layout.kind.name
    for part in policy.path:
        stage = part.build()
        moves = stage.role is Role.PLACEMENT and stage.moves
        if moves and not layout.direct and not layout.reverse_map:
            raise UsageError(
                f"{spec}: {part.kind.name} cannot move pages under this {name}.",
                "It has no reverse map, which leads from a page that moves to its swap entry.",
                "Take a redirect= that has one (8 or 24), or let no page move.",
            )
        if not layout.mixed:
            continue
        if part.kind.name == "dedup":
            raise UsageError(
                f"{spec}: dedup cannot act under {name}.",
                "A swap entry that is a slot of the device cannot point to a content that another slot holds.",
                "Take a layout whose entries are all virtual, for example vswap-table+dedup.",
            )
        if moves or (stage.role is Role.PLACEMENT and not stage.under_mixed):
            raise UsageError(
                f"{spec}: {part.kind.name} cannot act under {name}" + (" while it moves pages." if moves else "."),
                "A swap entry that is a slot is taken when it begins, and page tables, which name it, are not updated.",
                "Take slots, or tiers without demote=, or a layout whose entries are all virtual.",
            )


def _refuse_idle_priorities(policy: Policy, spec: str, slots: bool, dedup: bool) -> None:
    """Refuse priorities=on where it does not say which device a page goes to."""
    layout, kind = policy.layout.texts.get("priorities", "off"), policy.layout.kind
    stage = next((part.texts["priorities"] for part in policy.path if part.kind.name == "slots"), "off")
    if layout == "on" and not slots:
        raise UsageError(
            f"{spec}: {kind.name}:priorities=on cannot act.",
            "Only slots places pages on the recorded swap devices.",
            "Leave it out.",
        )
    if kind.direct and layout != stage and (dedup or stage == "on"):
        raise UsageError(
            f"{spec}: priorities={stage} of slots and {layout} of {kind.name} at once.",
            "The swap entries are slots of these devices"
            + (", and dedup has the contents in other slots of the same." if dedup else "."),
            f"Give {kind.name}:priorities=on"
            + (", and slots:priorities=on as well." if dedup else ", and leave it out at slots."),
        )
