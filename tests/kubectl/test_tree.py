"""The tree of `kubectl anomaly status`, of statuses that the real plan wrote. `python -m tests.kubectl.test_tree` records."""

import re
from pathlib import Path

import pytest

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


if __name__ == "__main__":
    for name, story in STORIES.items():
        (RECORDED / f"{name}.txt").write_text(drawn(story()))
