"""What trimming and refitting do to the figures: `python -m dev.verify.accuracy.training_options [--data FOLDER] [--sets ...]`.

The default spec learns from each set as it is, and from the same readings with faults put into them. A line for each option.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from anomaly_detector.cli import spec_file
from anomaly_detector.training.gate.faults import put_into_series
from dev.verify.accuracy.contest import contest, summary
from dev.verify.accuracy.contestants import contestants
from dev.verify.accuracy.measure import FILES, ROOT
from dev.verify.accuracy.sets import Case, cases

OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "as learned": {"trim_percent": 0.0},
    "trimPercent 1": {"trim_percent": 1.0},
    "trimPercent 5": {"trim_percent": 5.0},
    "refit": {"trim_percent": 0.0, "refit": True},
}
_FAULTS: Final = 20
"""In the training rows of a case, each a hundredth of them long."""


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "quality" / "data")
    parser.add_argument("--sets", nargs="+", default=["skab", "smdNative", "asd"])
    parser.add_argument("--quick", action="store_true", help="one file of each set")
    asked = parser.parse_args()
    if not asked.data.is_dir():
        print(f"skipped: there is no folder {asked.data}")
        return
    for name in asked.sets:
        detector = contestants(spec_file.detector(ROOT / "examples" / "accuracy" / f"{FILES[name]}.yaml"))["default"]
        for dirty in (False, True):
            for option, changes in OPTIONS.items():
                training = detector.spec.training.model_copy(update=changes)
                chosen = detector.model_copy(update={"spec": detector.spec.model_copy(update={"training": training})})
                found = cases(name, asked.data, chosen, one=asked.quick)
                figures = summary(name, contest(name, chosen, _dirty(found) if dirty else found, 1, lambda _: None))
                shown = "  ".join(f"{key} {value:.3f}" for key, value in figures.items() if isinstance(value, float))
                print(f"{name:10} {'contaminated' if dirty else 'as it is':12} {option:14} {shown}", flush=True)


def _dirty(found: Iterator[Case]) -> Iterator[Case]:
    """The cases with faults in what is learned from."""
    for case in found:
        train = case.train
        rows = [np.flatnonzero(train.codes == code) for code in range(len(train.names))]
        length = max(8, len(train) // (100 * len(rows)))
        values, _ = put_into_series(train.values, rows, np.nanstd(train.values, axis=0), _FAULTS * len(rows), length, 1)
        yield replace(case, train=replace(train, values=values))


if __name__ == "__main__":
    main()
