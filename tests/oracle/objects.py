"""Event-at-a-time twin of swaptrace.replay.objects, written from its docstring's rules alone."""

from __future__ import annotations

from dataclasses import dataclass

from swaptrace.model.events import Backend, Cause, Kind

Key = tuple[str, int, int]


@dataclass
class Event:
    ts: int
    kind: Kind
    cause: Cause
    backend: Backend
    tgid: int
    owner: int
    swap_type: int
    slot: int
    va: int


@dataclass
class Life:
    number: int
    page: tuple[int, int] | None
    key: Key
    outs: int = 1


OpSeen = tuple[str, int, int]  # op name, object number, ts


def resolve(events: list[Event], free_inference: str = "latest") -> tuple[list[OpSeen], dict[str, int]]:
    """Return the ops in order, and the counts."""
    live: dict[Key, Life] = {}
    ops: list[OpSeen] = []
    after: dict[int, list[OpSeen]] = {}  # earliest: frees to place directly after op number i
    last_access: dict[int, int] = {}  # object number -> op number
    count = dict.fromkeys(
        [
            "objects",
            "writeouts",
            "slotless_writeouts",
            "reads",
            "cache_hits",
            "frees",
            "inferred_frees",
            "orphans",
        ],
        0,
    )

    def emit(name: str, life: Life, ts: int) -> None:
        if name != "FREE":
            last_access[life.number] = len(ops)
        ops.append((name, life.number, ts))

    def free(life: Life, ts: int, inferred: bool, early: bool = False) -> None:
        del live[life.key]
        count["frees"] += 1
        count["inferred_frees"] += inferred
        if early and free_inference == "earliest":
            place = last_access[life.number]
            after.setdefault(place, []).append(("FREE", life.number, ops[place][2]))
        else:
            emit("FREE", life, ts)

    for e in events:
        if e.kind == Kind.SWAPOFF:
            for gone in sorted(k for k in live if k[0] == "slot" and k[1] == e.swap_type):
                free(live[gone], e.ts, inferred=True)
            continue
        if e.kind not in (Kind.SWAP_OUT, Kind.SWAP_IN, Kind.SLOT_FREE):
            continue
        owner = e.owner or (e.tgid if e.cause == Cause.FAULT and e.kind != Kind.SWAP_OUT else 0)
        page = (owner, e.va >> 12) if owner and e.va >= 0 else None
        if e.slot >= 0:
            key: Key | None = ("slot", e.swap_type, e.slot)
        elif page is not None:
            key = ("page", *page)
        else:
            key = None
        is_out = e.kind == Kind.SWAP_OUT and e.backend != Backend.FREED
        if key is None:
            if is_out:
                count["slotless_writeouts"] += 1
                count["writeouts"] += 1
            continue
        life = live.get(key)
        if is_out:
            if e.slot >= 0 and page is not None and (ghost := live.get(("page", *page))):
                free(ghost, e.ts, inferred=True)
            count["writeouts"] += 1
            if life is not None and page is not None and life.page == page:
                life.outs += 1
                emit("REWRITE", life, e.ts)
                continue
            if life is not None:
                free(life, e.ts, inferred=True, early=True)
            life = live[key] = Life(count["objects"], page, key)
            count["objects"] += 1
            emit("NEW", life, e.ts)
        elif life is None:
            count["orphans"] += 1
        elif e.kind == Kind.SWAP_IN:
            cached = e.backend == Backend.CACHE
            count["cache_hits" if cached else "reads"] += 1
            emit("HIT" if cached else "IN", life, e.ts)
        else:
            free(life, e.ts, inferred=False)
    placed: list[OpSeen] = []
    for i, op in enumerate(ops):
        placed.append(op)
        placed.extend(after.get(i, []))
    return placed, count
