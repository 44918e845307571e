"""What is remembered under one configuration, as the next one goes on with it: by revision, as it stands in the state topic.

    before   stable A, candidate B              A: told, A's levels    B: what B would have told, B's levels
    after    the same, or another weight        A: told, A's levels    B: the same
             stable B             (promoted)    B: told, B's levels
             stable A, or with C  (aborted)     A: told, A's levels

It is the same whether a pod lives through the change or finds it when it takes the partition over.
"""

from collections.abc import Mapping
from typing import Any

from anomaly_detector.core.configuration import Deciders
from anomaly_detector.core.episodes.table import is_level, is_window

_Places = Mapping[str, Mapping[str, Any]]
"""State of an entity: by window, of its limit, and its levels."""


def alone(stable: str) -> str:
    """Under which name stands what the stable revision would have told, while a candidate decides some entities."""
    return f"{stable} alone"


def carried(state: Mapping[str, _Places], before: Deciders, after: Deciders, entity: str) -> dict[str, _Places]:
    """An entity's episodes, by revision."""
    found: dict[str, _Places] = {}
    windows = {window.name for window in after.of(entity).windows}
    told = state.get(before.stable.name, {})
    levels = told
    if before.candidate is not None and _promoted(before, after):
        levels = state.get(before.candidate.name, {})
    kept = {place: each for place, each in told.items() if not is_level(place) and (not is_window(place) or place in windows)}
    found[after.stable.name] = kept | {place: each for place, each in levels.items() if is_level(place)}
    for name, old in _others(before, after).items():
        found[name] = state.get(old, {})
    return {name: each for name, each in found.items() if each}


def carried_limit(state: Mapping[str, Mapping[str, Any]], before: Deciders, after: Deciders) -> dict[str, Mapping[str, Any]]:
    """A partition's limit, by revision."""
    names = {after.stable.name: before.stable.name} | _others(before, after)
    return {name: state[old] for name, old in names.items() if old in state}


def _promoted(before: Deciders, after: Deciders) -> bool:
    return before.candidate is not None and before.candidate.name == after.stable.name != before.stable.name


def _others(before: Deciders, after: Deciders) -> dict[str, str]:
    """Besides what is told: under which name it goes on, and under which name it stood."""
    found = {}
    if after.candidate is not None and before.candidate is not None and after.candidate.name == before.candidate.name:
        found[after.candidate.name] = before.candidate.name
    if after.weight and after.stable.name == before.stable.name:
        found[alone(after.stable.name)] = alone(before.stable.name) if before.weight else before.stable.name
    return found
