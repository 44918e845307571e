"""Measures the cost of a reading and the rate with 1, 2, 4 and 8 pods that read the same full topic."""

from __future__ import annotations

import time
from dataclasses import dataclass

from dev.harness.scoring_pod import ScoringPod
from dev.verify.scale.stand import Stand

_LOOK_SECONDS = 0.1
_SECONDS = 180.0


@dataclass(frozen=True)
class Rate:
    """Of all pods together."""

    members: int
    rate: float
    """Readings a second; of all processes on the machine, so it ends where the machine's cores end."""
    cpu_microseconds: float
    """Time on a CPU for a reading, of the pods alone: what a reading costs, however many cores there are."""

    @property
    def a_core(self) -> float:
        """Readings a second that one core's worth of pods would do."""
        return 1e6 / self.cpu_microseconds


@dataclass(frozen=True)
class _Look:
    at: float
    readings: int
    cpu_seconds: float


def measure(stand: Stand, members: int, readings: int) -> Rate:
    """Between two looks: the first when a tenth has been read, the last before the end."""
    with stand.open():
        stand.start(*(f"pod-{number}" for number in range(members)))
        deadline = time.monotonic() + _SECONDS
        looks: list[_Look] = []
        while not looks or looks[-1].readings < readings:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{looks[-1:]} of {readings:,} readings; the logs are in {stand.folder / stand.name}")
            look = _look(list(stand.pods().values()))
            if look.readings >= readings // 10:
                looks.append(look)
            time.sleep(_LOOK_SECONDS)
    first, last = looks[0], looks[-2 if len(looks) > 2 else -1]
    counted = last.readings - first.readings
    if counted <= 0:
        raise RuntimeError(f"{readings:,} readings were too few to measure by: give more")
    return Rate(
        members,
        counted / (last.at - first.at),
        (last.cpu_seconds - first.cpu_seconds) / counted * 1e6,
    )


def _look(pods: list[ScoringPod]) -> _Look:
    """Asked one after the other within milliseconds."""
    readings, cpu = 0, 0.0
    for each in pods:
        try:
            readings += each.evidence().readings
        except OSError:  # it does not listen yet
            continue
        cpu += each.cpu_seconds()
    return _Look(time.monotonic(), readings, cpu)
