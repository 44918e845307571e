"""`anomaly-detector lint`: what the API server would say of a spec, without one: types, bounds, unknown fields, CEL rules.

With `--sample` also what the detector would do with some messages of its topic, or of a file.
"""

import argparse
from pathlib import Path

from anomaly_detector.cli import spec_file
from anomaly_detector.cli.errors import CommandError

try:
    from anomaly_api.lint import LintError, findings
except ImportError as error:
    raise CommandError(str(error)) from error


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own."""
    parser.add_argument("specs", metavar="SPEC", nargs="+", type=Path, help="YAML files with an AnomalyDetector")
    parser.add_argument(
        "--sample",
        metavar="TOPIC|FILE",
        help="look at messages as well: of a topic of the spec's brokers (BROKERS/TOPIC for others), or a file",
    )
    parser.add_argument("--messages", type=int, default=5_000, help="that are looked at with --sample; default: %(default)s")


def run(asked: argparse.Namespace) -> int:
    """0 where all would be admitted, 1 otherwise. Raises CommandError."""
    wrong = 0
    for path in asked.specs:
        try:
            found = findings(spec_file.document(path))
        except LintError as error:
            raise CommandError(f"{path}: {error}") from error
        wrong += bool(found)
        print("\n".join(f"{path}: {each}" for each in found) if found else f"{path}: ok")
        if asked.sample and not found:
            wrong += not _looked_at(path, asked)
    return int(wrong > 0)


def _looked_at(path: Path, asked: argparse.Namespace) -> bool:
    """Prints what the detector would do with a sample; whether it would score it as the spec says."""
    from anomaly_detector.cli import sample
    from anomaly_detector.cli.facts import Facts

    detector = spec_file.detector(path)
    spec = detector.spec
    messages = sample.read(asked.sample, spec.source.kafka, asked.messages)
    facts = Facts(spec.pipeline, messages.timed(spec.time.field, spec_file.interval(detector)))
    for line in facts.lines():
        print(line)
    for each in facts.wrong:
        print(f"{path}: {each}")
    return not facts.wrong
