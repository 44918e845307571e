"""What a model does not learn from: labelled, suppressed and alerted times, within a bounded share."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.alerting import Suppression
from anomaly_api.learning import Exclusion, TrainingMaximum
from anomaly_detector.core.columns import MICROSECONDS
from anomaly_detector.core.feedback.ledger import Ledger, Period
from anomaly_detector.training.data.messages import Messages
from anomaly_detector.training.data.samples import Gathering, Sample
from anomaly_detector.training.exclusion import Exclusions, Times, remaining
from tests.effort import examples
from tests.training.conftest import order, pipeline, training

START = 20_600 * 86_400
NAMES = ["pump-1", "pump-2"]
STEP, SPAN = 10, 70


def at(second: float) -> int:
    return round((START + second) * MICROSECONDS)


def windows(count: int = 100) -> tuple[Sample, Times]:
    """A window every ten seconds of each of two pumps."""
    slots = np.repeat([0, 1], count)
    times = np.tile(np.array([at(STEP * place) for place in range(count)], np.int64), 2)
    sample = Sample(np.zeros((2 * count, 8, 1), np.float32), slots, times, complete=True)
    return sample, Times(NAMES, slots, times, SPAN * MICROSECONDS)


def seconds_left(sample: Sample, slot: int) -> list[int]:
    return [int(time // MICROSECONDS) - START for time in sample.times[sample.slots == slot].tolist()]


def test_windows_that_reach_into_a_labelled_time_are_left_out_of_that_entity_alone():
    sample, times = windows()
    exclusions = Exclusions(wrong=[Period("pump-2", at(500), at(520))])
    left, told, _ = exclusions.apply(sample, times, at(10_000))
    assert seconds_left(left, 0) == [STEP * place for place in range(100)]
    gone = {STEP * place for place in range(100)} - set(seconds_left(left, 1))
    assert gone == set(range(430, 600, STEP))  # a window's length before and behind
    assert told.labels == len(gone)
    assert told.message is None


def test_alerted_times_are_kept_in_the_held_out_part():
    sample, times = windows()
    exclusions = Exclusions(alerted=[Period("pump-1", at(300), at(300)), Period("pump-1", at(900), at(900))])
    left, told, _ = exclusions.apply(sample, times, at(800))
    kept = seconds_left(left, 0)
    assert 300 not in kept
    assert 900 in kept
    assert told.alerts == 15


def test_suppressed_times_are_left_out_for_the_entities_of_the_rule():
    sample, times = windows()
    rule = Suppression.model_validate(
        {"name": "service", "from": "2026-05-27T00:05:00Z", "until": "2026-05-27T00:07:00Z", "entities": "*-1"}
    )
    start = np.datetime64("2026-05-27T00:00:00").astype("datetime64[s]").astype(int)
    assert start == START
    left, told, _ = Exclusions(suppress=[rule]).apply(sample, times, at(10_000))
    assert not set(seconds_left(left, 0)) & set(range(300, 420))
    assert 440 not in seconds_left(left, 0)  # it began while the rule held
    assert len(seconds_left(left, 1)) == 100
    assert told.suppressed > 12


def test_a_model_that_alerts_all_the_time_can_be_trained_again():
    sample, times = windows()
    always = [Period(name, at(0), at(2000)) for name in NAMES]
    left, told, remaining_exclusions = Exclusions(alerted=always, wrong=[Period("pump-1", at(100), at(100))]).apply(
        sample, times, at(10_000)
    )
    assert told.alerts == 0
    assert told.labels == 15
    assert len(left) == len(sample) - 15
    assert "alerts would take" in (told.message or "")
    assert not remaining_exclusions.alerted
    assert remaining_exclusions.wrong


def test_what_is_not_asked_for_is_not_left_out():
    ledger = Ledger("me")
    ledger.label(
        json.dumps(
            {"label": "Missed", "entity": "pump-1", "from": "2026-05-27T00:01:00Z", "until": "2026-05-27T00:02:00Z", "by": "me"}
        ).encode(),
        0,
    )
    assert Exclusions.of(ledger, [], Exclusion()).wrong
    assert not Exclusions.of(ledger, [], Exclusion(labels=False)).wrong


@given(
    periods=st.lists(st.tuples(st.integers(0, 1), st.integers(-200, 1200), st.integers(0, 300)), max_size=8),
    most=st.integers(0, 90),
)
@examples(60)
def test_what_is_left_out_is_what_touches_a_period_and_never_more_than_the_share(periods, most):
    sample, times = windows(60)
    chosen = [Period(NAMES[slot], at(begin), at(begin + length)) for slot, begin, length in periods]
    left, told, _ = Exclusions(wrong=chosen, asked=Exclusion(most_percent=most)).apply(sample, times, at(10_000))
    touching = [
        any(NAMES[slot] == each.entity and each.begin - times.span <= time <= each.end + times.span for each in chosen)
        for slot, time in zip(times.slots.tolist(), times.times.tolist(), strict=True)
    ]
    fits = sum(touching) <= len(sample) * most // 100
    assert told.labels == (sum(touching) if fits else 0)
    assert len(left) == len(sample) - told.labels


def test_a_training_that_thins_its_windows_leaves_the_same_times_out_when_it_reads_again():
    pytest.importorskip("torch")
    from anomaly_detector.training import learning

    asked = order(training=training(maximum=TrainingMaximum(windows=200), minimum={"windows": 50}), pipeline=pipeline())
    random = np.random.default_rng(1)
    values, keys = [], []
    for tick in range(400):
        for name in NAMES:
            sensors = dict(zip(("flow", "current", "speed"), random.standard_normal(3).tolist(), strict=True))
            values.append(json.dumps({"at": START + STEP * tick, "sensors": sensors}).encode())
            keys.append(name.encode())
    messages = Messages(values, keys, np.full(len(values), -1, np.int64), np.zeros(len(values), np.int64))
    gathered = Gathering(asked.pipeline, 200, seed=1)
    gathered.take(messages)
    wrong = Exclusions(wrong=[Period("pump-2", at(3700), at(3800))])
    kept = remaining(gathered, asked, wrong)
    samples, names = kept.samples, kept.names
    assert kept.excluded is not None
    assert kept.excluded.labels > 0
    [window] = asked.pipeline.windows
    learned = learning.learn(window, samples[window.name], asked.pipeline, (asked.model, asked.training), STEP, lambda _: None)
    plain = learning.held_out_scores([learned], samples, asked.pipeline, lambda: [messages])["short"]
    without = learning.held_out_scores([learned], samples, asked.pipeline, lambda: [messages], kept.left_out, names)["short"]
    assert sum(map(len, plain.times)) - sum(map(len, without.times)) == (100 + 2 * SPAN) // STEP + 1
