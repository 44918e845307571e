"""Good documents for the contract's tests, and how to spoil them. No test."""

import copy
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def example(name: str) -> Document:
    """The first document of an example."""
    document: Document = next(yaml.safe_load_all((EXAMPLES / name).read_text(encoding="utf-8")))
    return document


def example_of_kind(name: str, kind: str) -> Document:
    """The first document of a kind."""
    return next(document for document in examples()[name] if document["kind"] == kind)


def examples() -> dict[str, list[Document]]:
    """Every example's documents, by file."""
    return {
        path.name: [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]
        for path in sorted(EXAMPLES.glob("*.yaml"))
    }


def trained_model() -> Document:
    """An AnomalyModel as a training Job makes it."""
    model = example("a-model-of-your-own.yaml")
    del model["spec"]["imported"]
    model["spec"]["artifact"] = {"configMapRef": {"name": "presses-5b1d3b1e"}}
    model["spec"]["trained"] = {
        "detector": "presses",
        "job": "presses-train-0f3a",
        "dataFrom": "2026-01-01T00:00:00Z",
        "dataTo": "2026-01-08T00:00:00Z",
        "readings": 8640,
        "entities": 20,
        "rejected": 0,
        "kind": "Autoencoder",
        "settings": {"architecture": "Dense", "layers": [64, 32, 8]},
        "seed": 1,
        "epochs": 41,
        "seconds": 4.1,
        "constantFeatures": ["stroke"],
        "heldOut": [{"window": "short", "windows": 1700, "loss": 0.021, "p99": 0.071}],
        "versions": {"torch": "2.6.0"},
        "gate": {
            "verdict": "Accepted",
            "reason": "NotWorse",
            "message": "it finds 271 of 300 put-in faults, Pca 264",
            "faults": 300,
            "found": 271,
            "windows": 850,
            "falseEpisodes": 0,
            "toleratedEpisodes": 0.1,
            "rivals": [
                {
                    "name": "Pca",
                    "found": 264,
                    "onlyRival": 4,
                    "onlyCandidate": 11,
                    "falseEpisodes": 0,
                    "pValue": 0.98,
                }
            ],
        },
    }
    model["spec"]["report"] = {"configMapRef": {"name": "presses-5b1d3b1e-card"}}
    return model


def changed(document: Document, change: Document) -> Document:
    """`document` with `change` merged in: objects key by key, None takes a key away, all else replaces.

    >>> changed({"a": {"b": 1, "c": 2}}, {"a": {"b": None, "d": [3]}})
    {'a': {'c': 2, 'd': [3]}}
    """
    merged = copy.deepcopy(document)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = changed(merged[key], value)
        else:
            merged[key] = value
    return merged
