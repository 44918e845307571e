"""The stream: deterministic readings of some entities, with faults that open and close episodes often. It knows no broker.

Entities come and go, and not all of them fit into the memory that `orders.runtime` grants: some are forgotten and come back.
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
    name = f"pump-{entity:02d}"
    if faulty.get(entity, 0) == 0 and dice.random() < 0.02:
        faulty[entity] = dice.randint(1, 12)
    values = [level + math.sin(step / 7 + entity) + dice.gauss(0, 0.3) for level in levels]
    if faulty.get(entity, 0):
        faulty[entity] -= 1
        values[entity % len(FEATURES)] += dice.uniform(8, 25)
    at = 1_767_225_600 + step * 2
    chance = dice.random()
    if chance < 0.005:
        at -= dice.randint(1, 20)  # late
    reading: dict[str, object] = {"at": at, **dict(zip(FEATURES, (round(value, 4) for value in values), strict=True))}
    if dice.random() < 0.004:
        reading.pop(FEATURES[0])
    content = json.dumps(reading).encode()
    return Message(entity % PARTITIONS, name.encode(), content[:-1] if dice.random() < 0.002 else content)
