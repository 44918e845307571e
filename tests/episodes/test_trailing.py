"""What has been usual for an entity lately is taken out of its scores: within bounds, and the same however the stream is cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.calibration import WindowBaseline
from anomaly_detector.core.episodes.trailing import TrailingLevels
from anomaly_detector.core.preprocess.windows import WindowBatch
from tests.effort import examples

MINUTE = 60_000_000
ENTITIES, THRESHOLD = 3, 4.0
SETTINGS = WindowBaseline(over="1d", most=3.0, usual=1.0)


def batch(slots: np.ndarray, times: np.ndarray) -> WindowBatch:
    return WindowBatch("short", np.arange(len(slots)), slots, times, np.zeros((len(slots), 1, 1), np.float32))


def seen(levels: TrailingLevels, slots: np.ndarray, times: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """[n] What decides, of windows in the order of the stream; a batch has them entity by entity."""
    order = np.argsort(slots, kind="stable")
    found = np.empty_like(scores)
    found[order] = levels.adjusted(batch(slots[order], times[order]), scores[order], ~np.isnan(scores[order]), THRESHOLD)[0]
    return found


def alone(scores: np.ndarray, settings: WindowBaseline = SETTINGS) -> np.ndarray:
    """[n] Of one entity, one window a minute."""
    return seen(TrailingLevels(settings, 1), np.zeros(len(scores), np.int64), MINUTE * (1 + np.arange(len(scores))), scores)


streams = st.lists(st.tuples(st.integers(0, ENTITIES - 1), st.sampled_from([0.5, 1.0, 3.0, 5.0, 50.0, np.nan])), max_size=120)


@examples(50)
@given(streams, st.lists(st.integers(0, 120), max_size=4), st.booleans())
def test_it_is_the_same_however_the_stream_is_cut_and_whichever_process_goes_on(stream, cuts, crash):
    slots = np.array([slot for slot, _ in stream], np.int64)
    scores = np.array([score for _, score in stream], np.float32)
    times = 7 * MINUTE * (1 + np.arange(len(stream)))
    whole, levels = TrailingLevels(SETTINGS, ENTITIES), TrailingLevels(SETTINGS, ENTITIES)
    wanted = seen(whole, slots, times, scores)
    found = []
    borders = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    for first, last in pairwise(borders):
        found.append(seen(levels, slots[first:last], times[first:last], scores[first:last]))
        if crash:
            states = [levels.state(slot) for slot in range(ENTITIES)]
            levels = TrailingLevels(SETTINGS, ENTITIES)
            for slot, state in enumerate(states):
                if state:
                    levels.restore(slot, state)
    if found:
        assert np.concatenate(found).tobytes() == wanted.tobytes()
    assert [levels.state(slot) for slot in range(ENTITIES)] == [whole.state(slot) for slot in range(ENTITIES)]


def test_whose_state_changed_is_told_and_it_changes_at_samples_only():
    levels, slots = TrailingLevels(SETTINGS, ENTITIES), np.array([0, 2])
    both = np.ones(2, np.float32), np.ones(2, bool)
    told = [levels.adjusted(batch(slots, np.full(2, at * MINUTE)), *both, THRESHOLD)[1].tolist() for at in (1, 2, 15, 16, 17)]
    assert told == [[0, 2], [], [], [0, 2], []]


def test_an_alarm_that_a_level_just_above_the_usual_ones_opened_ends():
    scores = np.r_[np.ones(1440), np.full(5 * 1440, 5.0)].astype(np.float32)
    found = alone(scores)
    assert found[1440] >= THRESHOLD
    assert found[-1] < THRESHOLD


def test_an_anomaly_of_more_than_it_forgives_stays_one_for_as_long_as_it_lasts():
    scores = np.r_[np.ones(1440), np.full(14 * 1440, 8.5)].astype(np.float32)
    assert (alone(scores)[1440:] >= THRESHOLD).all()


def test_what_is_usual_is_not_changed_and_a_quiet_entity_is_no_more_sensitive():
    scores = np.r_[np.full(3 * 1440, 0.1), np.full(60, 3.9)].astype(np.float32)
    assert np.array_equal(alone(scores), scores)


def test_a_wild_score_moves_the_level_no_more_than_a_high_one():
    high, wild = np.ones(3000, np.float32), np.ones(3000, np.float32)
    high[1000:1060], wild[1000:1060] = 5.0, 1e9
    assert alone(high)[2000:] == pytest.approx(alone(wild)[2000:])


def test_a_window_that_the_model_did_not_score_stays_as_it_is_and_moves_nothing():
    levels = TrailingLevels(SETTINGS, 1)
    scores = np.array([np.nan, 2.0], np.float32)
    found, changed = levels.adjusted(batch(np.zeros(2, np.int64), MINUTE * np.arange(1, 3)), scores, np.zeros(2, bool), THRESHOLD)
    assert found.tobytes() == scores.tobytes()
    assert not len(changed)
    assert levels.state(0) == {}
