"""`kubectl anomaly model list|show|report`: model versions, and their cards."""

import argparse
import base64
import gzip
import time
import webbrowser
from pathlib import Path

from anomaly_api.meta import API_VERSION, CARD_FILE
from kubectl_anomaly.detector_view import Document, at, condition, number
from kubectl_anomaly.exits import Exit, PluginError
from kubectl_anomaly.kubectl import MODELS, Kubectl
from kubectl_anomaly.options import shared
from kubectl_anomaly.printing import age, documents, name_of, structured, table

_HEAD = ("NAME", "KIND", "DETECTOR", "GATE", "VERIFIED", "READINGS", "SIZE", "USED-BY", "AGE")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own."""
    what = parser.add_subparsers(dest="what", required=True, metavar="list|show|report")
    after = shared(argparse.SUPPRESS)
    listing = what.add_parser("list", help="models, a line each", parents=[after])
    listing.add_argument("detector", metavar="DETECTOR", nargs="?", help="only those that were trained for it, or that it uses")
    listing.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    show = what.add_parser("show", help="one model, in words", parents=[after])
    show.add_argument("model", metavar="MODEL", help="the model, or a detector: then the one that decides")
    report = what.add_parser("report", help="fetch its card: a page with pictures", parents=[after])
    report.add_argument("model", metavar="MODEL", help="the model, or a detector: then the one that decides")
    report.add_argument("-f", "--file", type=Path, metavar="FILE", help="where to write it (default: MODEL.html)")
    report.add_argument("--open", action="store_true", help="show it in a browser")


def run(asked: argparse.Namespace, kubectl: Kubectl) -> int:
    """Raises PluginError."""
    if asked.what == "list":
        return _list(asked, kubectl)
    model = find(kubectl, asked.model)
    return _show(asked, model) if asked.what == "show" else _report(asked, kubectl, model)


def find(kubectl: Kubectl, name: str) -> Document:
    """A model by its own name, or the one that the detector of this name decides with. Raises PluginError."""
    try:
        return kubectl.get(MODELS, name)
    except PluginError as failure:
        if failure.status is not Exit.NOT_FOUND:
            raise
    try:
        detector = kubectl.detector(name)
    except PluginError as failure:
        raise PluginError(failure.status, f"there is no model or detector {name} here") from failure
    decides = at(detector, "status", "stable", "model")
    if decides is None:
        raise PluginError(Exit.NOT_FOUND, f"no model decides for {name} yet: the statistical scorer does")
    return kubectl.get(MODELS, decides)


def _list(asked: argparse.Namespace, kubectl: Kubectl) -> int:
    found = kubectl.items(MODELS, *(["--all-namespaces"] if asked.all_namespaces else []))
    if asked.detector:
        used = _in_use(kubectl.detector(asked.detector))
        found = [
            each
            for each in found
            if at(each, "spec", "trained", "detector") == asked.detector or each["metadata"]["name"] in used
        ]
    if asked.output:
        print(documents([{"apiVersion": API_VERSION, "kind": "AnomalyModel", **each} for each in found], asked.output))
    elif found:
        print(listed(found, time.time(), namespaces=asked.all_namespaces))
    else:
        print("no models")
    return Exit.DONE


def _in_use(detector: Document) -> set[str]:
    return {name for part in ("stable", "candidate") if (name := at(detector, "status", part, "model"))}


def listed(found: list[Document], now: float, *, namespaces: bool) -> str:
    """The table, the newest first."""
    head = ("NAMESPACE", *_HEAD) if namespaces else _HEAD
    newest = sorted(found, key=lambda each: str(at(each, "metadata", "creationTimestamp")), reverse=True)
    return table(head, [((each["metadata"]["namespace"],) if namespaces else ()) + _row(each, now) for each in newest])


def _row(model: Document, now: float) -> tuple[str, ...]:
    trained = at(model, "spec", "trained") or {}
    size = at(model, "spec", "interface", "sizeBytes")
    return (
        at(model, "metadata", "name"),
        trained.get("kind") or "Imported",
        trained.get("detector") or "-",
        at(trained, "gate", "verdict") or "-",
        condition(model, "Verified").status,
        f"{trained['readings']:,}" if trained.get("readings") else "-",
        f"{size / 1024:,.0f} KiB" if size else "-",
        ",".join(at(model, "status", "usedBy") or []) or "-",
        age(at(model, "metadata", "creationTimestamp"), now),
    )


def _show(asked: argparse.Namespace, model: Document) -> int:
    if asked.output == "name":
        print(name_of(model))
    elif asked.output:
        print(structured(model, asked.output))
    else:
        told = described(model, time.time())
        width = 2 + max(len(name) for name, _ in told)
        print("\n".join(f"{name + ':':{width}}{text}" for name, text in told if text))
    return Exit.DONE


def described(model: Document, now: float) -> list[tuple[str, str]]:
    """Name and text of each line."""
    spec, trained = model["spec"], at(model, "spec", "trained") or {}
    interface, gate = spec["interface"], at(trained, "gate") or {}
    windows = ", ".join(f"{each['name']} of {each['size']} readings" for each in interface["windows"])
    figures = ", ".join(
        f"{each['window']}: {each['windows']:,} windows, loss {number(each['loss'])}, p99 {number(each['p99'])}"
        for each in trained.get("heldOut") or []
    )
    excluded = trained.get("excluded") or {}
    left_out = ", ".join(f"{excluded[name]:,} {name}" for name in ("labels", "suppressed", "alerts") if excluded.get(name))
    return [
        ("Name", at(model, "metadata", "name")),
        ("Age", age(at(model, "metadata", "creationTimestamp"), now)),
        ("Digest", spec["digest"]),
        ("Kind", trained.get("kind") or f"imported: {at(spec, 'imported', 'origin')}"),
        ("Features", ", ".join(interface["features"])),
        ("Windows", windows),
        ("Trained for", trained.get("detector") or ""),
        (
            "Data",
            f"{trained['dataFrom']} to {trained['dataTo']}: {trained['readings']:,} readings of {trained['entities']:,} entities"
            if trained
            else "",
        ),
        ("Left out", left_out),
        ("Held out", figures),
        ("Gate", f"{gate['verdict']} ({gate['reason']}): {gate['message']}" if gate else ""),
        ("Verified", _said(model, "Verified")),
        ("Used by", ", ".join(at(model, "status", "usedBy") or [])),
        ("Card", f"kubectl anomaly model report {at(model, 'metadata', 'name')}" if spec.get("report") else ""),
    ]


def _said(model: Document, name: str) -> str:
    found = condition(model, name)
    return f"{found.status} ({found.reason}): {found.message}" if found.reason else found.status


def _report(asked: argparse.Namespace, kubectl: Kubectl, model: Document) -> int:
    name, holder = model["metadata"]["name"], at(model, "spec", "report", "configMapRef", "name")
    if holder is None:
        raise PluginError(Exit.NOT_FOUND, f"{name} has no card: it was imported, or trained by an older version")
    packed = at(kubectl.get("configmaps", holder), "binaryData", CARD_FILE)
    if packed is None:
        raise PluginError(Exit.NOT_FOUND, f"ConfigMap {holder} has no {CARD_FILE}")
    where = asked.file or Path(f"{name}.html")
    try:
        where.write_bytes(gzip.decompress(base64.b64decode(packed)))
    except OSError as error:
        raise PluginError(Exit.USAGE, f"{where} cannot be written: {error.strerror or error}") from error
    print(where)
    if asked.open:
        webbrowser.open(where.resolve().as_uri())
    return Exit.DONE
