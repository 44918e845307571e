"""`kubectl anomaly COMMAND`: see docs/kubectl.md."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any, Final

from kubectl_anomaly.exits import Exit, PluginError
from kubectl_anomaly.kubectl import connect
from kubectl_anomaly.options import OF_KUBECTL, shared

COMMANDS: Final = {
    "list": ("list_detectors", "detectors, a line each"),
    "status": ("status", "a detector and what belongs to it, as a tree, once or live"),
    "history": ("history", "the revisions on record"),
    "promote": ("rollout", "let the candidate go on to the next step, or become stable"),
    "pause": ("rollout", "hold the rollout where it is"),
    "resume": ("rollout", "let a paused rollout go on"),
    "abort": ("rollout", "take the candidate away"),
    "retry": ("rollout", "begin the rollout of an aborted revision anew"),
    "undo": ("rollout", "go back to a revision that was stable"),
    "alerts": ("alerts", "what the detector announced"),
    "explain": ("explain", "an episode: what was read, what was expected, what stood out"),
    "train": ("train", "ask for a training now"),
    "ack": ("ack", "say what an alert was worth"),
    "model": ("models", "model versions: list, show, report"),
    "lint": ("lint", "check a spec without a cluster"),
    "completion": ("completion", "completion for a shell"),
}


def command_module(command: str) -> Any:
    """A command's module is imported when it is asked for: most need little."""
    return importlib.import_module(f"kubectl_anomaly.commands.{COMMANDS[command][0]}")


def parser(chosen: str) -> argparse.ArgumentParser:
    """The whole of it, with the arguments of the chosen command alone."""
    whole = argparse.ArgumentParser(prog="kubectl anomaly", description=__doc__, parents=[shared(None)])
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    after = shared(argparse.SUPPRESS)
    for name, (_, what) in COMMANDS.items():
        command = commands.add_parser(name, help=what, description=what, parents=[after])
        if name == chosen:
            command_module(name).arguments(command)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status; docs/kubectl.md lists them."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    asked = parser(next((each for each in given if each in COMMANDS), "")).parse_args(given)
    options = [f"--{name}={value}" for name in OF_KUBECTL if (value := getattr(asked, name.replace("-", "_"), None))]
    try:
        return int(command_module(asked.command).run(asked, connect(options, asked.namespace)))
    except PluginError as failure:
        print(f"kubectl anomaly {asked.command}: {failure}", file=sys.stderr)
        return int(failure.status)
    except BrokenPipeError:  # `alerts | head`
        sys.stderr.close()
        return int(Exit.DONE)
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
