"""`anomaly-detector lint`: what the API server would say of a spec, without one: types, bounds, unknown fields, CEL rules."""

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
    return int(wrong > 0)
