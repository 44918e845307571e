"""`kubectl anomaly history NAME`: the revisions on record, the newest first."""

import argparse
import time
from typing import Any

from anomaly_api.meta import API_VERSION, LABEL_DETECTOR
from kubectl_anomaly import rollout_view
from kubectl_anomaly.detector_view import Document, at, number
from kubectl_anomaly.exits import Exit
from kubectl_anomaly.kubectl import Kubectl
from kubectl_anomaly.printing import age, structured, table

_HEAD = ("NO.", "REVISION", "OUTCOME", "MODEL", "THRESHOLDS", "AGE", "REASON")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own."""
    parser.add_argument("name", metavar="NAME", help="the detector")


def run(asked: argparse.Namespace, kubectl: Kubectl) -> int:
    """Raises PluginError."""
    detector = kubectl.detector(asked.name)
    records = kubectl.items("controllerrevisions.apps", "-l", f"{LABEL_DETECTOR}={asked.name}")
    found = entries(detector, records)
    if asked.output == "name":
        print("\n".join(entry["revision"] for entry in found))
    elif asked.output:
        print(
            structured({"apiVersion": API_VERSION, "kind": "History", "detector": asked.name, "revisions": found}, asked.output)
        )
    else:
        print(shown(found, time.time()) if found else f"no revision of {asked.name} has decided yet")
    return Exit.DONE


def entries(detector: Document, records: list[Document]) -> list[dict[str, Any]]:
    """A value for each revision that is known, the newest first: what is on record, and what the status says of its rollout."""
    told = {entry["revision"]: entry for entry in rollout_view.outcomes(detector)}
    found = []
    prefix = f"{at(detector, 'metadata', 'name')}-"
    for record in sorted(records, key=lambda each: int(each.get("revision", 0)), reverse=True):
        name = str(at(record, "metadata", "name")).removeprefix(prefix)
        content = record.get("data") or {}
        entry = {
            "number": record.get("revision"),
            "revision": name,
            "model": content.get("modelName"),
            "thresholds": content.get("thresholds") or [],
            "recorded": at(record, "metadata", "creationTimestamp"),
        }
        found.append(entry | told.pop(name, {}))
    return [*(_unrecorded(entry) for entry in told.values() if entry["outcome"] in ("Candidate", "Stable")), *found] + [
        _unrecorded(entry) for entry in told.values() if entry["outcome"] not in ("Candidate", "Stable")
    ]


def _unrecorded(entry: dict[str, Any]) -> dict[str, Any]:
    return {"number": None, "thresholds": [], **entry}


def shown(found: list[dict[str, Any]], now: float) -> str:
    """The table."""
    return table(_HEAD, [_row(entry, now) for entry in found])


def _row(entry: dict[str, Any], now: float) -> tuple[str, ...]:
    thresholds = ", ".join(f"{each['window']} {number(each['value'])}" for each in entry["thresholds"])
    return (
        str(entry["number"] or "-"),
        entry["revision"],
        entry.get("outcome") or "-",
        entry.get("model") or "statistical",
        thresholds or "-",
        age(entry.get("since") or entry.get("recorded"), now),
        entry.get("reason") or "-",
    )
