"""`kubectl anomaly list`: detectors, a line each."""

import argparse
import time

from anomaly_api.meta import API_VERSION
from kubectl_anomaly.detector_view import Document, at, condition, health
from kubectl_anomaly.exits import Exit
from kubectl_anomaly.kubectl import DETECTORS, Kubectl
from kubectl_anomaly.printing import age, documents, table

_HEAD = ("NAME", "STATUS", "REASON", "REVISION", "MODEL", "CANDIDATE", "STEP", "LAG", "LAST-ALERT", "AGE")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own."""
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    parser.add_argument("-l", "--selector", metavar="LABELS", help="only those with these labels")


def run(asked: argparse.Namespace, kubectl: Kubectl) -> int:
    """Raises PluginError."""
    everywhere = ["--all-namespaces"] if asked.all_namespaces else []
    found = kubectl.items(DETECTORS, *everywhere, *(["-l", asked.selector] if asked.selector else []))
    if asked.output:
        print(documents([{"apiVersion": API_VERSION, "kind": "AnomalyDetector", **each} for each in found], asked.output))
    elif found:
        print(listed(found, time.time(), namespaces=asked.all_namespaces))
    else:
        print("no detectors here; -A shows those of all namespaces" if not everywhere else "no detectors")
    return Exit.DONE


def listed(found: list[Document], now: float, *, namespaces: bool) -> str:
    """The table."""
    head = ("NAMESPACE", *_HEAD) if namespaces else _HEAD
    return table(head, [((at(each, "metadata", "namespace"),) if namespaces else ()) + _row(each, now) for each in found])


def _row(detector: Document, now: float) -> tuple[str, ...]:
    how, candidate = health(detector), at(detector, "status", "candidate") or {}
    lag = at(detector, "status", "source", "lag")
    model = at(detector, "status", "stable", "model") or ("-" if at(detector, "status", "stable") is None else "statistical")
    drift = "*" if condition(detector, "DriftDetected").status == "True" else ""
    return (
        at(detector, "metadata", "name"),
        how.word,
        how.reason + drift if how.reason != how.word else drift or "-",
        at(detector, "status", "stable", "revision") or "-",
        model,
        candidate.get("revision", "-"),
        str(candidate.get("step", "-")),
        "-" if lag is None else f"{lag:,}",
        age(at(detector, "status", "source", "lastAlert"), now),
        age(at(detector, "metadata", "creationTimestamp"), now),
    )
