"""`kubectl_complete-anomaly`: what may come next on the command line, a word a line, and a last line as Cobra wants it.

kubectl calls it for its own completion in every shell. It answers from the parser, and asks the cluster for names.
"""

import argparse
import sys
from typing import Final

from kubectl_anomaly.__main__ import COMMANDS, parser
from kubectl_anomaly.exits import PluginError
from kubectl_anomaly.kubectl import DETECTORS, MODELS, Kubectl, connect

_NO_FILES, _DEFAULT = ":4", ":0"
"""Cobra's directives: names of files are no answer; they are."""
_SECONDS: Final = "--request-timeout=3s"
_KINDS: Final = {"name": DETECTORS, "detector": DETECTORS, "model": MODELS}
"""Positional arguments that are names, by their `dest`."""


def main() -> int:
    """Prints what may follow the words given, the last of which is being written."""
    *before, current = sys.argv[1:] or [""]
    found, files = candidates(before, current)
    print("\n".join([*(each for each in found if each.startswith(current)), _DEFAULT if files else _NO_FILES]))
    return 0


def candidates(before: list[str], current: str) -> tuple[list[str], bool]:
    """What may come next, and whether names of files may, too."""
    command = next((word for word in before if word in COMMANDS), "")
    known = _innermost(parser(command), before)
    options = {option: action for action in known._actions for option in action.option_strings}
    last = options.get(before[-1]) if before else None
    if last is not None and last.nargs != 0:
        return [str(each) for each in last.choices or ()], last.choices is None
    if current.startswith("-"):
        return sorted(options), False
    waiting = [action for action in known._actions if not action.option_strings]
    done = _positional(before[before.index(command) + 1 :] if command else [], options)
    if isinstance(waiting[0] if waiting else None, argparse._SubParsersAction):
        return list(waiting[0].choices or ()), False
    done -= known.prog.count(" ") - 2  # words that chose a command below the command
    action = waiting[min(done, len(waiting) - 1)] if waiting else None
    if action is None or done >= len(waiting):
        return [], command == "lint"
    if action.choices:
        return [str(each) for each in action.choices], False
    kind = _KINDS.get(action.dest)
    return (_names(kind, before), False) if kind else ([], action.dest == "files")


def _innermost(known: argparse.ArgumentParser, words: list[str]) -> argparse.ArgumentParser:
    for word in words:
        for action in known._actions:
            if isinstance(action, argparse._SubParsersAction) and word in action.choices:
                known = action.choices[word]
                break
    return known


def _positional(words: list[str], options: dict[str, argparse.Action]) -> int:
    """How many of the words are no options and no values of options."""
    count, skip = 0, False
    for word in words:
        if skip:
            skip = False
        elif word in options:
            skip = options[word].nargs != 0
        elif not word.startswith("-"):
            count += 1
    return count


def _names(kind: str, before: list[str]) -> list[str]:
    given = argparse.ArgumentParser(add_help=False)
    given.add_argument("-n", "--namespace")
    given.add_argument("--context")
    given.add_argument("--kubeconfig")
    where, _ = given.parse_known_args(before)
    options = [f"--{name}={value}" for name in ("context", "kubeconfig") if (value := getattr(where, name))]
    try:
        kubectl: Kubectl = connect([*options, _SECONDS], where.namespace)
        return kubectl.run("get", kind, "-o", "jsonpath={range .items[*]}{.metadata.name}{'\\n'}{end}").split()
    except PluginError:
        return []


if __name__ == "__main__":
    sys.exit(main())
