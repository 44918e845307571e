"""Every member of every union can be changed to every other one, by every way in which people change a spec, there and back.

And a list with a default can be owned by somebody else: nothing that nobody asked for stays beside what is applied.
"""

from __future__ import annotations

import json
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from anomaly_api.crd import absence_is_default
from tests.contract.documents import Document, changed, example
from tests.contract.schemas import nodes, schema_of, written
from tests.contract.unions import ABSENT, Union, base, length, tour, unions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dev.environment.cluster.control_plane import Cluster

    Change = Callable[[list[Document]], dict[str, Document]]
    """Changes the live detectors into documents, as a user would, and returns what is live then, by name."""

UNIONS = unions()
OUTER = [union for union in UNIONS if not union.nested]
NAMESPACE = "unions"
DETECTORS = 12
"""Detectors that are changed by one command: it is the commands that take time."""


def test_the_schema_fills_in_no_member_of_a_union_and_no_item_of_a_shared_list() -> None:
    filled = [
        written(path) for path, node in nodes(schema_of("AnomalyDetector")) if "default" in node and absence_is_default(node)
    ]
    assert filled == []


def test_the_unions_are_found() -> None:
    assert {"spec.entity", "spec.model", "spec.training.data", "spec.threshold", "spec.modelStore"} < {
        union.title for union in UNIONS
    }


@pytest.mark.parametrize("union", UNIONS, ids=lambda union: union.title)
def test_a_tour_shows_every_change(union: Union) -> None:
    visits = list(islice(tour(union), length(union)))
    shown = set(pairwise(visits))
    assert shown == {(before, after) for before in union.states for after in union.states if before != after}


@pytest.fixture
def plant(with_crds: Cluster) -> Iterator[Cluster]:
    """The API server with a namespace of one test's own."""
    with_crds.kubectl("create", "namespace", NAMESPACE)
    yield with_crds
    with_crds.kubectl("delete", "namespace", NAMESPACE)


def _state(union: Union, step: int) -> str:
    return next(islice(tour(union), step, None))


def _walk(change: Change, together: list[Union], *, whole: bool = True) -> None:
    """Several detectors at once, each of which goes a part of the unions' tours; `whole`: all of it, else the beginnings."""
    start = base(without=together[0] if together[0].nested else None)
    part = -(-max(map(length, together)) // DETECTORS)
    for step in range(part + 1 if whole else 3):
        documents = {}
        for number in range(DETECTORS):
            document = changed(start, {"metadata": {"name": f"pumps-{number}"}})
            for union in together:
                document = union.put(document, _state(union, number * part + step))
            documents[document["metadata"]["name"]] = document
        live = change(list(documents.values()))
        assert len(live) == DETECTORS
        for name, document in documents.items():
            assert {union.title: union.state(live[name]) for union in together} == {
                union.title: union.state(document) for union in together
            }


def _applied(cluster: Cluster, *how: str) -> Change:
    def change(documents: list[Document]) -> dict[str, Document]:
        cluster.kubectl("apply", f"--namespace={NAMESPACE}", *how, "-f", "-", stdin=yaml.safe_dump_all(documents))
        return _live(cluster)

    return change


def _live(cluster: Cluster) -> dict[str, Document]:
    items = json.loads(cluster.kubectl("get", "adet", f"--namespace={NAMESPACE}", "-o", "json"))["items"]
    return {item["metadata"]["name"]: item for item in items}


def _upgraded(cluster: Cluster, folder: Path) -> Change:
    (folder / "templates").mkdir()
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: pumps\nversion: 0.1.0\n", encoding="utf-8")

    def change(documents: list[Document]) -> dict[str, Document]:
        (folder / "templates" / "pumps.yaml").write_text(yaml.safe_dump_all(documents), encoding="utf-8")
        cluster.helm("upgrade", "--install", "pumps", str(folder), "--namespace", NAMESPACE)
        return _live(cluster)

    return change


def _kustomized(cluster: Cluster, folder: Path) -> Change:
    """Detectors without any union are the base; an overlay puts them in."""
    bare = [changed(base(), {"metadata": {"name": f"pumps-{number}"}}) for number in range(DETECTORS)]
    (folder / "base").mkdir()
    (folder / "base" / "pumps.yaml").write_text(yaml.safe_dump_all(bare), encoding="utf-8")
    (folder / "base" / "kustomization.yaml").write_text("resources: [pumps.yaml]\n", encoding="utf-8")
    (folder / "overlay").mkdir()
    kustomization = {"resources": ["../base"], "patches": [{"path": "patch.yaml"}], "namespace": NAMESPACE}
    (folder / "overlay" / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")

    def change(documents: list[Document]) -> dict[str, Document]:
        (folder / "overlay" / "patch.yaml").write_text(yaml.safe_dump_all(documents), encoding="utf-8")
        cluster.kubectl("apply", "-k", str(folder / "overlay"))
        return _live(cluster)

    return change


@pytest.mark.integration
@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["apply", "apply --server-side"])
def test_every_member_becomes_every_other_one(plant: Cluster, how: tuple[str, ...]) -> None:
    _walk(_applied(plant, *how), OUTER)
    for union in UNIONS:
        if union.nested:
            _walk(_applied(plant, *how), [union])


@pytest.mark.integration
@pytest.mark.parametrize("tool", [_upgraded, _kustomized], ids=["helm upgrade", "kustomize"])
def test_members_change_by_other_tools(plant: Cluster, tmp_path: Path, tool: Callable[[Cluster, Path], Change]) -> None:
    _walk(tool(plant, tmp_path), OUTER, whole=False)


LISTS: dict[tuple[str, ...], tuple[Any, Any]] = {
    ("windows",): ({"name": "early"}, {"name": "late", "size": 60}),
    ("alerts", "severities"): ({"name": "low", "above": 0.5}, {"name": "high", "above": 1}),
}


def _listed(path: tuple[str, ...], *items: Any) -> Document:
    document: Any = list(items)
    for step in reversed(("spec", *path)):
        document = {step: document}
    return changed({key: value for key, value in example("shortest.yaml").items() if key != "spec"}, document)


def _names(live: Document, path: tuple[str, ...]) -> list[str]:
    value: Any = live["spec"]
    for step in path:
        value = value.get(step, {})
    return [item["name"] for item in value]


@pytest.mark.integration
@pytest.mark.parametrize("path", LISTS, ids=".".join)
def test_a_second_owner_of_a_list_finds_nothing_that_nobody_asked_for(plant: Cluster, path: tuple[str, ...]) -> None:
    first, second = LISTS[path]
    mine, theirs = (_applied(plant, "--server-side", f"--field-manager={name}") for name in ("mine", "theirs"))
    shortest = example("shortest.yaml")

    def names(change: Change, document: Document) -> list[str]:
        return _names(change([document])["pumps"], path)

    assert names(mine, shortest) == []
    assert names(theirs, _listed(path, first)) == [first["name"]]
    assert names(mine, changed(shortest, _listed(path, second))) == [first["name"], second["name"]]
    assert names(theirs, _listed(path, first)) == [first["name"], second["name"]]
    nothing = {key: value for key, value in _listed(path, first).items() if key != "spec"}
    assert names(theirs, nothing) == [second["name"]]


def test_what_is_absent_is_read_as_the_default_that_its_description_names() -> None:
    for union in UNIONS:
        if ABSENT in union.states and len(union.path) < 4:
            described = _described(union.path)
            assert "Unset: " in described, f"{union.title} does not say what counts when it is left out: {described}"


def _described(path: tuple[Any, ...]) -> str:
    schema = schema_of("AnomalyDetector")
    for step in path:
        schema = schema["items"] if isinstance(step, int) else schema["properties"][step]
    return str(schema["description"])
