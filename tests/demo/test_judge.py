"""How alerts are held against known anomalies."""

import numpy as np
import pytest

from dev.demo.judge import Opened, Stretch, Verdict, joined, judge, percentile
from dev.demo.recording import Anomaly, Recording

RECORDING = Recording(("a", "b"), ("x",), 0.0, 60.0, np.zeros((1000, 2, 1)), (2,))
STRETCH = Stretch(first=100, end=900, grace=12)


def verdict(anomalies: list[Anomaly], opened: list[Opened]) -> Verdict:
    return judge(RECORDING, anomalies, opened, STRETCH)


@pytest.mark.parametrize(
    ("tick", "found"),
    [(199, False), (200, True), (219, True), (220, True), (231, True), (232, False)],
)
def test_an_alert_finds_an_anomaly_from_its_first_reading_until_no_window_holds_any_of_it(tick: int, found: bool) -> None:
    outcome = verdict([Anomaly("spike", "a", 200, 220)], [Opened("a", tick)])

    assert (outcome.findings[0].alert is not None) is found
    assert len(outcome.false) == (0 if found else 1)


def test_an_alert_about_another_entity_finds_nothing_and_is_false() -> None:
    outcome = verdict([Anomaly("spike", "a", 200, 220)], [Opened("b", 205)])

    assert outcome.findings[0].alert is None
    assert outcome.false == (Opened("b", 205),)


def test_an_episode_that_was_open_before_the_anomaly_does_not_find_it() -> None:
    outcome = verdict([Anomaly("spike", "a", 200, 220)], [Opened("a", 150)])

    assert outcome.findings[0].alert is None
    assert len(outcome.false) == 1


def test_further_alerts_about_the_same_anomaly_are_not_false_and_the_first_one_counts() -> None:
    outcome = verdict([Anomaly("drift", "a", 200, 260)], [Opened("a", 240), Opened("a", 210)])

    assert outcome.findings[0].delay == 10
    assert outcome.false == ()


def test_anomalies_that_are_not_over_are_not_judged_but_explain_alerts() -> None:
    outcome = verdict([Anomaly("drift", "a", 880, 895)], [Opened("a", 885)])

    assert outcome.findings == ()
    assert outcome.false == ()


def test_alerts_outside_of_the_stretch_do_not_count() -> None:
    assert verdict([], [Opened("a", 99), Opened("a", 900)]).false == ()


def test_false_alerts_are_told_per_entity_and_day_of_event_time() -> None:
    outcome = verdict([], [Opened("a", 300)])

    assert outcome.entity_days == pytest.approx(2 * 800 * 60 / 86_400)
    assert outcome.false_per_entity_day == pytest.approx(1 / outcome.entity_days)


def test_labelled_stretches_less_than_a_window_apart_are_one_anomaly() -> None:
    parts = [Anomaly("k", "a", 100, 110), Anomaly("k", "b", 112, 115), Anomaly("k", "a", 115, 130), Anomaly("k", "a", 150, 160)]

    assert joined(parts, 12) == [Anomaly("k", "a", 100, 130), Anomaly("k", "b", 112, 115), Anomaly("k", "a", 150, 160)]


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([5.0, 1.0, 3.0], 0.5) == 3.0
    assert percentile([float(n) for n in range(100)], 0.99) == 99.0
    assert np.isnan(percentile([], 0.5))
