"""`anomaly-detector COMMAND`: what can be done without a cluster, with files in place of topics."""

import argparse
import importlib
import os
import sys
from typing import Final

from anomaly_detector.cli.errors import CommandError

COMMANDS: Final = {
    "backtest": "what a detector would have said of recorded readings",
    "fit": "train a detector's model from files to a folder",
}


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0, 1 where something was found wrong with a spec, 2 where the command cannot be done."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # small matrices are slower on several threads
        os.environ.setdefault(name, "1")
    parser = argparse.ArgumentParser(prog="anomaly-detector", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    given = sys.argv[1:] if arguments is None else arguments
    chosen = next((each for each in given if each in COMMANDS), None)
    for name, what in COMMANDS.items():
        command = commands.add_parser(name, help=what, description=what)
        if name == chosen:  # a command's module is imported when it is asked for: some bring torch
            importlib.import_module(f"anomaly_detector.cli.{name}").arguments(command)
    asked = parser.parse_args(given)
    try:
        return int(importlib.import_module(f"anomaly_detector.cli.{asked.command}").run(asked))
    except CommandError as error:
        print(f"anomaly-detector {asked.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
