"""Faults of the pumps: each kind as a change of healthy readings, and a plan of when which pump has which.

Every value of a fault may occur in a healthy pump, at another time or in other company, except where the kind says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from dev.demo.pumps import FEATURES
from dev.demo.recording import Anomaly, Recording, Values

_TEMPERATURE, _PRESSURE, _VIBRATION, _FLOW, _CURRENT, _SPEED = range(len(FEATURES))

Fault = Callable[[Values, np.random.Generator], None]
"""Changes the readings of one pump, [ticks, features], in place."""


def _pressure_spike(rows: Values, rng: np.random.Generator) -> None:
    """A water hammer: a few readings far too high."""
    rows[:, _PRESSURE] += rng.uniform(1.6, 2.2)


def _bearing_drift(rows: Values, rng: np.random.Generator) -> None:
    """A bearing wears: friction creeps up, so that the pump draws more current and runs hotter for the same work."""
    ramp = np.linspace(0.0, 1.0, len(rows))
    rows[:, _TEMPERATURE] += rng.uniform(9.0, 13.0) * ramp
    rows[:, _CURRENT] += rng.uniform(2.6, 3.4) * ramp


def _stuck_flow_sensor(rows: Values, _: np.random.Generator) -> None:
    """The flow meter repeats its last value while the pump goes on."""
    rows[:, _FLOW] = rows[0, _FLOW]


def _blocked_pipe(rows: Values, rng: np.random.Generator) -> None:
    """Correlation break: full speed and current, hardly any flow. Each value alone is an ordinary one."""
    rows[:, _FLOW] -= rng.uniform(14.0, 18.0)


def _vibration_noise(rows: Values, rng: np.random.Generator) -> None:
    """A loose sensor: the mean is right, the readings scatter."""
    rows[:, _VIBRATION] += rng.normal(0.0, rng.uniform(0.5, 0.7), len(rows))


def _current_shift(rows: Values, rng: np.random.Generator) -> None:
    """A failing phase: the current settles at another level for the same work."""
    rows[:, _CURRENT] += rng.choice([-1.0, 1.0]) * rng.uniform(1.5, 2.0)


def _cavitation(rows: Values, rng: np.random.Generator) -> None:
    """Vapour bubbles: more vibration, less pressure, an unsteady flow."""
    rows[:, _VIBRATION] += rng.uniform(0.6, 0.9)
    rows[:, _PRESSURE] -= rng.uniform(0.25, 0.4)
    rows[:, _FLOW] += rng.normal(0.0, 4.0, len(rows))


KINDS: Final[dict[str, tuple[Fault, int]]] = {
    "pressure spike": (_pressure_spike, 5),
    "cavitation": (_cavitation, 45),
    "bearing drift": (_bearing_drift, 70),
    "current shift": (_current_shift, 50),
    "blocked pipe": (_blocked_pipe, 40),
    "vibration noise": (_vibration_noise, 40),
    "stuck flow sensor": (_stuck_flow_sensor, 180),
}
"""Each kind and how many readings it lasts."""
SLOT: Final = 400
"""Readings of one pump within which at most one fault lies."""
_MARGIN: Final = 60
"""Healthy readings at least at either end of a slot, so that one episode is over before the next may begin."""


def slots(pumps: int, each: int) -> int:
    """How many slots one after another it takes to place `each` faults of every kind."""
    return -(-each * len(KINDS) // pumps)


def inject(healthy: Recording, first: int, each: int, seed: int) -> tuple[Recording, list[Anomaly]]:
    """`each` faults of every kind, spread over the pumps from the tick `first` on, and the ledger of them in time order.

    The first fault is there at once, so that nobody waits long for the first alert.
    """
    rng = np.random.default_rng([seed, 1])
    kinds = [kind for _ in range(each) for kind in KINDS]
    places = [(slot, pump) for slot in range(slots(len(healthy.entities), each)) for pump in range(len(healthy.entities))]
    order = np.concatenate([[0], 1 + rng.permutation(len(places) - 1)])
    values = healthy.values.copy()
    ledger = []
    for number, kind in enumerate(kinds):
        slot, pump = places[order[number]]
        fault, length = KINDS[kind]
        earliest = first + slot * SLOT + _MARGIN
        latest = first + (slot + 1) * SLOT - length - _MARGIN
        start = first + 15 if number == 0 else int(rng.integers(earliest, latest))
        if fault is _stuck_flow_sensor:
            start = earliest + _before_a_change(healthy.values[earliest : latest + length, pump, _SPEED], length)
        fault(values[start : start + length, pump], rng)
        ledger.append(Anomaly(kind, healthy.entities[pump], start, start + length))
    _keep_physical(values)
    return healthy.changed(values), sorted(ledger, key=lambda anomaly: anomaly.start)


def _before_a_change(speed: Values, length: int) -> int:
    """Where the load changes most within so many ticks: a sensor that is stuck while nothing happens is not wrong."""
    away = [np.median(np.abs(speed[tick : tick + length] - speed[tick])) for tick in range(len(speed) - length)]
    return int(np.argmax(away))


def _keep_physical(values: Values) -> None:
    np.maximum(values, 0.0, out=values)
