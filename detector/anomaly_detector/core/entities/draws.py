"""Which entities a candidate decides: a share of them, drawn by a hash of rollout and entity. The same ones in every pod.

place of an entity   0 . . . . . . . 99        a hash of the rollout's name and the entity's
weight 10            # |                       who is below it is the candidate's
weight 50            # # # # # |               those who were stay: no entity goes to and fro while the weight rises
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from anomaly_detector.core.columns import Int64, Mask
from anomaly_detector.core.entities.table import Entities, grown

PLACES = 100
_UNKNOWN = -1


def place_of(rollout: str, entity: str) -> int:
    """0 to 99.

    >>> place_of("pumps-3", "pump-1"), place_of("pumps-4", "pump-1")
    (9, 48)
    """
    return int.from_bytes(hashlib.blake2b(f"{rollout}\0{entity}".encode(), digest_size=8).digest()) % PLACES


class Draws:
    """The places of entities, each computed once."""

    def __init__(self, entities: Entities) -> None:
        self._entities, self._rollout = entities, ""
        self._places: NDArray[np.int8] = np.empty(0, np.int8)
        """[capacity]"""
        entities.attach(self)

    def below(self, slots: Int64, weight: int, rollout: str) -> Mask:
        """[n] Whether the candidate decides each entity."""
        if rollout != self._rollout:
            self._places[:], self._rollout = _UNKNOWN, rollout
        found = self._places[slots]
        new = np.unique(slots[found == _UNKNOWN])
        if len(new):
            names = self._entities.names
            self._places[new] = [place_of(rollout, names[slot]) for slot in new.tolist()]
            found = self._places[slots]
        drawn: Mask = found < weight
        return drawn

    @property
    def row_bytes(self) -> int:
        """Bytes of one entity."""
        return self._places.itemsize

    def resize(self, capacity: int) -> None:
        """Room for so many entities."""
        before = len(self._places)
        self._places = grown(self._places, capacity)
        self._places[before:] = _UNKNOWN

    def clear(self, slots: Int64) -> None:
        """Forgets these entities."""
        self._places[slots] = _UNKNOWN
