"""`anomaly-detector init`: a spec from nothing, by a look at some messages of a topic or a file."""

import argparse
import sys
from pathlib import Path

import yaml

from anomaly_detector.cli import sample
from anomaly_detector.cli.errors import CommandError
from anomaly_detector.cli.propose import Proposal


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own."""
    parser.add_argument("sample", metavar="BROKERS/TOPIC|FILE", help="kafka:9092/readings, or a file: JSON lines, CSV, Parquet")
    parser.add_argument("--messages", type=int, default=sample.MOST, help="that are looked at; default: %(default)s")
    parser.add_argument("--output", metavar="SPEC.yaml", type=Path, help="where to write it; default: standard output")


def run(asked: argparse.Namespace) -> int:
    """Writes the spec, and says on standard error what was seen. Raises CommandError."""
    proposal = Proposal(sample.read(asked.sample, None, asked.messages))
    for seen in proposal.why:
        print(seen, file=sys.stderr)
    text = yaml.safe_dump(proposal.spec(), sort_keys=False, allow_unicode=True, width=120)
    if asked.output is None:
        print(text, end="")
        return 0
    try:
        asked.output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{asked.output} cannot be written: {error.strerror}") from error
    return 0
