"""The gate: a model that is worse is rejected with its figures, one that is as good is let in, chance rejects hardly ever."""

from __future__ import annotations

import numpy as np
import pytest

from anomaly_api.assignment import StableModel
from anomaly_api.gate import Gate, GateMode, RivalName, Verdict
from anomaly_api.kinds import Autoencoder, Bound, Bounds, Pca
from anomaly_api.learning import ModelKind
from anomaly_api.model import Artifact, Interface, InterfaceWindow
from anomaly_api.policy import LocalReference
from anomaly_api.source import Feature, Window
from anomaly_detector.core.columns import MICROSECONDS
from anomaly_detector.core.scoring.artifact import Manifest, artifact_digest, pack
from anomaly_detector.training.data.samples import Sample
from anomaly_detector.training.gate.faults import STRENGTHS, FaultKind, altered, put_into_series, put_into_windows
from anomaly_detector.training.gate.verdict import Judged, Record, verdict
from tests.training.conftest import order, pipeline, training

pytest.importorskip("torch")

from anomaly_detector.training import learning
from anomaly_detector.training.gate.judge import CANDIDATE, Judgement, judge
from anomaly_detector.training.gate.rivals import STABLE_ENV

SIZE = 8
WINDOW = Window(name="short", size=SIZE, max_gap="1m")
FEATURES = [Feature(name=name) for name in ("flow", "current", "speed")]
PIPELINE = pipeline(windows=[WINDOW], features=FEATURES)
AUTOENCODER = ModelKind(autoencoder=Autoencoder(layers=[16, 3]))


def machine(readings: int, seed: int = 0) -> np.ndarray:
    """[readings, 3] of sensors that follow one load."""
    random = np.random.default_rng(seed)
    load = 1 + 0.2 * np.sin(np.arange(readings) / 15)
    values = np.stack([100 * load, 12 * load**2, 1500 * load], axis=1)
    return (values * (1 + 0.01 * random.standard_normal(values.shape))).astype(np.float32)


def broken(values: np.ndarray, until: int) -> np.ndarray:
    """The same with wild readings in most windows of the older part: who learns from them takes them for normal."""
    random = np.random.default_rng(5)
    worse = values.copy()
    rows = random.choice(until, until // 3, replace=False)
    worse[rows, random.integers(3, size=len(rows))] *= random.uniform(0.3, 2.5, len(rows)).astype(np.float32)
    return worse


def sample(values: np.ndarray) -> Sample:
    windows = np.ascontiguousarray(np.moveaxis(np.lib.stride_tricks.sliding_window_view(values, SIZE, axis=0), -1, 1))
    times = (10 * MICROSECONDS * (np.arange(len(windows)) + SIZE)).astype(np.int64)
    return Sample(windows, np.zeros(len(windows), np.int64), times, complete=True)


def learned(values: np.ndarray, model: ModelKind = AUTOENCODER, epochs: int = 25) -> learning.Learned:
    return learning.learn(WINDOW, sample(values), PIPELINE, (model, training(epochs=epochs)), 10.0, lambda _: None)


def packed(model: learning.Learned, values: np.ndarray) -> bytes:
    scores = learning.held_out_scores([model], {"short": sample(values)}, PIPELINE, list)
    found = learning.calibrations([model], scores)
    interface = Interface(features=[each.name for each in FEATURES], windows=[InterfaceWindow(name="short", size=SIZE)])
    return pack(Manifest(interface=interface, calibration=found), {"short": model.graph.content})


def judged(made: learning.Learned, values: np.ndarray, **asked: object) -> Judgement:
    found = judge(order(pipeline=PIPELINE, **{"model": AUTOENCODER, **asked}), [made], {"short": sample(values)})
    assert found is not None
    return found


@pytest.fixture(scope="module")
def healthy() -> np.ndarray:
    return machine(3000)


@pytest.fixture(scope="module")
def good(healthy: np.ndarray) -> learning.Learned:
    return learned(healthy)


@pytest.fixture
def stable(good: learning.Learned, healthy: np.ndarray, tmp_path, monkeypatch: pytest.MonkeyPatch) -> StableModel:
    """The good model in use, mounted as the operator mounts it."""
    archive = packed(good, healthy)
    (tmp_path / "model.tar").write_bytes(archive)
    monkeypatch.setenv(STABLE_ENV, str(tmp_path))
    artifact = Artifact(config_map_ref=LocalReference(name="pumps-1"))
    return StableModel(name="pumps-1", digest=artifact_digest(archive), artifact=artifact)


def record(found: np.ndarray, false_episodes: int = 0, tolerated: float = 1.0) -> Record:
    return Record(found, false_episodes, tolerated)


# -- the verdict


def test_a_model_that_finds_the_same_faults_is_accepted() -> None:
    found = np.arange(300) % 3 > 0
    report = verdict(Judged(record(found), {RivalName.STABLE: record(found)}, 500), Gate())
    assert (report.verdict, report.reason) == (Verdict.ACCEPTED, "NotWorse")


def test_a_model_that_misses_many_faults_that_the_other_finds_is_rejected_with_the_figures() -> None:
    stable, candidate = np.arange(300) < 270, np.arange(300) < 120
    report = verdict(Judged(record(candidate), {RivalName.STABLE: Record(stable, 0, 1.0, "pumps-1")}, 500), Gate())
    assert (report.verdict, report.reason) == (Verdict.REJECTED, "MissesFaults")
    assert "it misses faults that AnomalyModel pumps-1 finds: it finds 120 of 300 put-in faults" in report.message
    [rival] = report.rivals or []
    assert (rival.only_rival, rival.only_candidate, rival.found) == (150, 0, 270)


def test_a_few_faults_less_are_within_the_margin() -> None:
    stable, candidate = np.arange(300) < 150, np.arange(300) < 140
    rivals = {RivalName.STABLE: record(stable)}
    assert verdict(Judged(record(candidate), rivals, 500), Gate()).verdict is Verdict.ACCEPTED
    strict = Gate(margin_percent=0, significance=0.05)
    assert verdict(Judged(record(candidate), rivals, 500), strict).verdict is Verdict.REJECTED


def test_false_episodes_beyond_the_budget_that_the_other_does_not_have_are_a_reason() -> None:
    found = np.ones(300, bool)
    rivals = {RivalName.STABLE: record(found, 1)}
    report = verdict(Judged(record(found, 20), rivals, 500), Gate())
    assert (report.verdict, report.reason) == (Verdict.REJECTED, "FalseEpisodes")


def test_what_the_other_tells_of_as_often_is_no_false_episode_of_the_new_one() -> None:
    found = np.ones(300, bool)
    rivals = {RivalName.STABLE: record(found, 18)}
    assert verdict(Judged(record(found, 20), rivals, 500), Gate()).verdict is Verdict.ACCEPTED


def test_too_little_to_judge_by_is_no_verdict() -> None:
    found = np.ones(300, bool)
    report = verdict(Judged(record(~found), {RivalName.STABLE: record(found)}, 12), Gate())
    assert (report.verdict, report.reason) == (Verdict.NOT_JUDGED, "TooLittleData")


def test_a_model_as_good_as_its_rivals_is_hardly_ever_rejected_by_chance() -> None:
    """2000 judgements of models that find each fault with the same chance, without a margin to help."""
    random, gate = np.random.default_rng(1), Gate(margin_percent=0, significance=0.05)
    rejected = 0
    for _ in range(2000):
        chance = random.uniform(0.2, 0.9, 300)
        drawn = [record(random.random(300) < chance, int(random.poisson(3)), 3.0) for _ in range(3)]
        rivals = {RivalName.STABLE: drawn[1], RivalName.PCA: drawn[2]}
        rejected += verdict(Judged(drawn[0], rivals, 500), gate).verdict is Verdict.REJECTED
    assert rejected / 2000 <= 0.05


# -- the faults


@pytest.mark.parametrize("kind", FaultKind)
def test_a_fault_changes_what_its_kind_says(kind: FaultKind) -> None:
    healthy = np.sin(np.arange(12) / 2)
    changed = altered(healthy, kind, 2, 1.0, 12, -healthy, 1) - healthy
    expected = {
        FaultKind.SPIKE: np.r_[8.0, np.zeros(11)],
        FaultKind.LEVEL_SHIFT: np.full(12, 8.0),
        FaultKind.DRIFT: 8.0 * np.arange(1, 13) / 12,
        FaultKind.STUCK: healthy[0] - healthy,
        FaultKind.CORRELATION_BREAK: -2 * healthy,
    }
    assert changed == pytest.approx(expected[kind])


def test_faults_of_all_kinds_and_strengths_are_put_into_windows_the_same_for_a_seed(healthy: np.ndarray) -> None:
    windows, spread = sample(healthy).values, healthy.std(axis=0)
    first, second = (put_into_windows(windows, spread, 300, 7) for _ in range(2))
    assert first.faults == second.faults
    assert first.values.tobytes() == second.values.tobytes()
    assert {(fault.kind, fault.strength) for fault in first.faults} == {
        (kind, strength) for kind in FaultKind for strength in range(len(STRENGTHS))
    }
    assert (first.values != windows[first.places]).any(axis=(1, 2)).mean() > 0.99


def test_a_feature_that_never_moves_gets_no_fault(healthy: np.ndarray) -> None:
    faulty = put_into_windows(sample(healthy).values, np.array([1.0, 0.0, 1.0]), 100, 7)
    assert {feature for fault in faulty.faults for feature in fault.features} == {0, 2}
    assert put_into_windows(sample(healthy).values, np.zeros(3), 100, 7).faults == []


def test_faults_in_series_are_where_the_marks_are(healthy: np.ndarray) -> None:
    rows = [np.arange(0, 1500), np.arange(1500, 3000)]
    faulty, marks = put_into_series(healthy, rows, healthy.std(axis=0), 30, 20, 3)
    changed = (faulty != healthy).any(axis=1)
    assert 50 < marks.sum() < 600
    assert not (changed & ~marks).any()


# -- models


def test_a_model_like_the_one_in_use_is_accepted(good: learning.Learned, healthy: np.ndarray, stable: StableModel) -> None:
    found = judged(good, healthy, stable=stable)
    assert found.report.verdict is Verdict.ACCEPTED
    assert [rival.name for rival in found.report.rivals or []] == [RivalName.STABLE, RivalName.PCA]
    assert found.report.rivals[0].found == found.report.found
    assert found.report.found > 0.3 * found.report.faults


def test_a_model_that_learned_anomalies_is_rejected(healthy: np.ndarray, stable: StableModel) -> None:
    worse = broken(healthy, 2100)
    found = judged(learned(worse), healthy, stable=stable)
    assert (found.report.verdict, found.report.reason) == (Verdict.REJECTED, "MissesFaults")
    assert "AnomalyModel pumps-1" in found.report.message


def test_a_model_in_use_that_is_gone_or_changed_is_not_compared_and_said_so(
    good: learning.Learned, healthy: np.ndarray, stable: StableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = stable.model_copy(update={"digest": f"sha256:{'0' * 64}"})
    assert (
        "pumps-1 was not compared: it cannot be read (the archive has digest"
        in judged(good, healthy, stable=changed).report.message
    )
    monkeypatch.setenv(STABLE_ENV, "/nowhere")
    found = judged(good, healthy, stable=stable)
    assert "pumps-1 was not compared" in found.report.message
    assert [rival.name for rival in found.report.rivals or []] == [RivalName.PCA]


def test_a_pca_is_not_compared_with_another_one(healthy: np.ndarray) -> None:
    asked = ModelKind(pca=Pca())
    found = judged(learned(healthy, asked), healthy, model=asked)
    assert (found.report.verdict, found.report.reason) == (Verdict.ACCEPTED, "NothingToCompareWith")


def test_faults_are_told_by_kind_and_strength_for_each_model(good: learning.Learned, healthy: np.ndarray) -> None:
    [window] = judged(good, healthy).windows
    assert set(window.found) == {CANDIDATE, RivalName.PCA}
    shifts = [place for place, fault in enumerate(window.faults) if (fault.kind, fault.strength) == (FaultKind.LEVEL_SHIFT, 2)]
    assert window.found[CANDIDATE][shifts].mean() > 0.9


def test_bounds_are_not_judged_and_nothing_is_when_the_gate_is_off(good: learning.Learned, healthy: np.ndarray) -> None:
    bounds = ModelKind(bounds=Bounds(features=[Bound(name="flow", max=200)]))
    assert judged(good, healthy, model=bounds).report.reason == "NothingLearned"
    off = order(pipeline=PIPELINE, training=training(gate=Gate(mode=GateMode.OFF)))
    assert judge(off, [good], {"short": sample(healthy)}) is None
