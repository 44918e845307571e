"""`anomaly-detector fit`: trains from files to a folder, by the code of a training Job."""

import argparse
import json
from pathlib import Path
from typing import Final

from anomaly_detector.cli import spec_file
from anomaly_detector.cli.backtest import MODEL_FILE
from anomaly_detector.cli.errors import CommandError
from anomaly_detector.cli.table import joined, read_tables
from anomaly_detector.cli.terminal import bar

CARD: Final = "card.html"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own."""
    parser.add_argument("spec", metavar="SPEC", type=Path, help="YAML file with an AnomalyDetector")
    parser.add_argument("data", metavar="DATA", nargs="+", help="CSV or Parquet files, also .gz and .xz")
    parser.add_argument("--to", metavar="FOLDER", type=Path, default=Path("model"), help="where the model goes (./model)")


def run(asked: argparse.Namespace) -> int:
    """Raises CommandError."""
    from anomaly_detector.cli import fitting

    detector = spec_file.detector(asked.spec)
    if not fitting.wants_training(detector.spec):
        raise CommandError(f"{asked.spec}: spec.model names a scorer that is not trained: there is nothing to fit")
    table = joined(read_tables(asked.data, detector.spec.pipeline, spec_file.interval(detector)))
    with bar("training") as tell:
        trained = fitting.train(detector.spec, table, ", ".join(asked.data), tell)
    manifest = trained.artifact.manifest
    judged, card = fitting.card_of(detector.spec, trained, f"Model of {asked.spec.name}")
    try:
        asked.to.mkdir(parents=True, exist_ok=True)
        (asked.to / MODEL_FILE).write_bytes(trained.archive)
        text = json.dumps(manifest.document(), indent=1, ensure_ascii=False)
        (asked.to / "manifest.json").write_text(text + "\n", encoding="utf-8")
        (asked.to / CARD).write_text(card, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{asked.to} cannot be written: {error.strerror}") from error
    print(
        f"{trained.windows:,} windows of {len(table.names):,} entities; {asked.to / MODEL_FILE} ({len(trained.archive):,} bytes)"
    )
    if judged is not None:
        print(f"gate: {judged.verdict.value}: {judged.message}")
    for line in fitting.quantization(trained):
        print(line)
    print(f"model card: {asked.to / CARD}")
    print(trained.artifact.digest)
    return 0
