"""The model card: one page that fetches nothing, shows what it promises, bears wild names and stays small."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from anomaly_detector.cli.__main__ import main
from anomaly_detector.training.gate.verdict import poisson_tail

pytest.importorskip("torch")

from anomaly_detector.training.card import page
from anomaly_detector.training.card.figures import poisson_interval

SPEC = """# A spec for `fit`.
apiVersion: anomaly-operator.dev/v1alpha1
kind: AnomalyDetector
metadata: {name: pumps}
spec:
  source: {kafka: {bootstrapServers: "kafka:9092", topic: pumps}}
  time: {field: at, format: UnixSeconds}
  features: [{name: flow}, {name: current}, {name: speed}]
  training: {epochs: 8}
"""


def readings(count: int = 1500) -> str:
    random = np.random.default_rng(1)
    lines = ["at,key,flow,current,speed"]
    for entity in ("pump-1", "<b>pump & 2</b>"):
        load = 1 + 0.2 * np.sin(np.arange(count) / 15)
        values = np.stack([100 * load, 12 * load**2, 1500 * load], axis=1) * (1 + 0.01 * random.standard_normal((count, 3)))
        lines += [f'{1_767_225_600 + 10 * place},"{entity}",{a:.4f},{b:.4f},{c:.4f}' for place, (a, b, c) in enumerate(values)]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `fit` has written."""
    folder = tmp_path_factory.mktemp("fit")
    (folder / "spec.yaml").write_text(SPEC)
    (folder / "data.csv").write_text(readings())
    assert main(["fit", str(folder / "spec.yaml"), str(folder / "data.csv"), "--to", str(folder / "model")]) == 0
    return folder / "model"


@pytest.fixture(scope="module")
def card(fitted: Path) -> str:
    return (fitted / "card.html").read_text(encoding="utf-8")


def test_fit_writes_the_card_beside_the_model(fitted: Path) -> None:
    assert sorted(path.name for path in fitted.iterdir()) == ["card.html", "manifest.json", "model.tar"]


def test_the_card_has_no_scripts_and_fetches_nothing(card: str) -> None:
    assert not re.search(r"<script|<link|<img|src=|href=|url\(|@import|https?://", card)


def test_the_card_shows_everything_that_one_asks_of_a_model(card: str) -> None:
    for asked in (
        *("Gate", "put-in faults", "a PCA of the same data", "CorrelationBreak", "LevelShift"),
        *("Loss", "held-out windows", "Errors by feature", "The strangest held-out windows"),
        *("False episodes to be expected", "(95 %)", "Drift reference", "threshold", "onnxruntime"),
    ):
        assert asked in card, asked


def test_every_picture_is_well_formed(card: str) -> None:
    pictures = re.findall(r"<svg.*?</svg>", card, re.DOTALL)
    assert len(pictures) > 10
    for picture in pictures:
        ElementTree.fromstring(picture)
        assert "nan" not in picture


def test_names_of_entities_are_text_and_no_markup(card: str) -> None:
    assert "<b>pump" not in card
    assert "&lt;b&gt;pump &amp; 2" in card


def test_the_card_fits_into_a_config_map_many_times(card: str) -> None:
    assert len(gzip.compress(card.encode())) < 64 * 1024 < page.MAX_BYTES


@pytest.mark.parametrize("seen", [0, 1, 5, 40])
def test_the_interval_of_a_count_has_two_and_a_half_percent_on_either_side(seen: int) -> None:
    low, high = poisson_interval(seen)
    assert 1 - poisson_tail(seen + 1, high) == pytest.approx(0.025, abs=1e-4)
    assert low == 0 if seen == 0 else poisson_tail(seen, low) == pytest.approx(0.025, abs=1e-4)
