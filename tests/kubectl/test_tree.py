"""The tree of `kubectl anomaly status`, of statuses that the real plan wrote. `python -m tests.kubectl.test_tree` records."""

import re
from pathlib import Path

import pytest

from kubectl_anomaly.commands.history import entries, shown
from kubectl_anomaly.tree import Family, draw
from tests.kubectl.phases import STORIES, detector
from tests.plan.world import START, World

RECORDED = Path(__file__).parent / "trees"
LATER = START + 3 * 86400


def drawn(world: World) -> str:
    kinds = {kind.kind for kind, _ in world.children}
    assert kinds or not world.status
    family = Family(detector(world), list(world.pods.values()), [_model(each) for each in world.models.values()])
    return draw(family, LATER) + "\n"


def _model(document: dict) -> dict:
    return {"kind": "AnomalyModel", **document}


@pytest.mark.parametrize("phase", STORIES)
def test_a_detector_is_drawn_as_recorded_in_every_phase(phase: str) -> None:
    assert drawn(STORIES[phase]()) == (RECORDED / f"{phase}.txt").read_text()


def test_colours_only_colour() -> None:
    family = Family(detector(STORIES["ready"]()))
    coloured = draw(family, LATER, colour=True)
    assert "\x1b[32m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == draw(family, LATER)


def test_what_was_realised_of_a_budget_stands_beside_what_was_asked() -> None:
    shown = {"window": "short", "value": 0.0182, "source": "Budget", "asked": "1/1w", "expectedEpisodes": 1}
    realised = {"rate": 0.8, "low": 0.2, "high": 2.1, "episodes": 3, "entitySeconds": 1e6}
    for known, said in (({**realised, "entitySeconds": 0}, "expected 1"), (realised, "realised 0.8: between 0.2 and 2.1")):
        document = {"metadata": {"name": "pumps"}, "status": {"thresholds": [{**shown, "realised": known}]}}
        assert f"short 0.0182 (Budget 1/1w, {said})" in draw(Family(document), LATER)


def history(world: World) -> str:
    records = [{**live, "kind": kind.kind} for (kind, _), live in world.children.items() if kind.kind == "ControllerRevision"]
    return shown(entries(detector(world), records), LATER) + "\n"


def test_the_history_names_what_became_of_each_revision() -> None:
    assert history(STORIES["aborted"]()) == (RECORDED / "history.txt").read_text()


@pytest.mark.parametrize("printed", ["shadowed", "history"])
def test_the_docs_show_what_is_printed(printed: str) -> None:
    docs = (Path(__file__).resolve().parents[2] / "docs" / "kubectl.md").read_text()
    assert f"```\n{(RECORDED / f'{printed}.txt').read_text()}```" in docs


if __name__ == "__main__":
    (RECORDED / "history.txt").write_text(history(STORIES["aborted"]()))
    for name, story in STORIES.items():
        (RECORDED / f"{name}.txt").write_text(drawn(story()))
