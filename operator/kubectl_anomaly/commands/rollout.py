"""`promote`, `pause`, `resume`, `abort`, `retry`, `undo`: what somebody asks of a rollout.

A command is a patch of the status subresource, never of the spec: RBAC tells who may promote from who may edit. The operator
answers in `status.commandHandled`, and its answer is what the command prints.
"""

import argparse
import json
import secrets
import time
from typing import Final

from kubectl_anomaly.commands.ack import whoami
from kubectl_anomaly.detector_view import Document, at
from kubectl_anomaly.exits import Exit, PluginError
from kubectl_anomaly.kubectl import DETECTORS, Kubectl
from kubectl_anomaly.printing import name_of, structured
from kubectl_anomaly.watching import Changes

NAMES: Final = {
    "promote": "Promote",
    "pause": "Pause",
    "resume": "Resume",
    "abort": "Abort",
    "retry": "Retry",
    "undo": "Undo",
}
_ANSWER: Final = 30.0
_LOOK: Final = 5.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what all of them take, and what one of them does."""
    parser.add_argument("name", metavar="NAME", help="the detector")
    parser.add_argument("--no-wait", action="store_true", help="do not wait for the operator's answer")
    parser.add_argument(
        "--timeout", type=float, default=_ANSWER, metavar="SECONDS", help=f"for the answer (default {_ANSWER:.0f})"
    )
    command = parser.prog.rpartition(" ")[2]
    if command == "promote":
        parser.add_argument("--full", action="store_true", help="leave out the steps that are left, and become stable now")
    if command == "undo":
        parser.add_argument("--to", metavar="REVISION", help="as `history` names it (default: the one that was stable before)")
    if command != "undo":
        parser.add_argument("--revision", metavar="REVISION", help="refuse if the candidate is another one by now")


def run(asked: argparse.Namespace, kubectl: Kubectl) -> int:
    """Raises PluginError."""
    detector = kubectl.detector(asked.name)
    command = command_of(asked, detector, whoami(kubectl))
    changed = kubectl.patch(DETECTORS, asked.name, {"status": {"command": command}}, "--subresource=status")
    answer = None if asked.no_wait else _answer(kubectl, asked.name, command["id"], asked.timeout)
    if answer is not None and not answer["accepted"]:
        raise PluginError(Exit.REFUSED, answer["message"])
    if asked.output == "name":
        print(name_of(changed))
    elif asked.output:
        print(structured({"command": command, "answer": answer}, asked.output))
    else:
        print(f"{asked.name}: {answer['message'] if answer else command['name'] + ' was asked for'}")
    return Exit.DONE


def command_of(asked: argparse.Namespace, detector: Document, by: str) -> Document:
    """All its fields: those that are unset take away what the command before it had. Raises PluginError."""
    candidate = at(detector, "status", "candidate", "revision")
    name = "PromoteFull" if getattr(asked, "full", False) else NAMES[asked.command]
    given = getattr(asked, "revision", None)
    if name in ("Promote", "PromoteFull"):
        if candidate is None:
            raise PluginError(Exit.REFUSED, f"{asked.name} has no candidate: there is nothing to promote")
        if given not in (None, candidate):
            raise PluginError(Exit.REFUSED, f"the candidate of {asked.name} is {candidate}, not {given}: look at it first")
        given = candidate  # what was looked at, and nothing that came since
    return {"id": secrets.token_hex(8), "name": name, "revision": given, "to": getattr(asked, "to", None), "by": by}


def _answer(kubectl: Kubectl, name: str, token: str, seconds: float) -> Document:
    """What the operator says. Raises PluginError where it says nothing in time."""
    ends = time.monotonic() + seconds
    with Changes(kubectl, ((DETECTORS, name),)) as changes:
        while True:
            handled: Document = at(kubectl.detector(name), "status", "commandHandled") or {}
            if handled.get("id") == token:
                return handled
            left = ends - time.monotonic()
            if left <= 0:
                raise PluginError(
                    Exit.TIMEOUT,
                    f"the operator has not answered within {seconds:g} s: the command is in status.command of {name} "
                    f"({json.dumps(token)}), and is carried out when the operator is back",
                )
            changes.wait(min(left, _LOOK))
