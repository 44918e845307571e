"""Judges a new model beside its rivals, on the newest held-out windows and on faults that are put into them.

    |        learned from        | says when to stop |   held out, older half   |   held out, newer half    |
                                                        thresholds come from it    false episodes, and faults

What sets the thresholds is not what is judged by; every model gets its threshold from the same windows, by the rule of the spec.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.assignment import TrainingOrder
from anomaly_api.calibration import ThresholdSource, WindowThreshold
from anomaly_api.gate import Gate, GateMode, GateReport, RivalName, Verdict
from anomaly_api.policy import Budget, Threshold
from anomaly_api.preparation import Role
from anomaly_api.schema import seconds
from anomaly_api.source import Feature, Window
from anomaly_api.thresholds import window_threshold
from anomaly_detector.core.columns import MICROSECONDS
from anomaly_detector.training.calibrate import calibrate, peaks
from anomaly_detector.training.data.samples import Sample
from anomaly_detector.training.gate.faults import Fault, put_into_windows
from anomaly_detector.training.gate.rivals import (
    Scores,
    UnavailableError,
    load_stable,
    pca_scores,
    stable_scores,
)
from anomaly_detector.training.gate.verdict import Judged, Record, verdict
from anomaly_detector.training.learning import Learned
from anomaly_detector.training.models.kind import Data
from anomaly_detector.training.models.scaling import robust_scaling

CANDIDATE: Final = "Candidate"
_MOST_HELD_OUT: Final = 20_000
"""Windows of a size, the newest ones: judging takes seconds, whatever the data."""
_LEVEL: Final = 0.99
"""Faults count as found above this quantile of the older half: the spec's threshold may lie so far out, extrapolated from so
little, that chance decides what is above it. Every model lets through the same share of healthy windows there."""
_FEWEST: Final = 20
"""Held-out windows of a size, without which a threshold means nothing."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WindowJudgement:
    """How the models did with one size of window."""

    window: Window
    faults: list[Fault]
    found: dict[str, NDArray[np.bool_]]
    """By model: [faults] which it found."""
    false_episodes: dict[str, int]
    tolerated: dict[str, float]
    judged: int
    """Windows of the newer half."""


@dataclass(frozen=True)
class Judgement:
    """The verdict, and what it came from."""

    report: GateReport
    windows: list[WindowJudgement]


@dataclass(frozen=True)
class _Part:
    """Windows with their scores by one model."""

    window: Window
    scores: NDArray[np.float64]
    sample: Sample


@dataclass(frozen=True)
class _Halves:
    """The newest held-out windows of a size, divided by time."""

    sample: Sample
    older: NDArray[np.int64]
    newer: NDArray[np.int64]


def judge(
    order: TrainingOrder,
    learned: Sequence[Learned],
    samples: dict[str, Sample],
    progress: Callable[[float], None] = lambda _: None,
) -> Judgement | None:
    """The judgement; None where the spec wants none. It never fails a training: what cannot be compared is said."""
    gate = order.training.gate
    if gate.mode is GateMode.OFF:
        return None
    if order.model.bounds is not None:
        report = GateReport(
            verdict=Verdict.NOT_JUDGED,
            reason="NothingLearned",
            message="bounds are given, not learned: there is nothing to judge",
        )
        return Judgement(report, [])
    notes = list[str]()
    stable = None
    if order.stable is not None:
        try:
            stable = load_stable(order.stable, order.pipeline)
        except UnavailableError as error:
            notes.append(str(error))
    found = []
    for place, model in enumerate(learned):
        sample = samples[model.window.name]
        rivals = dict[str, Scores]()
        try:
            if stable is not None:
                rivals[RivalName.STABLE] = stable_scores(stable, model.window.name)
            if order.model.pca is None:
                rivals[RivalName.PCA] = pca_scores(_learned_from(model, sample, order.pipeline.features), order.training.seed)
        except UnavailableError as error:
            notes.append(str(error))
        found.append(_judge_window(order, model, sample, rivals, gate.faults // len(learned)))
        progress((place + 1) / len(learned))
    report = _together(found, gate, order.stable.name if order.stable else None, notes)
    log.info("gate: %s: %s", report.verdict.value, report.message)
    return Judgement(report, found)


def _together(found: list[WindowJudgement], gate: Gate, stable: str | None, notes: list[str]) -> GateReport:
    """One verdict of all sizes of window. A rival that could not score one of them is left out."""

    def record(name: str, model: str | None = None) -> Record:
        return Record(
            np.concatenate([each.found[name] for each in found]),
            sum(each.false_episodes[name] for each in found),
            sum(each.tolerated[name] for each in found),
            model,
        )

    names = [name for name in RivalName if all(name in each.found for each in found)]
    rivals = {name: record(name, stable if name is RivalName.STABLE else None) for name in names}
    return verdict(Judged(record(CANDIDATE), rivals, sum(each.judged for each in found), notes), gate)


def _judge_window(
    order: TrainingOrder, learned: Learned, sample: Sample, rivals: dict[str, Scores], faults: int
) -> WindowJudgement:
    """All models on the same windows."""
    window, halves = learned.window, _halves(learned, sample)
    older, newer = (halves.sample.at(places) for places in (halves.older, halves.newer))
    usual = robust_scaling(sample.values, learned.split.train(sample))
    informing = np.array([feature.role is Role.CONTEXT for feature in order.pipeline.features])
    spread = np.where(usual.constant | informing, 0.0, usual.scale)  # no fault is put where it is not to be found
    faulty = put_into_windows(newer.values, spread, faults, order.training.seed)
    known, asked = learned.held_out, _comparable(order.threshold)
    found, false_episodes, tolerated = dict[str, NDArray[np.bool_]](), dict[str, int](), dict[str, float]()
    for name, scores in {CANDIDATE: learned.graph.scores, **rivals}.items():
        if name == CANDIDATE and known is not None:
            before, after = known[halves.older], known[halves.newer]
        else:
            before, after = scores(older.values, older.times), scores(newer.values, newer.times)
        at = _threshold(asked, window, before, older)
        level = float(np.quantile(before, _LEVEL)) if len(before) else float("inf")
        found[name] = faulty.found(scores(faulty.values, newer.times[faulty.places]), level)
        false_episodes[name] = _episodes(window, after, newer, at.value)
        tolerated[name] = _tolerated(asked, at, _Part(window, before, older), newer)
    return WindowJudgement(window, faulty.faults, found, false_episodes, tolerated, len(newer))


def _learned_from(learned: Learned, sample: Sample, features: list[Feature]) -> Data:
    parts, names = learned.split, tuple(feature.name for feature in features)
    return Data(sample.values, parts.train(sample), parts.validation(sample), sample.times, names, tuple(features))


def _halves(learned: Learned, sample: Sample) -> _Halves:
    """Windows of the held-out part that a score is known or can be had of; those that reach over the border are left out."""
    held_out = learned.split.held_out(sample)
    if learned.held_out is not None:
        held_out = held_out[np.isfinite(learned.held_out[held_out])]
    if len(held_out) > _MOST_HELD_OUT:
        since = np.quantile(sample.times[held_out], 1 - _MOST_HELD_OUT / len(held_out))
        held_out = held_out[sample.times[held_out] >= since]
    times = sample.times[held_out]
    border = np.quantile(times, 0.5, method="lower") if len(times) else 0
    older, newer = held_out[times <= border], held_out[times > border + learned.split.overlap]
    if min(len(older), len(newer)) < _FEWEST:
        older = newer = np.empty(0, np.int64)
    return _Halves(sample, older, newer)


def _comparable(asked: Threshold | None) -> Threshold:
    """The spec's rule; a threshold in one model's own unit says nothing about another's, so a budget takes its place."""
    return asked if asked is not None and asked.value is None else Threshold(budget=Budget())


def _threshold(asked: Threshold, window: Window, scores: NDArray[np.float64], sample: Sample) -> WindowThreshold:
    if not len(scores):
        return WindowThreshold(window=window.name, value=1.0, source=ThresholdSource.VALUE, asked="nothing is held out")
    calibration = calibrate(window.name, scores, sample.slots, sample.times / MICROSECONDS, _apart(window), _gap(window))
    return window_threshold(asked, calibration)


def _episodes(window: Window, scores: NDArray[np.float64], sample: Sample, threshold: float) -> int:
    """Separate excursions above the threshold."""
    if not len(scores):
        return 0
    order = np.lexsort((sample.times, sample.slots))
    return int((peaks(scores[order], sample.slots[order], _apart(window)) > threshold).sum())


def _tolerated(asked: Threshold, at: WindowThreshold, before: "_Part", newer: Sample) -> float:
    """False episodes in the newer half that the threshold is to let through: by the budget, else as many as in the older half."""
    exposure = _exposure(before.window, newer)
    if asked.budget is not None and at.expected_episodes is not None:
        return at.expected_episodes * exposure / (at.entities or 1) / seconds(asked.budget.per)
    covered = _exposure(before.window, before.sample)
    usual = max(0.1, _episodes(before.window, before.scores, before.sample, at.value))
    return usual * exposure / covered if covered else 0.0


def _exposure(window: Window, sample: Sample) -> float:
    """Event time that the windows cover, seconds, added up over entities."""
    order = np.lexsort((sample.times, sample.slots))
    slots, times = sample.slots[order], sample.times[order] / MICROSECONDS
    steps = np.diff(times)
    return float(steps[(np.diff(slots) == 0) & (steps <= _gap(window))].sum())


def _apart(window: Window) -> int:
    return max(1, -(-window.size // window.every))


def _gap(window: Window) -> float:
    return seconds(window.max_gap) * window.every
