"""The stream: deterministic readings of some entities, with faults that open and close episodes often. It knows no broker.

Entities come and go, and not all of them fit into the memory that `orders.runtime` grants: some are forgotten and come back.
Some flap: one short fault after the other, well within a cooldown. Some send out of order, some readings lack values, some come
twice, and some messages belong to a trace.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

PARTITIONS = 3
ENTITIES = 24
READINGS = 360
"""Of an entity that never sleeps; none is like that."""
MESSAGES = READINGS * 15
"""About."""
_PHASE = 30
FEATURES = ("temperature", "pressure", "vibration")


@dataclass(frozen=True)
class Message:
    """One message of the source topic."""

    partition: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


def recording(seed: int, readings: int = READINGS) -> Iterator[Message]:
    """The same messages for the same seed, in the order in which they are produced."""
    dice = random.Random(seed)
    levels = {entity: [dice.uniform(10, 90) for _ in FEATURES] for entity in range(ENTITIES)}
    faulty: dict[int, int] = {}
    """Readings for which an entity's fault still lasts."""
    for step in range(readings):
        for entity in range(ENTITIES):
            if awake(entity, step, readings):
                yield _message(dice, entity, step, levels[entity], faulty)


def awake(entity: int, step: int, readings: int = READINGS) -> bool:
    """Two phases in three, in turns. One partition has room for all its entities, and two of them are long away."""
    partition, number = entity % PARTITIONS, entity // PARTITIONS
    if partition == PARTITIONS - 1:
        return number < 4 or (number < 6 and not 60 < step < readings - 60)
    return (step // _PHASE + number) % 3 > 0


def _message(dice: random.Random, entity: int, step: int, levels: list[float], faulty: dict[int, int]) -> Message:
    values = [level + math.sin(step / 7 + entity) + dice.gauss(0, 0.3) for level in levels]
    if _is_faulty(dice, entity, faulty):
        values[entity % len(FEATURES)] += dice.uniform(8, 25)
    reading: dict[str, object] = {"at": _time(dice, entity, step)}
    reading |= zip(FEATURES, (round(value, 4) for value in values), strict=True)
    if dice.random() < 0.03:
        _leave_out(dice, reading)
    content = json.dumps(reading).encode()
    content = content[:-1] if dice.random() < 0.002 else content
    return Message(entity % PARTITIONS, f"pump-{entity:02d}".encode(), content, _headers(dice))


def _is_faulty(dice: random.Random, entity: int, faulty: dict[int, int]) -> bool:
    flaps = entity % 4 == 1
    if faulty.get(entity, 0) == 0 and dice.random() < (0.2 if flaps else 0.02):
        faulty[entity] = dice.randint(1, 2) if flaps else dice.randint(1, 12)
    if not faulty.get(entity, 0):
        return False
    faulty[entity] -= 1
    return True


def _time(dice: random.Random, entity: int, step: int) -> int:
    """Every two seconds; of some entities often a little out of order, or the same again, and of all seldom much."""
    at = 1_767_225_600 + step * 2
    if entity % 4 == 2 and dice.random() < 0.2:
        return at - dice.randint(1, 7)
    return at - dice.randint(1, 20) if dice.random() < 0.005 else at


def _leave_out(dice: random.Random, reading: dict[str, object]) -> None:
    feature = dice.choice(FEATURES)
    if dice.random() < 0.5:
        reading[feature] = None
    else:
        del reading[feature]


def _headers(dice: random.Random) -> tuple[tuple[str, bytes], ...]:
    """W3C trace context of one message in two; some of it is none."""
    if dice.random() < 0.5:
        return ()
    trace, span = dice.getrandbits(128), dice.getrandbits(64)
    parent = ("traceparent", f"00-{trace:032x}-{span:016x}-01"[: 20 if dice.random() < 0.05 else None].encode())
    return (parent, ("tracestate", b"plant=%d" % (span % 10))) if dice.random() < 0.3 else (parent,)
