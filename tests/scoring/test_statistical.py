"""The fallback scorer: warms up, is robust, finds what stands out, and does not depend on how the stream is cut."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.policy import Fallback
from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, Pipeline, Time, Window
from anomaly_detector.core.columns import Batch
from anomaly_detector.core.scoring.statistical import RunningBaseline, Statistical, distances
from tests.effort import examples
from tests.windows.buffers import Buffers

PIPELINE = Pipeline(
    entity=Entity(key=Empty()),
    time=Time(),
    features=[Feature(name="a"), Feature(name="b")],
    windows=[Window(name="short", size=4, max_gap="1d")],
)


class Scorer:
    """Windows and the scorer, fed with one or several entities."""

    def __init__(self, warmup: int = 20) -> None:
        self.buffers = Buffers(PIPELINE)
        self.statistical = Statistical(Fallback(warmup=warmup), 2, self.buffers.entities)
        self.clock = 0

    def feed(self, values: np.ndarray, entity: str = "e") -> np.ndarray:
        """[n] Scores of the windows that end with each of these readings; NaN where there is none."""
        found = np.full(len(values), np.nan)
        times = (np.arange(len(values)) + self.clock) * 1_000_000
        self.clock += len(values)
        batch = Batch(
            np.arange(len(values)), np.zeros(len(values), np.int64), [entity] * len(values), times, values.astype(np.float32)
        )
        ordered, [window] = self.buffers.push(batch)
        levels = self.statistical.observe(ordered.readings)
        found[ordered.readings.rows[window.places]] = distances(window, levels).max(axis=1)
        return found


def noise(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal([20.0, 1000.0], [0.5, 30.0], (count, 2))


def test_it_says_nothing_until_the_entity_has_warmed_up() -> None:
    scores = Scorer(warmup=20).feed(noise(40))
    assert np.isnan(scores[:20]).all()
    assert not np.isnan(scores[20:]).any()


def test_noise_stays_far_below_the_threshold() -> None:
    scores = Scorer(warmup=60).feed(noise(20_000))
    assert np.nanmax(scores) < Fallback().standard_deviations


def test_a_spike_stands_out_while_it_is_in_the_window_and_no_longer() -> None:
    values = noise(300)
    values[200, 0] += 10.0
    scores = Scorer(warmup=60).feed(values)
    assert (scores[200:204] > 8.0).all()
    assert (scores[204:] < 8.0).all()


def test_a_new_level_is_unusual_and_becomes_normal() -> None:
    values = noise(1000)
    values[300:, 1] += 600.0
    scores = Scorer(warmup=60).feed(values)
    assert scores[302] > 8.0
    assert scores[-1] < 8.0


def test_outliers_while_it_warms_up_do_not_blind_it() -> None:
    values = noise(300)
    values[30:33, 0] += 500.0
    values[200:203, 0] += 20.0
    assert Scorer(warmup=60).feed(values)[203] > 8.0


def test_a_feature_that_never_changed_is_unusual_once_it_does_and_scores_stay_finite() -> None:
    values = np.tile([5.0, 0.0], (100, 1))
    values[90:] = [5.5, 1.0]
    scores = Scorer(warmup=20).feed(values)
    assert (scores[20:90] == 0.0).all()
    assert (scores[90:] > 8.0).all()
    assert np.isfinite(scores[20:]).all()


@examples(25)
@given(
    order=st.lists(st.sampled_from("abc"), min_size=30, max_size=90),
    sizes=st.lists(st.integers(1, 40), max_size=20),
    seed=st.integers(0, 99),
)
def test_levels_do_not_depend_on_batches_or_on_other_entities(order: list[str], sizes: list[int], seed: int) -> None:
    values = np.random.default_rng(seed).normal(0.0, 1.0, (len(order), 2)).astype(np.float32)
    values[len(order) // 2] *= 100

    def levels(names: list[str], rows: np.ndarray, cuts: list[int]) -> dict[int, tuple[list[float], list[float]]]:
        buffers = Buffers(PIPELINE)
        statistical = Statistical(Fallback(warmup=5), 2, buffers.entities)
        found: dict[int, tuple[list[float], list[float]]] = {}
        start, cuts = 0, [*cuts]
        while start < len(names):
            size = cuts.pop() if cuts else 11
            part = slice(start, start + size)
            mine = names[part]
            times = (rows[part] + 1) * 1_000_000
            ordered, _ = buffers.push(Batch(rows[part], np.zeros(len(mine), np.int64), mine, times, values[rows[part]]))
            seen: RunningBaseline = statistical.observe(ordered.readings)
            for place, row in enumerate(ordered.readings.rows.tolist()):
                found[row] = (seen.level[place].tolist(), seen.scale[place].tolist())
            start += size
        return found

    together = levels(order, np.arange(len(order)), sizes)
    for name in set(order):
        rows = np.array([row for row, each in enumerate(order) if each == name])
        assert levels([name] * len(rows), rows, []) == {row: together[row] for row in rows.tolist()}
