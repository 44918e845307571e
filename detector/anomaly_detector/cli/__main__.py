"""`anomaly-detector COMMAND`: what can be done without a cluster, with files in place of topics."""

import argparse
import importlib
import os
import sys
from typing import Any, Final

from anomaly_detector.cli.errors import CommandError

COMMANDS: Final = {
    "backtest": "what a detector would have said of recorded readings",
    "fit": "train a detector's model from files to a folder",
    "tune": "search kind of model and window, say why, and write a spec",
    "run": "watch the lines of files or of standard input, in one process without a cluster",
    "lint": "check a spec as the API server would, CEL rules included",
    "init": "propose a spec by a look at a topic or a file",
    "model": "check or pack a model that you bring, as the cluster would",
}


def _module(command: str) -> Any:
    """A command's module is imported when it is asked for: some bring torch."""
    return importlib.import_module(f"anomaly_detector.cli.{command}")


def _parser(chosen: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="anomaly-detector", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, what in COMMANDS.items():
        command = commands.add_parser(name, help=what, description=what)
        if name == chosen:
            _module(name).arguments(command)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0, 1 where something was found wrong with a spec, 2 where the command cannot be done."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # small matrices are slower on several threads
        os.environ.setdefault(name, "1")
    given = sys.argv[1:] if arguments is None else arguments
    chosen = next((each for each in given if each in COMMANDS), "")
    try:
        asked = _parser(chosen).parse_args(given)
        return int(_module(asked.command).run(asked))
    except CommandError as error:
        print(f"anomaly-detector {chosen}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
