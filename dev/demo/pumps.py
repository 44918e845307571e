"""Twenty healthy pumps: six sensors that belong together, a day's rhythm, load steps, noise, no two pumps the same.

    demand (a sine of a day) + load steps + restless regulation
        -> speed -> flow, pressure, current, vibration -> temperature (slow)

A function of the seed: the same seed makes the same readings.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dev.demo.recording import Recording, Values

FEATURES: Final = ("temperature", "pressure", "vibration", "flow", "current", "speed")
STEP: Final = 10.0
DAY: Final = 86_400.0
_DECIMALS: Final = (2, 3, 3, 2, 3, 1)
_NOISE: Final = np.array([0.12, 0.03, 0.04, 0.45, 0.06, 6.0])
"""Standard deviation of each sensor's noise, in its unit: °C, bar, mm/s, m³/h, A, 1/min."""


def record(pumps: int, ticks: int, begin: float, seed: int) -> Recording:
    """Readings of healthy pumps from `begin` (Unix seconds) on, one every ten seconds."""
    rng = np.random.default_rng(seed)
    seconds = begin + STEP * np.arange(ticks, dtype=np.float64)
    load = _load(rng, seconds, pumps)
    values = _sensors(rng, seconds, load)
    values += rng.normal(0.0, 1.0, values.shape) * _NOISE
    entities = tuple(f"pump-{number:02d}" for number in range(1, pumps + 1))
    return Recording(entities, FEATURES, begin, STEP, values, _DECIMALS)


def _load(rng: np.random.Generator, seconds: NDArray[np.float64], pumps: int) -> Values:
    """Share of the rated load, [ticks, pumps]: where the valves and the demand want the pump to be."""
    ticks = len(seconds)
    daily = 0.14 * np.sin(2 * np.pi * seconds[:, None] / DAY - rng.uniform(0.0, 0.8, pumps))
    steps = np.zeros((ticks, pumps))
    for pump in range(pumps):
        tick = 0
        while tick < ticks:
            lasting = int(rng.uniform(1200, 2700) / STEP)
            steps[tick : tick + lasting, pump] = rng.uniform(-0.1, 0.1)
            tick += lasting
    restless = _lagged(_lagged(rng.normal(0.0, 1.0, (ticks, pumps)), 400.0), 150.0)
    return np.clip(_lagged(0.58 + daily + steps, 60.0) + restless, 0.0, 1.0)


def _sensors(rng: np.random.Generator, seconds: NDArray[np.float64], load: Values) -> Values:
    """[ticks, pumps, features], without noise."""
    pumps = load.shape[1]
    size, wear, lift = rng.uniform(0.92, 1.08, pumps), rng.uniform(0.85, 1.2, pumps), rng.uniform(-0.15, 0.15, pumps)
    turn = 0.5 + 0.5 * load
    flow = 80.0 * size * turn**1.1
    pressure = 6.4 * turn**2 * (1.1 - 0.2 * turn) + lift
    current = 12.0 * size * (0.3 + 0.7 * turn**3)
    vibration = 0.9 + 1.6 * wear * turn**2
    ambient = 22.0 + 4.0 * np.sin(2 * np.pi * seconds[:, None] / DAY - 1.2)
    temperature = ambient + 32.0 * _lagged(current / 12.0, 600.0)
    return np.stack([temperature, pressure, vibration, flow, current, 2900.0 * turn], axis=-1)


def _lagged(wanted: Values, constant: float) -> Values:
    """First-order lag with this time constant in seconds, along the ticks."""
    share = 1.0 - np.exp(-STEP / constant)
    out = np.empty_like(wanted)
    level = wanted.mean(axis=0)
    for tick, target in enumerate(wanted):
        level = level + share * (target - level)
        out[tick] = level
    return out
