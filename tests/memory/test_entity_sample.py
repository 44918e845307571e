"""Of which entities a pod says that they sent something lately."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anomaly_detector.core.columns import Batch
from anomaly_detector.core.entities.table import Entities
from anomaly_detector.core.health.entity_sample import EntitySample

MANY = [f"pump-{number}" for number in range(200)]


def send(entities: Entities, partition: int, names: Sequence[str]) -> None:
    count = len(names)
    times, values = np.arange(count) * 1_000_000, np.zeros((count, 1), np.float32)
    entities.slots(Batch(np.arange(count), np.full(count, partition), list(names), times, values))


def test_an_entity_that_comes_in_two_partitions_is_told_with_both() -> None:
    entities, sighting = Entities(), EntitySample()
    sighting.look(entities)
    send(entities, 0, ["a", "b"])
    send(entities, 3, ["b"])
    assert sorted(sighting.look(entities)) == [("a", 0), ("b", 0), ("b", 3)]


@given(st.permutations(MANY), st.integers(1, len(MANY)))
def test_all_pods_choose_the_same_of_the_same_entities(order: list[str], count: int) -> None:
    told = []
    for partition, names in enumerate((order[:count], sorted(order[:count]))):
        entities, sighting = Entities(), EntitySample()
        sighting.look(entities)
        send(entities, partition, names)
        told.append([name for name, _ in sighting.look(entities)])
    assert told[0] == told[1]
    assert len(told[0]) == min(count, 16)


def test_entities_that_were_known_or_restored_and_send_nothing_are_not_told() -> None:
    entities, sighting = Entities(), EntitySample()
    send(entities, 0, ["a", "b"])
    assert sighting.look(entities) == [], "nobody knows since when"
    send(entities, 0, ["b"])
    entities.admit(1, ["a"])
    send(entities, 1, ["c"])
    assert sighting.look(entities) == [("c", 1)]


def test_one_that_was_forgotten_is_not_told() -> None:
    entities, sighting = Entities(), EntitySample()
    sighting.look(entities)
    send(entities, 0, ["a"])
    entities.drop(0)
    assert sighting.look(entities) == []
