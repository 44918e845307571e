"""Factors of entities: a shared threshold means the same for machines of unequal scores, and an anomaly is still one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.calibration import WindowBaseline, WindowFactors
from anomaly_api.policy import Threshold
from anomaly_api.thresholds import window_threshold
from anomaly_detector.core.episodes.factors import EntityFactors, adjusting
from anomaly_detector.core.episodes.trailing import TrailingLevels
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.training.calibrate import calibrate, peaks
from tests.effort import examples

HOUR, DAY = 3_600_000_000, 86400.0
ENTITIES, THRESHOLD = 3, 4.0
SETTINGS = WindowFactors(after="4d", most=3.0, usual=1.0)  # a sample an hour


def seen(factors: TrailingLevels, slots: np.ndarray, times: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """[n] What decides, of windows in the order of the stream; a batch has them entity by entity."""
    order = np.argsort(slots, kind="stable")
    batch = WindowBatch("short", order, slots[order], times[order], np.zeros((len(slots), 1, 1), np.float32))
    found = np.empty_like(scores)
    found[order] = factors.adjusted(batch, scores[order], ~np.isnan(scores[order]), THRESHOLD)[0]
    return found


streams = st.lists(st.tuples(st.integers(0, ENTITIES - 1), st.sampled_from([0.3, 1.0, 3.0, 50.0, 0.0, np.nan])), max_size=100)


@examples(30)
@given(streams, st.lists(st.integers(0, 100), max_size=3), st.booleans())
def test_it_is_the_same_however_the_stream_is_cut_and_whichever_process_goes_on(stream, cuts, crash):
    slots = np.array([slot for slot, _ in stream], np.int64)
    scores = np.array([score for _, score in stream], np.float32)
    times = HOUR // 2 * (1 + np.arange(len(stream)))
    whole, factors = EntityFactors(SETTINGS, ENTITIES), EntityFactors(SETTINGS, ENTITIES)
    wanted, found = seen(whole, slots, times, scores), []
    for first, last in pairwise(sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})):
        found.append(seen(factors, slots[first:last], times[first:last], scores[first:last]))
        if crash:
            states = [factors.state(slot) for slot in range(ENTITIES)]
            factors = EntityFactors(SETTINGS, ENTITIES)
            for slot, state in enumerate(states):
                if state:
                    factors.restore(slot, state)
    if found:
        assert np.concatenate(found).tobytes() == wanted.tobytes()
    assert [factors.state(slot) for slot in range(ENTITIES)] == [whole.state(slot) for slot in range(ENTITIES)]


def alone(scores: np.ndarray) -> np.ndarray:
    return seen(EntityFactors(SETTINGS, 1), np.zeros(len(scores), np.int64), HOUR * (1 + np.arange(len(scores))), scores)


def test_a_young_entity_is_taken_as_all_are_and_an_old_one_by_its_own_measure():
    found = alone(np.full(1000, 2.0, np.float32))
    assert found[1] == pytest.approx(2.0, rel=0.02)
    assert found[96] == pytest.approx(2.0**0.5, rel=0.02)  # half of it after `after`
    assert found[-1] == pytest.approx(2.0**0.2, rel=0.05)


def test_factors_are_bounded_and_a_loud_anomaly_is_not_learned():
    assert alone(np.full(2000, 100.0, np.float32))[-1] >= 100 / 3
    scores = np.r_[np.ones(400), np.full(48, 12.0)].astype(np.float32)
    assert (alone(scores)[400:] > THRESHOLD).all()


def test_another_kind_of_adjustment_begins_anew_and_another_setting_goes_on():
    factors = adjusting(None, SETTINGS, 1)
    assert adjusting(factors, SETTINGS.model_copy(update={"most": 2.0}), 1) is factors
    other = adjusting(factors, WindowBaseline(over="1d", most=3.0, usual=1.0), 1)
    assert type(other) is TrailingLevels
    seen(other, np.zeros(1, np.int64), np.array([HOUR]), np.ones(1, np.float32))
    assert adjusting(None, SETTINGS, 1).restore(0, other.state(0)) is None


@pytest.mark.parametrize("entities", [100])
def test_unequal_machines_share_a_budget_equally_once_they_are_known(entities):
    """Scales of machines differ by a factor of two either way; without factors a few loud ones have nearly all episodes."""
    random = np.random.default_rng(1)
    scales, hours = np.exp(random.normal(0, 0.4, entities)), 40 * 24
    scores = (scales * random.gamma(4, 0.25, (hours, entities)) ** 1.2).astype(np.float32)
    slots, times = np.tile(np.arange(entities), hours), np.repeat(HOUR * (1 + np.arange(hours)), entities)
    calibrated = calibrate("short", scores[:240].ravel(), slots[: 240 * entities], times[: 240 * entities] / 1e6, 2, DAY)
    asked = Threshold.model_validate({"budget": {"episodes": 1, "per": "1w"}, "perEntity": {"after": "2d", "most": 4}})
    at = window_threshold(asked, calibrated)
    assert at.per_entity is not None
    assert at.per_entity.usual == pytest.approx(np.exp(np.log(scores).mean()), rel=0.05)
    adjusted = seen(EntityFactors(at.per_entity, entities), slots, times, scores.ravel()).reshape(hours, entities)

    def by_entity(found: np.ndarray) -> np.ndarray:
        late = found[hours // 2 :]
        level = np.quantile(late, 0.9995)
        return np.array(
            [(peaks(late[:, one].astype(float), np.zeros(len(late), np.int64), 2) > level).sum() for one in range(entities)]
        )

    before, after = by_entity(scores), by_entity(adjusted)
    assert np.sort(before)[-5:].sum() > 0.5 * before.sum()
    assert np.sort(after)[-5:].sum() < 0.35 * after.sum()
