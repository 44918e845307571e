"""One spec over one set: trained, replayed and judged as a backtest does it."""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.detector import AnomalyDetector, DetectorSpec
from anomaly_api.policy import Budget, Threshold
from anomaly_api.schema import seconds
from anomaly_detector.cli import fitting
from anomaly_detector.cli.errors import CommandError
from anomaly_detector.cli.figures import Figures, judge, segments, together
from anomaly_detector.cli.replay import Replayed, replay
from anomaly_detector.cli.table import Table
from anomaly_detector.core.episodes.episode import Transition
from anomaly_detector.core.episodes.transitions import EpisodeTransition
from dev.verify.accuracy import nab
from dev.verify.accuracy.sets import Case

BUDGETS: Final = {"1/1d": Budget(episodes=1, per="1d"), "1/1w": Budget(episodes=1, per="1w")}
_DAYS: Final = {"1/1d": 1.0, "1/1w": 7.0}
_USUAL_GAPS: Final = 3
"""Usual intervals that a window bridges where its maxGap is shorter than one."""
_MOST_DROPPED: Final = 300
"""Rows of SKAB's test parts that are left out where they begin at random."""


Kept = dict[str, fitting.Trained | None]


@dataclass
class Tally:
    """What a spec came to on a set so far."""

    figures: list[Figures]
    moved: list[tuple[Figures, Figures]]
    """SKAB: the same rows, reached from the beginning of the test part and from within it."""
    budgets: dict[str, list[Figures]]
    nab: list[nab.Judged]


def torch_once() -> None:
    """Lets torch build its table of operators once in a process: it does so for every export, which takes most of a short one."""
    from torch.onnx._internal.exporter import _registration

    registry = _registration.ONNXRegistry
    if not hasattr(registry.from_torchlib, "cache_info"):
        once = staticmethod(functools.cache(registry.from_torchlib))
        setattr(registry, "from_torchlib", once)  # noqa: B010 - mypy refuses an assignment to a method


def contest(
    name: str, detector: AnomalyDetector, found: Iterable[Case], seed: int, told: Callable[[str], None], kept: Kept | None = None
) -> Tally:
    """Every case of a set. A case that the spec cannot learn from is decided by the statistical scorer, as in production.

    `kept`: models by case, where every seed gives the same ones.
    """
    tally = Tally([], [], {budget: [] for budget in BUDGETS}, [])
    for case in found:
        spec = _within_gaps(_seeded(detector.spec, seed), case)
        trained = kept[case.name] if kept is not None and case.name in kept else _trained(spec, case, told)
        if kept is not None:
            kept[case.name] = trained
        shown = _replayed(spec, trained, case.stream, None)
        tally.figures.append(_judged(case, shown, ranked=name != "nab"))
        if name == "nab":
            tally.nab.append(nab.judge(_openings(case, shown.records), segments(case.labels)))
        if name == "skab":
            tally.moved.append(_moved(spec, trained, case, shown, seed))
        for budget, asked in BUDGETS.items():
            margin = spec.threshold.budget.margin if spec.threshold.budget else asked.margin
            budgeted = Threshold(budget=asked.model_copy(update={"margin": margin}))
            within = _replayed(spec, trained, case.stream, budgeted) if trained else shown
            tally.budgets[budget].append(_judged(case, within, ranked=False))
        told(f"{name} {case.name}: F1 {tally.figures[-1].f1:.3f} FAR {tally.figures[-1].far:.2f} VUS {tally.figures[-1].vus}")
    return tally


def summary(name: str, tally: Tally) -> dict[str, Any]:
    """The figures that the set is known by."""
    whole = together(tally.figures)
    vus = _mean(whole.vus)
    figures: dict[str, Any] = {
        "skab": lambda: {"F1": whole.f1, "FAR": whole.far, "MAR": whole.mar, "VUS_PR": vus, "offsetsDeltaF1": _offsets(tally)},
        "smdTsb": lambda: {"VUS_PR": vus},
        "smdNative": lambda: _native(tally) | {"worstFAR": max(each.far for each in tally.figures)},
        "asd": lambda: _native(tally),
        "nab": lambda: {"standard": nab.total(tally.nab)},
    }[name]()
    budgets = {budget: together(parts) for budget, parts in tally.budgets.items()}
    realised = {budget: each.false_episodes / max(each.days / _DAYS[budget], 1e-9) for budget, each in budgets.items()}
    return figures | {"budgets": realised | {"timeInAlarm": max(each.far for each in budgets.values())}}


def _native(tally: Tally) -> dict[str, float]:
    whole = together(tally.figures)
    return {"F1": whole.f1, "FAR": whole.far, "VUS_PR": _mean(whole.vus)}


def _mean(values: Sequence[float]) -> float:
    """Of those that are numbers; not a number where none is."""
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def _offsets(tally: Tally) -> float:
    whole, part = (together([pair[side] for pair in tally.moved]).f1 for side in (0, 1))
    return abs(whole - part)


def _seeded(spec: DetectorSpec, seed: int) -> DetectorSpec:
    return spec.model_copy(update={"training": spec.training.model_copy(update={"seed": seed})})


def _within_gaps(spec: DetectorSpec, case: Case) -> DetectorSpec:
    """The spec with windows that do not break between two readings: who watches a stream of one reading an hour is told to raise
    maxGap (GapsTooLong) before anything is scored, and raises it.
    """
    usual = float(np.median(np.diff(case.train.times))) / 1e6 if len(case.train) > 1 else 0.0
    if all(usual < seconds(window.max_gap) for window in spec.windows):
        return spec
    wider = f"{math.ceil(_USUAL_GAPS * usual)}s"
    windows = [window.model_copy(update={"max_gap": wider}) for window in spec.windows]
    return spec.model_copy(update={"windows": windows})


def _trained(spec: DetectorSpec, case: Case, told: Callable[[str], None]) -> fitting.Trained | None:
    if not fitting.wants_training(spec):
        return None
    try:
        return fitting.train(spec, case.train, case.name)
    except CommandError as error:
        told(f"{case.name}: {error}")
        return None


def _replayed(spec: DetectorSpec, trained: fitting.Trained | None, stream: Table, threshold: Threshold | None) -> Replayed:
    revision = fitting.revision_of(spec, trained, threshold)
    return replay(stream, revision, trained.model if trained else None, reasons=False)


def _judged(case: Case, found: Replayed, *, ranked: bool, first: int | None = None) -> Figures:
    """Alarms from the first judged row on, scores from the first ranked one on."""
    since = case.judged if first is None else first
    counted = judge(case.labels[since:], found.anomalous[since:], found.score[since:], case.stream.times[since:], -1)
    if not ranked:
        return counted
    part = slice(case.ranked, None)
    scored = judge(case.labels[part], found.anomalous[part], found.score[part], case.stream.times[part], case.buffer)
    return Figures(**(vars(counted) | {"vus": scored.vus}))


def _moved(
    spec: DetectorSpec, trained: fitting.Trained | None, case: Case, whole: Replayed, seed: int
) -> tuple[Figures, Figures]:
    """The rows behind a random place, replayed from the beginning of the test part and from there."""
    dropped = int(np.random.default_rng([seed, len(case.stream)]).integers(0, _MOST_DROPPED))
    kept = np.r_[0 : case.judged, case.judged + dropped : len(case.stream)]
    mask = np.zeros(len(case.stream), bool)
    mask[kept] = True
    part = _replayed(spec, trained, case.stream.rows(mask), None)
    shorter = Case(case.name, case.train, case.stream.rows(mask), case.labels[mask], case.judged, case.ranked, -1)
    return _judged(case, whole, ranked=False, first=case.judged + dropped), _judged(shorter, part, ranked=False)


def _openings(case: Case, records: list[EpisodeTransition]) -> NDArray[np.bool_]:
    """[n] Rows at which an episode was announced: what a person is told."""
    opened = [record.time for record in records if record.turn is Transition.OPENED and record.suppressed_by is None]
    return np.isin(case.stream.times, np.array(opened, np.int64))
