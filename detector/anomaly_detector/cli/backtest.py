"""`anomaly-detector backtest`: what a detector would have said of recorded readings, by the pipeline of production."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from anomaly_api.calibration import WindowThreshold
from anomaly_api.detector import AnomalyDetector, DetectorSpec
from anomaly_api.schema import seconds
from anomaly_api.thresholds import PER
from anomaly_detector.cli import spec_file
from anomaly_detector.cli.errors import CommandError
from anomaly_detector.cli.figures import Figures, judge, together
from anomaly_detector.cli.replay import Replayed, replay
from anomaly_detector.cli.table import Table, joined, read_labels, read_tables
from anomaly_detector.cli.terminal import bar

MODEL_FILE: Final = "model.tar"
STATISTICAL: Final = "Statistical"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own."""
    parser.add_argument("spec", metavar="SPEC", type=Path, help="YAML file with an AnomalyDetector")
    parser.add_argument("data", metavar="DATA", nargs="+", help="CSV or Parquet files, also .gz and .xz")
    learned = parser.add_mutually_exclusive_group()
    learned.add_argument("--train", metavar="FILE", nargs="+", help="train the model on these files first")
    learned.add_argument("--train-rows", metavar="N", type=int, help="train it on the first N readings of each file of DATA")
    learned.add_argument("--model", metavar="FOLDER", type=Path, help="take the model that `fit` made")
    parser.add_argument("--labels", metavar="FILE", nargs="+", help="which readings are anomalous: a column `label`, a row each")
    parser.add_argument("--scores", metavar="OUT.csv", type=Path, help="write a row for each reading")
    parser.add_argument("--report", metavar="OUT.html", type=Path, help="write a report with pictures")


def run(asked: argparse.Namespace) -> int:
    """Raises CommandError."""
    detector = spec_file.detector(asked.spec)
    spec, step = detector.spec, spec_file.interval(detector)
    tables = read_tables(asked.data, spec.pipeline, step)
    table = joined(tables)
    if not len(table):
        raise CommandError(f"{', '.join(asked.data)}: there are no readings")
    labels = _labels(asked, tables)
    trained = _trained(asked, detector, tables, step)
    from anomaly_detector.cli.fitting import revision_of  # brings the trainer's code, which a model from a folder needs too

    revision = revision_of(spec, trained)
    began = time.monotonic()
    with bar("scoring") as tell:
        found = replay(table, revision, trained.model if trained else None, tell)
    spent = time.monotonic() - began
    print(f"{len(table):,} readings of {len(table.names):,} entities in {spent:.1f} s ({len(table) / max(spent, 1e-9):,.0f}/s)")
    print(_summary(table, found))
    for threshold in revision.thresholds:
        print(_of_threshold(threshold, found, spec.threshold.budget.per if spec.threshold.budget else PER))
    if table.unreadable:
        print(f"{table.unreadable:,} rows without a time or an entity were left out")
    figures = None
    if labels is not None:
        figures = figures_of(table, found, labels)
        print(", ".join(f"{name} {value}" for name, value in together(figures).document().items() if value is not None))
    if asked.scores:
        write_scores(asked.scores, table, found)
        print(f"scores: {asked.scores}")
    if asked.report:
        from anomaly_detector.cli.report import Backtest, write_report

        model = trained.model if trained else None
        write_report(asked.report, asked.spec.name, Backtest(table, found, revision, model, labels, figures))
        print(f"report: {asked.report}")
    return 0


def figures_of(table: Table, found: Replayed, labels: NDArray[np.bool_], most: int = 100) -> list[Figures]:
    """By entity."""
    figures = []
    for code in range(len(table.names)):
        rows = np.flatnonzero(table.codes == code)
        rows = rows[np.argsort(table.times[rows], kind="stable")]
        figures.append(judge(labels[rows], found.anomalous[rows], found.score[rows], table.times[rows], most))
    return figures


def write_scores(path: Path, table: Table, found: Replayed) -> None:
    """A row for each reading, in order. Raises CommandError."""
    severities = np.array([*found.severities, ""], object)
    scored = ~np.isnan(found.score)
    scorer = np.where(scored, np.where(found.by_model, found.scorer, STATISTICAL), "")
    whole = not (table.times % 1_000_000).any()
    stamps = np.datetime_as_string(table.times.astype("datetime64[us]"), unit="s" if whole else "us")
    columns = {
        "entity": pa.array(np.array(table.names, object)[table.codes], pa.string()),
        "time": pa.array(np.char.add(stamps, "Z")),
        "score": pa.array(found.score, from_pandas=True),
        "anomalous": pa.array(found.anomalous.astype(np.int8)),
        "severity": pa.array(severities[found.severity], pa.string()),
        "top_feature": pa.array(_features(found), pa.string()),
        "scorer": pa.array(scorer.astype(object), pa.string()),
    }
    try:
        csv.write_csv(pa.table(columns), str(path), csv.WriteOptions(quoting_style="needed"))
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error}") from error


def _features(found: Replayed) -> NDArray[Any]:
    names = np.array([*found.features, ""], object)
    chosen: NDArray[Any] = names[found.top]
    return chosen


def _labels(asked: argparse.Namespace, tables: list[Table]) -> NDArray[np.bool_] | None:
    if not asked.labels:
        return None
    if len(asked.labels) == 1:
        return read_labels(asked.labels[0], sum(len(table) for table in tables))
    if len(asked.labels) != len(tables):
        raise CommandError(f"--labels has {len(asked.labels)} files and DATA {len(tables)}: give one, or as many")
    return np.concatenate([read_labels(path, len(table)) for path, table in zip(asked.labels, tables, strict=True)])


def _trained(asked: argparse.Namespace, detector: AnomalyDetector, tables: list[Table], step: float) -> Any:
    """The model; None: the statistical scorer decides."""
    spec: DetectorSpec = detector.spec
    if asked.model:
        from anomaly_detector.cli.fitting import load

        path = asked.model / MODEL_FILE if asked.model.is_dir() else asked.model
        try:
            return load(path.read_bytes(), spec)
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}; make it with `anomaly-detector fit`") from error
    source = training_table(asked, spec, tables, step)
    if source is None:
        return None
    from anomaly_detector.cli import fitting

    if not fitting.wants_training(spec):
        raise CommandError(f"{asked.spec}: spec.model is trained by nobody: leave out --train and --train-rows")
    with bar("training") as tell:
        return fitting.train(spec, *source, tell)


def training_table(asked: argparse.Namespace, spec: DetectorSpec, tables: list[Table], step: float) -> tuple[Table, str] | None:
    """What to learn from and where that is; None: the command says nothing about it."""
    if asked.train:
        return joined(read_tables(asked.train, spec.pipeline, step)), ", ".join(asked.train)
    if asked.train_rows is None:
        return None
    if asked.train_rows < 1:
        raise CommandError(f"--train-rows is {asked.train_rows}: write how many readings of each file are to be learned from")
    rows: Callable[[Table], Table] = lambda table: table.rows(slice(0, asked.train_rows))  # noqa: E731
    return joined([rows(table) for table in tables]), f"the first {asked.train_rows:,} readings"


def _of_threshold(threshold: WindowThreshold, found: Replayed, per: str) -> str:
    """Where score 1.0 is, and the episodes of an entity in `per` that were asked for, supported, expected and realised."""
    said = f"window {threshold.window}: score 1.0 is {threshold.value:.6g}, from {threshold.source.value} {threshold.asked}"
    if threshold.supported:
        said += f"; the history supports {threshold.supported}"
    if threshold.expected_episodes is not None:
        said += f"; expected {threshold.expected_episodes:g}/{per}"
    for counted in found.exposure:
        if counted.window == threshold.window and counted.entity_seconds:
            realised = counted.episodes * seconds(per) * (threshold.entities or 1) / counted.entity_seconds
            said += f", realised {realised:.3g}/{per} in {counted.entity_seconds / 86400:.3g} entity-days"
    return said


def _summary(table: Table, found: Replayed) -> str:
    alarmed = found.anomalous
    episodes = sum(record.turn.name == "OPENED" for record in found.records)
    return f"{episodes:,} episodes; {100 * alarmed.mean():.2f} % of the readings in alarm"
