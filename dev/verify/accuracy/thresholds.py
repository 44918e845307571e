"""Kinds of threshold on real streams: `python -m dev.verify.accuracy.thresholds [--data FOLDER] [--sets ...] [--quick]`.

The shipped configuration learns each machine once; every kind of threshold then decides the same scores. A line for each: false
episodes an entity-day that are to be expected and that came, and what was found. The last lines let the operator's loop keep the
budget: after every day of the stream it may move the threshold by what was announced, labelled or not.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from anomaly_api.assignment import Revision
from anomaly_api.calibration import WindowThreshold
from anomaly_api.exposure import WindowExposure
from anomaly_api.policy import Budget, Threshold
from anomaly_api.schema import seconds
from anomaly_api.thresholds import PER, scaled
from anomaly_detector.cli import fitting, spec_file
from anomaly_detector.cli.figures import Figures, judge, together
from anomaly_detector.cli.replay import replay
from anomaly_operator.core.thresholds import control
from dev.verify.accuracy.measure import FILES, ROOT
from dev.verify.accuracy.sets import Case, cases

_DAY: Final = 86_400_000_000
KINDS: Final[dict[str, dict[str, Any]]] = {
    "budget 1/1d": {"budget": {"episodes": 1, "per": "1d"}},
    "budget 1/1w": {"budget": {"episodes": 1, "per": "1w"}},
    "risk .001": {"peaksOverThreshold": {"risk": 0.001}},
    "risk .0001": {"peaksOverThreshold": {"risk": 0.0001}},
    "significance .01": {"conformal": {"significance": 0.01}},
    "significance .001": {"conformal": {"significance": 0.001}},
    "quantile .999": {"quantile": 0.999},
    "3 deviations": {"standardDeviations": 3},
}
KEPT: Final = {f"{name}, kept": Budget.model_validate(KINDS[name]["budget"]) for name in ("budget 1/1d", "budget 1/1w")}


@dataclass
class _Came:
    """What came of one kind on one machine."""

    figures: Figures
    expected: float
    """Episodes a day."""
    moves: int = 0


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "quality" / "data")
    parser.add_argument("--sets", nargs="+", default=["asd"])
    parser.add_argument("--quick", action="store_true", help="one file of each set")
    asked = parser.parse_args()
    if not asked.data.is_dir():
        print(f"skipped: there is no folder {asked.data}")
        return
    for name in asked.sets:
        detector = spec_file.detector(ROOT / "examples" / "accuracy" / f"{FILES[name]}.yaml")
        found: dict[str, list[_Came]] = {}
        for case in cases(name, asked.data, detector, one=asked.quick):
            trained = fitting.train(detector.spec, case.train, case.name)
            for kind, came in _kinds(case, detector.spec, trained):
                found.setdefault(kind, []).append(came)
        for kind, parts in found.items():
            figures, days = together([each.figures for each in parts]), sum(each.figures.days for each in parts)
            expected = sum(each.expected * each.figures.days for each in parts) / max(days, 1e-9)
            print(
                f"{name:10} {kind:20} expected {expected:6.3f} realised {figures.false_episodes / max(days, 1e-9):6.3f} a day  "
                f"F1 {figures.f1:.3f}  events {figures.found}/{figures.events}  time in alarm {figures.far:.2f} %  "
                f"moves {sum(each.moves for each in parts)}",
                flush=True,
            )


def _kinds(case: Case, spec: Any, trained: fitting.Trained) -> Iterator[tuple[str, _Came]]:
    for kind, asked in KINDS.items():
        revision = fitting.revision_of(spec, trained, Threshold.model_validate(asked))
        found = replay(case.stream, revision, trained.model, reasons=False)
        per = asked["budget"]["per"] if "budget" in asked else PER
        expected = (revision.thresholds[0].expected_episodes or 0.0) * 86400 / seconds(per)
        figures = judge(case.labels, found.anomalous, found.score, case.stream.times, -1)
        yield kind, _Came(figures, expected)
    for kind, budget in KEPT.items():
        yield kind, _kept(case, spec, trained, budget)


def _kept(case: Case, spec: Any, trained: fitting.Trained, budget: Budget) -> _Came:
    """The stream day by day; before each day, as much of the one before that windows and episodes need."""
    revision = fitting.revision_of(spec, trained, Threshold(budget=budget))
    [first] = revision.thresholds
    now, earlier = WindowExposure(window=first.window), WindowExposure(window=first.window)
    factor, stands_on, elapsed, moves = 1.0, first.exposure_seconds or 0.0, 0.0, 0
    days = (case.stream.times - case.stream.times[0]) // _DAY
    anomalous, score = np.zeros(len(days), bool), np.full(len(days), np.nan)
    in_force = first
    for day in range(int(days[-1]) + 1):
        here = days == day
        found = replay(case.stream.rows(here), _under(revision, in_force), trained.model, reasons=False)
        anomalous[here], score[here] = found.anomalous, found.score
        now, elapsed = now + found.exposure[0], elapsed + 86400
        situation = control.Situation(
            budget=budget,
            threshold=in_force,
            factor=factor,
            stands_on=stands_on,
            calibration=trained.artifact.manifest.calibration[0],
            now=now,
            earlier=earlier,
            true_alarms=0,
            true_alarms_of_model=0,
            pods=1,
            elapsed=elapsed,
        )
        move = control.move(situation)
        if move is not None:
            factor, stands_on, elapsed, moves = move.factor, move.exposure, 0.0, moves + 1
            in_force, earlier, now = scaled(first, factor), earlier + now, WindowExposure(window=first.window)
    figures = judge(case.labels, anomalous, score, case.stream.times, -1)
    return _Came(figures, budget.episodes * 86400 / seconds(budget.per), moves)


def _under(revision: Revision, threshold: WindowThreshold) -> Revision:
    return revision.model_copy(update={"thresholds": [threshold]})


if __name__ == "__main__":
    main()
