"""Nothing of a detector makes a difference for ever between what is in git and what the API server has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.operator.running import Plant, eventually

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
GIT = ("--server-side", "--field-manager=gitops", "-f", "-")


def examples() -> list[dict[str, Any]]:
    """Every detector and model of the examples, under names of their own."""
    found = []
    for path in sorted((ROOT / "examples").glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if document and document["kind"] in ("AnomalyDetector", "AnomalyModel"):
                document["metadata"] = {**document["metadata"], "name": f"example-{len(found)}"}
                document["metadata"].pop("namespace", None)
                found.append(document)
    return found


def test_what_was_applied_once_makes_no_difference_again_not_even_after_the_operator_has_acted(served: Plant) -> None:
    documents = yaml.safe_dump_all(examples())
    served.kubectl("apply", *GIT, stdin=documents)
    once = versions(served)
    served.kubectl("apply", *GIT, stdin=documents)
    generations = {name: generation for name, (generation, _) in once.items()}
    detectors = [name for name in once if name.startswith("anomalydetector/")]

    def acted() -> bool:
        live = {each["metadata"]["name"]: each for each in served.list("anomalydetectors")}
        return len(live) == len(detectors) and all((each.get("status") or {}).get("conditions") for each in live.values())

    eventually(acted, 60)
    assert served.cluster.run("--namespace", served.namespace, "diff", *GIT, stdin=documents).stdout == ""
    served.kubectl("apply", *GIT, stdin=documents)
    assert {name: generation for name, (generation, _) in versions(served).items()} == generations


def test_the_operator_owns_nothing_but_the_status(served: Plant) -> None:
    served.kubectl("apply", *GIT, stdin=yaml.safe_dump_all(examples()[:3]))
    eventually(lambda: all((each.get("status") or {}).get("conditions") for each in served.list("anomalydetectors")), 60)
    for each in served.list("anomalydetectors"):
        live = served.kubectl("get", "anomalydetector", each["metadata"]["name"], "-o", "yaml", "--show-managed-fields")
        for entry in yaml.safe_load(live)["metadata"]["managedFields"]:
            parts = set(entry["fieldsV1"])
            assert parts <= {"f:spec", "f:metadata"} if entry["manager"] == "gitops" else parts == {"f:status"}


def versions(plant: Plant) -> dict[str, tuple[int, str]]:
    """Generation and resource version of each."""
    return {
        f"{kind}/{each['metadata']['name']}": (each["metadata"]["generation"], each["metadata"]["resourceVersion"])
        for kind in ("anomalydetector", "anomalymodel")
        for each in plant.list(kind)
    }
