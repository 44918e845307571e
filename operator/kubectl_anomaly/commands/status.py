"""`kubectl anomaly status NAME`: a detector and what belongs to it, as a tree, once or live."""

import argparse
import shutil
import sys
import time
from typing import Final

from anomaly_api.meta import LABEL_DETECTOR
from kubectl_anomaly.detector_view import Document, at, health
from kubectl_anomaly.exits import Exit, PluginError
from kubectl_anomaly.kubectl import DETECTORS, MODELS, Kubectl
from kubectl_anomaly.printing import in_colour, name_of, structured
from kubectl_anomaly.tree import Family, draw
from kubectl_anomaly.watching import Changes

_CHILDREN: Final = "pods,controllerrevisions.apps"
_REDRAW: Final = 2.0
"""Seconds after which ages are drawn anew, though nothing has changed."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own."""
    parser.add_argument("name", metavar="NAME", help="the detector")
    parser.add_argument("-w", "--watch", action="store_true", help="draw it anew whenever something changes")
    parser.add_argument("--wait", action="store_true", help="wait until it is ready, or until somebody must act")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="with --wait or --watch: for so long at most")


def run(asked: argparse.Namespace, kubectl: Kubectl) -> int:
    """Raises PluginError."""
    family = family_of(kubectl, asked.name)
    if not asked.watch and not asked.wait:
        _print(family, asked.output)
        return health(family.detector).status
    watched = ((DETECTORS, asked.name), ("pods", "-l", f"{LABEL_DETECTOR}={asked.name}"))
    with Changes(kubectl, watched) as changes:
        return _live(asked, kubectl, family, changes)


def family_of(kubectl: Kubectl, name: str) -> Family:
    """Raises PluginError."""
    detector = kubectl.detector(name)
    children = kubectl.items(_CHILDREN, "-l", f"{LABEL_DETECTOR}={name}")
    return Family(
        detector,
        [each for each in children if each["kind"] == "Pod"],
        kubectl.items(MODELS) if _names_models(detector) else [],
        [each for each in children if each["kind"] == "ControllerRevision"],
    )


def _names_models(detector: Document) -> bool:
    return any(at(detector, "status", part, "model") for part in ("stable", "candidate"))


def _print(family: Family, form: str | None) -> None:
    if form == "name":
        print(name_of(family.detector))
    elif form:
        print(structured(family.detector, form))
    else:
        print(draw(family, time.time(), colour=in_colour()))


def _live(asked: argparse.Namespace, kubectl: Kubectl, family: Family, changes: Changes) -> int:
    """Until it is interrupted, the time is over, or what was waited for is there."""
    ends = time.monotonic() + asked.timeout if asked.timeout else None
    drawing = asked.watch and not asked.output
    while True:
        found = health(family.detector)
        if drawing:
            _redraw(family)
        if asked.wait and found.status is not Exit.UNDER_WAY:
            if not drawing:
                _print(family, asked.output)
            return found.status
        left = _REDRAW if ends is None else min(_REDRAW, ends - time.monotonic())
        if left <= 0 and not asked.wait:
            return found.status
        if left <= 0:
            raise PluginError(Exit.TIMEOUT, f"{asked.name} is {found.word} ({found.reason}): {found.message}")
        if changes.wait(left):
            family = family_of(kubectl, asked.name)


def _redraw(family: Family) -> None:
    """The tree in place of the one before, as much of it as the terminal has lines."""
    drawn = draw(family, time.time(), colour=in_colour()).splitlines()
    if sys.stdout.isatty():
        height = shutil.get_terminal_size().lines
        sys.stdout.write("\x1b[H\x1b[?7l" + "".join(f"{line}\x1b[K\n" for line in drawn[: height - 1]) + "\x1b[?7h\x1b[J")
    else:
        sys.stdout.write("\n".join(drawn) + "\n\n")
    sys.stdout.flush()
