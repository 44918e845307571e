"""The numbers of a model card, taken out of a training. Nothing is drawn here."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.calibration import Calibration, WindowThreshold
from anomaly_api.policy import Budget, Threshold
from anomaly_api.schema import seconds
from anomaly_api.source import Window
from anomaly_api.thresholds import window_threshold
from anomaly_detector.core.scoring.artifact import Manifest
from anomaly_detector.training.data.samples import Sample
from anomaly_detector.training.gate.judge import Judgement
from anomaly_detector.training.gate.verdict import poisson_tail
from anomaly_detector.training.learning import Learned
from anomaly_detector.training.models.scaling import robust_scaling

_MOST_WINDOWS: Final = 20_000
_STRANGEST: Final = 5
_CERTAINTY: Final = 0.95


@dataclass(frozen=True)
class Strange:
    """A held-out window that scored high."""

    entity: str
    time: float
    """Event time of the newest reading, Unix seconds."""
    score: float
    """1.0 is the threshold."""
    values: NDArray[np.float64]
    """[size, features]"""
    shares: NDArray[np.float64]
    """[features] Share of the error."""


@dataclass(frozen=True)
class Expected:
    """False episodes of an entity that are to be expected."""

    per: str
    count: float
    low: float
    """Of the interval in which the true rate lies with 95 %, by what was held out."""
    high: float
    seen: int
    """Held-out excursions above the threshold."""
    exposure: float
    """Event time that was held out, seconds, over all entities."""


@dataclass(frozen=True)
class WindowFigures:
    """One size of window."""

    window: Window
    learned: Learned
    threshold: WindowThreshold
    times: NDArray[np.float64]
    """[n] Of held-out windows, Unix seconds, rising."""
    scores: NDArray[np.float64]
    """[n] 1.0 is the threshold."""
    errors: NDArray[np.float64]
    """[features, 2] Mean and 99 % quantile of the held-out windows' errors."""
    strangest: list[Strange]
    usual: NDArray[np.float64]
    """[features, 2] Low and high of what a feature usually is."""
    expected: Expected


@dataclass(frozen=True)
class CardFigures:
    """All that the card shows."""

    title: str
    manifest: Manifest
    features: list[str]
    windows: list[WindowFigures]
    judgement: Judgement | None


def card_figures(
    title: str,
    manifest: Manifest,
    learned: Sequence[Learned],
    samples: dict[str, Sample],
    entities: Sequence[str],
    asked: Threshold | None,
    judgement: Judgement | None,
) -> CardFigures:
    """The numbers, from what is in memory when a training ends. `entities`: names by slot."""
    threshold = asked or Threshold(budget=Budget())
    found = [
        _window(model, samples[model.window.name], calibration, threshold, entities)
        for model, calibration in zip(learned, manifest.calibration, strict=True)
    ]
    return CardFigures(title, manifest, list(manifest.interface.features), found, judgement)


def _window(
    learned: Learned, sample: Sample, calibration: Calibration, asked: Threshold, entities: Sequence[str]
) -> WindowFigures:
    held_out = learned.split.held_out(sample)
    if learned.held_out is not None:
        held_out = np.flatnonzero(np.isfinite(learned.held_out))
    held_out = held_out[np.argsort(sample.times[held_out], kind="stable")][-_MOST_WINDOWS:]
    part = sample.at(held_out)
    known = learned.held_out
    scores = known[held_out] if known is not None else learned.graph.scores(part.values, part.times)
    at = window_threshold(asked, calibration)
    usual = robust_scaling(sample.values, learned.split.train(sample))
    band = np.stack([usual.center - 2 * usual.scale, usual.center + 2 * usual.scale], axis=1)
    errors = np.concatenate(
        [
            learned.graph.run(part.values[start : start + 4096], part.times[start : start + 4096])[1]
            for start in range(0, max(len(part), 1), 4096)
        ]
    ).astype(np.float64)
    summary = np.stack([errors.mean(axis=0), np.quantile(errors, 0.99, axis=0)], axis=1) if len(errors) else np.zeros((0, 2))
    strangest = []
    for place in _apart(scores, part, learned.window.size):
        total = max(float(errors[place].sum()), 1e-12)
        name = entities[part.slots[place]] if part.slots[place] < len(entities) else ""
        strangest.append(
            Strange(
                name,
                float(part.times[place]) / 1e6,
                float(scores[place]) / at.value,
                part.values[place].astype(np.float64),
                errors[place] / total,
            )
        )
    times = part.times.astype(np.float64) / 1e6
    return WindowFigures(
        learned.window, learned, at, times, scores / at.value, summary, strangest, band, _expected(asked, calibration, at)
    )


def _apart(scores: NDArray[np.float64], sample: Sample, size: int) -> list[int]:
    """Places of the highest scores, no two of which are of the same entity and time."""
    found = list[int]()
    for place in np.argsort(-scores, kind="stable")[: 50 * size].tolist():
        near = [
            other
            for other in found
            if sample.slots[other] == sample.slots[place]
            and abs(int(sample.times[other] - sample.times[place])) < _span(sample, size)
        ]
        if not near:
            found.append(place)
        if len(found) == _STRANGEST:
            break
    return found


def _span(sample: Sample, size: int) -> float:
    """Event time of a window and as much again, microseconds."""
    steps = np.diff(np.sort(sample.times[sample.slots == sample.slots[0]]))
    return 2 * size * float(np.median(steps)) if len(steps) else 0.0


def _expected(asked: Threshold, calibration: Calibration, at: WindowThreshold) -> Expected:
    """By the budget's period, else by the week."""
    per = asked.budget.per if asked.budget is not None else "1w"
    periods = max(calibration.entity_seconds, 1.0) / seconds(per)
    seen = sum(peak > at.value for peak in calibration.peaks)
    low, high = poisson_interval(seen)
    of = at.entities or 1  # a budget of the fleet counts the episodes of all
    count = at.expected_episodes if at.expected_episodes is not None else of * seen / periods
    return Expected(per, count, of * low / periods, of * high / periods, seen, calibration.entity_seconds)


def poisson_interval(seen: int) -> tuple[float, float]:
    """The means between which the true one lies with 95 %, when so many events were seen (Garwood 1936).

    >>> [round(bound, 2) for bound in poisson_interval(0)], [round(bound, 2) for bound in poisson_interval(5)]
    ([0.0, 3.69], [1.62, 11.67])
    """
    tail = (1 - _CERTAINTY) / 2
    low = 0.0 if seen == 0 else _solve(lambda mean: poisson_tail(seen, mean) - tail, 0.0, float(seen))
    high = _solve(lambda mean: tail - (1 - poisson_tail(seen + 1, mean)), float(seen), seen + 10 + 6 * math.sqrt(seen + 1))
    return low, high


def _solve(rising: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2
