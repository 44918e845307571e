"""The fallback scorer says something sensible from the first hour on, whatever a feature is like, however the stream is cut."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from anomaly_api.policy import Fallback
from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, Pipeline, Time, Window
from anomaly_detector.core.columns import Batch
from anomaly_detector.core.scoring.estimators import BLOCK
from anomaly_detector.core.scoring.statistical import Statistical, departures, scores
from tests.windows.buffers import Buffers

SIZE = 12
COUNT = 3000
Values = NDArray[np.float64]


def pipeline(width: int) -> Pipeline:
    features = [Feature(name=f"f{place}") for place in range(width)]
    return Pipeline(
        entity=Entity(key=Empty()), time=Time(), features=features, windows=[Window(size=SIZE, name="w", max_gap="1d")]
    )


class Scorer:
    """Windows and the scorer, fed with one or several entities."""

    def __init__(self, width: int = 1, warmup: int = 60, deviations: float = 8.0) -> None:
        self.buffers = Buffers(pipeline(width))
        self.statistical = Statistical(Fallback(warmup=warmup), width, self.buffers.entities)
        self.deviations = deviations
        self.clock = 0

    def feed(self, values: Values, entities: list[str] | None = None, *, sparingly: bool = False) -> NDArray[np.float32]:
        """[n] Scores of the windows that end with each of these readings; NaN where there is none."""
        count = len(values)
        found = np.full(count, np.nan, np.float32)
        times = (np.arange(count) + self.clock) * 1_000_000
        self.clock += count
        names = entities or ["e"] * count
        batch = Batch(np.arange(count), np.zeros(count, np.int64), names, times, values.reshape(count, -1).astype(np.float32))
        ordered, [window] = self.buffers.push(batch)
        baseline = self.statistical.observe(ordered.readings, sparingly=sparingly)
        found[ordered.readings.rows[window.places]] = scores(departures(window, baseline, self.deviations))
        return found


def scored(values: Values, warmup: int = 60) -> NDArray[np.float32]:
    return Scorer(values.reshape(len(values), -1).shape[1], warmup).feed(values)


def noise(spread: float = 1.0, seed: int = 1) -> Values:
    return np.random.default_rng(seed).normal(0.0, spread, COUNT)


def occasional(share: float, seed: int = 1) -> Values:
    return (np.random.default_rng(seed).random(COUNT) < share).astype(float)


def cycle(period: int, height: float = 10.0) -> Values:
    return height * np.sin(np.arange(COUNT) * 2 * np.pi / period)


def changed(values: Values, begin: int, end: int | None, by: float) -> Values:
    values = values.copy()
    values[begin:end] += by
    return values


ORDINARY: dict[str, Callable[[], Values]] = {
    "normal noise of six features": lambda: np.stack([noise(seed=seed) for seed in range(6)], axis=1),
    "an error in a hundredth of the readings": lambda: occasional(0.01),
    "an error in a thousandth of the readings": lambda: occasional(0.001, seed=4),
    "zero a hundred times, then one in a fifth of the readings": lambda: np.append(np.zeros(100), occasional(0.2)),
    "small counts": lambda: np.random.default_rng(1).poisson(0.05, COUNT).astype(float),
    "a flat line": lambda: np.full(COUNT, 5.0),
    "a flat line that then moves by rounding noise": lambda: np.append(np.full(1000, 20.0), 20.0 + noise(1e-6)),
    "a flat line that then moves by its last place": lambda: np.append(np.full(1000, 0.5), 0.5 + 0.1 * occasional(0.3)),
    "rounded values": lambda: np.round(20.0 + noise(0.02), 1),
    "a counter": lambda: np.cumsum(20.0 + noise(5.0)),
    "a counter that is set back": lambda: np.append(np.cumsum(20.0 + noise(5.0)), np.cumsum(20.0 + noise(5.0, seed=2))),
    "a slow counter": lambda: np.cumsum(occasional(0.1)),
    "a random walk": lambda: np.cumsum(noise()),
    "readings an hour apart, with a daily cycle": lambda: (cycle(24) + noise(0.5))[:720],
    "a daily cycle of readings a minute apart": lambda: cycle(1440) + noise(0.5),
    "a cycle without noise": lambda: np.round(cycle(720), 2),
    "very small values": lambda: noise(1e-20),
    "very large values": lambda: 1e30 * (1.0 + noise(0.01)),
    "very different scales": lambda: np.stack([noise(1e-6), 1e9 + noise(1e4), 50.0 + noise(0.01)], axis=1),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_what_is_ordinary_of_its_kind_is_not_unusual(name: str) -> None:
    found = scored(ORDINARY[name]())
    assert np.nanmax(found) < 1.0
    assert not np.isnan(found[60:]).any()


STRANGE: dict[str, tuple[int, Callable[[], Values]]] = {
    "a spike": (1500, lambda: changed(noise(), 1500, 1501, 15.0)),
    "a spike soon after the warm-up": (100, lambda: changed(noise(), 100, 101, 15.0)),
    "a new level": (1500, lambda: changed(noise(), 1500, None, 12.0)),
    "a drop to zero": (1500, lambda: np.append(50.0 + noise()[:1500], np.zeros(100))),
    "a tenth of a percent where that is much": (1500, lambda: changed(50.0 + noise(0.005), 1500, 1510, 0.1)),
    "a flat line that jumps": (1500, lambda: changed(np.full(COUNT, 5.0), 1500, 1502, 500.0)),
    "a burst of errors where there were none": (1500, lambda: changed(np.zeros(COUNT), 1500, 1520, 40.0)),
    "a burst of errors where there were few": (1500, lambda: changed(occasional(0.01), 1500, 1520, 20.0)),
    "a spike after outliers in the warm-up": (1500, lambda: changed(changed(noise(), 30, 33, 500.0), 1500, 1501, 20.0)),
    "a counter that jumps": (1500, lambda: changed(np.cumsum(20.0 + noise(5.0)), 1500, None, 20_000.0)),
    "much more noise": (1500, lambda: np.append(noise(0.1)[:1500], noise(3.0)[:100])),
    "one of six features": (1500, lambda: changed(np.stack([noise(seed=each) for each in range(6)], axis=1), 1500, 1510, 14.0)),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_strange_is_unusual_at_once_and_not_before(name: str) -> None:
    begin, make = STRANGE[name]
    found = scored(make())
    assert np.nanmax(found[:begin]) < 1.0
    assert (found[begin : begin + 3] > 1.0).any()
    assert np.nanmax(found) < 6.0


@pytest.mark.parametrize("values", [50.0 + noise(), np.round(20.0 + noise(0.05), 1)], ids=["continuous", "rounded"])
def test_a_sensor_that_is_stuck_is_unusual_within_a_warm_up_and_becomes_normal(values: Values) -> None:
    stuck = np.append(values[:1500], np.full(4000, values[1500]))
    found = scored(stuck)
    assert np.nanmax(found[:1500]) < 1.0
    assert np.nanmax(found[1500:1560]) > 1.0
    assert found[-1] < 1.0


def test_a_feature_that_stands_still_now_and_then_is_not_stuck() -> None:
    idle = noise().reshape(-1, 100)
    idle[:, 60:] = idle[:, 60:61]
    assert np.nanmax(scored(idle.ravel())[400:]) < 1.0


def test_a_new_level_becomes_normal() -> None:
    found = scored(changed(noise(), 1500, None, 12.0))
    assert found[1502] > 1.0
    assert np.nanmax(found[1700:]) < 1.0


def test_what_comes_again_and_again_is_told_three_times_at_most() -> None:
    values = noise()
    values[200::400] += 30.0
    found = scored(values)
    assert [bool(found[place] > 1.0) for place in range(200, COUNT, 400)] == [True] * 3 + [False] * 4


def test_heavy_tails_are_learned() -> None:
    values = np.random.default_rng(1).standard_t(3, 12_000)
    found = scored(values)
    assert np.count_nonzero(found[6000:] > 1.0) < 0.005 * 6000


def test_a_feature_that_first_comes_later_is_scored_after_a_warm_up_of_its_own() -> None:
    late = np.full(COUNT, np.nan)
    late[200:] = 5.0 + noise(0.1)[200:]
    late[1500] += 5.0
    both = np.stack([noise(), late], axis=1)
    found = scored(both)
    assert np.nanmax(found[:1500]) < 1.0
    assert found[1500] > 1.0
    late[230] += 50.0
    assert np.nanmax(scored(np.stack([noise(), late], axis=1))[:260]) < 1.0


def test_what_was_filled_in_teaches_nothing() -> None:
    """A sensor whose last value is held while it is silent is not stuck."""
    values = np.stack([noise(), 5.0 + noise(seed=2)], axis=1)
    values[1500:1700, 1] = np.nan
    assert np.nanmax(scored(values)) < 1.0


def test_nothing_is_said_until_the_entity_has_warmed_up() -> None:
    for warmup in (2, 5, 12, 20, 60):
        found = scored(noise(), warmup)
        first = max(warmup, SIZE - 1)
        assert np.isnan(found[:first]).all()
        assert not np.isnan(found[first:]).any()


def test_a_score_grows_with_how_rare_a_window_is_and_never_beyond_six() -> None:
    peaks = [np.nanmax(scored(changed(noise(), 1500, 1501, far))) for far in (4, 15, 60, 240, 1e3, 1e6, 1e12, 1e30)]
    assert peaks == sorted(peaks)
    assert peaks[0] < 1.0 < peaks[1] < 2.0 < peaks[2] < peaks[3] < 6.0
    assert np.nanmax(scored(np.append(np.full(500, 1e-40), np.full(9, 3e38)))) < 6.0


def test_the_threshold_says_how_many_standard_deviations_are_unusual() -> None:
    values = changed(noise(), 1500, 1501, 8.0)
    assert np.nanmax(Scorer(deviations=6.0).feed(values)) > 1.0 > np.nanmax(Scorer(deviations=10.0).feed(values))


readings = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 1.0, 1.5, 7.25, 1e30, np.nan])), max_size=90)


@settings(max_examples=30)
@given(rows=readings, sizes=st.lists(st.integers(1, 40), max_size=20), moved=st.booleans(), sparingly=st.booleans())
def test_scores_depend_on_nothing_but_the_entitys_own_readings(
    rows: list[tuple[str, float]], sizes: list[int], moved: bool, sparingly: bool
) -> None:
    names, values = [row[0] for row in rows], np.array([[row[1], place % 7] for place, row in enumerate(rows)]).reshape(-1, 2)

    def cut(which: list[int], sizes: list[int]) -> dict[int, bytes]:
        scorer, found, start = Scorer(2, warmup=2), {}, 0
        while start < len(which):
            part = which[start : start + (sizes.pop() if sizes else 11)]
            own = scorer.feed(values[part], [names[row] for row in part], sparingly=sparingly)
            found |= {row: score.tobytes() for row, score in zip(part, own, strict=True)}
            start += len(part)
            if moved:
                slots = np.arange(scorer.buffers.entities.capacity)
                state = scorer.statistical.take(slots)
                scorer.statistical.clear(slots)
                scorer.statistical.put(slots, state)
        return found

    together = cut(list(range(len(rows))), [*sizes])
    for name in set(names):
        own = [row for row in range(len(rows)) if names[row] == name]
        assert cut(own, []) == {row: together[row] for row in own}


def test_a_baseline_that_learned_sparingly_finds_the_same() -> None:
    values = changed(noise(), 2000, 2001, 15.0)
    scorer = Scorer()
    scorer.feed(values[:1900], sparingly=True)
    found = scorer.feed(values[1900:])
    assert np.nanmax(found[:100]) < 1.0 < found[100]


def test_the_bytes_of_an_entity_are_all_counted() -> None:
    scorer = Scorer(6)
    scorer.feed(np.zeros((BLOCK, 6)))
    counted = sum(column[0].nbytes for column in scorer.statistical.take(np.array([0])).values())
    assert scorer.statistical.row_bytes == counted
