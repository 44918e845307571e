"""What labels do to a detector: precision in the status, a threshold that moves within bounds and back, and no more."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.calibration import ThresholdSource, WindowThreshold
from anomaly_api.feedback import Feedback, FeedbackEvidence, FeedbackThreshold, RevisionFeedback
from anomaly_api.status import RevisionFeedbackStatus
from anomaly_api.tails import Tail
from anomaly_api.thresholds import with_factor
from anomaly_operator.core.feedback import feedback_view, threshold_factor
from tests.effort import examples
from tests.plan.situations import scoring_world
from tests.plan.world import World

MODEL = f"sha256:{'1' * 64}"


def read(true: int = 0, false: int = 0, missed: int = 0, *, model: str = MODEL, message: str = "") -> FeedbackEvidence:
    row = RevisionFeedback(
        revision="aaaa", model=model, episodes=true + false, true_alarms=true, false_alarms=false, missed=missed
    )
    return FeedbackEvidence(labels=true + false + missed, revisions=[row], message=message, normal_since=1_780_000_000.0)


def world(feedback: FeedbackEvidence | None, pods: int = 1, **spec: object) -> World:
    found = scoring_world()
    found.edit({"feedback": {"topic": "labels", **spec}})
    found.settle()
    found.run_pods(pods, feedback=feedback)
    found.settle()
    found.run_pods(pods, feedback=feedback)  # they take the moved threshold over
    found.settle()
    return found


def threshold(world: World) -> tuple[float, float | None]:
    [told] = world.status["thresholds"]
    return told["value"], told.get("factor")


def test_precision_by_revision_is_in_the_status() -> None:
    found = world(read(true=3, false=1))
    told = found.status["feedback"]
    assert told["labels"] == 4
    assert told["revisions"][0]["precision"] == 0.75
    assert feedback_view(found.snapshot).normal_since == 1_780_000_000.0
    assert found.condition("Ready") == ("True", "Ready")


def test_false_alarms_raise_the_threshold_and_missed_ones_lower_it_within_the_bound() -> None:
    before, none = threshold(world(read(true=3)))
    assert none is None
    for evidence, factor in ((read(false=40), 1.5), (read(missed=40), 1 / 1.5), (read(true=40, false=40), None)):
        value, told = threshold(world(evidence))
        assert told == (pytest.approx(factor, rel=1e-3) if factor else None)
        assert value == pytest.approx(before * (told or 1.0))


def test_a_moved_threshold_is_a_revision_that_labels_to_the_contrary_undo() -> None:
    found = world(read(true=3))
    before = found.status["stable"]["revision"]
    found.run_pods(1, feedback=read(false=40))
    found.settle()
    moved = found.status["stable"]["revision"]
    assert moved != before
    assert found.plan.empty or not found.plan.status  # it moves once, and not on and on
    found.run_pods(1, feedback=read(false=40, true=40))
    found.settle()
    assert found.status["stable"]["revision"] == before


def test_maxfactor_1_leaves_the_threshold_alone_and_few_labels_do() -> None:
    assert threshold(world(read(false=40), threshold={"maxFactor": 1}))[1] is None
    assert threshold(world(read(false=19)))[1] is None


def test_labels_of_another_model_move_nothing() -> None:
    assert threshold(world(read(false=40, model=f"sha256:{'2' * 64}")))[1] is None


def test_what_was_read_counts_while_no_pod_can_read() -> None:
    found = world(read(false=40))
    moved = threshold(found)
    found.run_pods(1, feedback=FeedbackEvidence(message="labels cannot be read: no such topic"))
    found.settle()
    assert threshold(found) == moved
    assert "no such topic" in found.status["feedback"]["message"]
    found.run_pods(1, feedback=None)
    found.settle()
    assert threshold(found) == moved


def test_pods_that_have_read_the_same_count_once() -> None:
    assert world(read(true=3, false=1), pods=3).status["feedback"]["labels"] == 4


def test_without_feedback_nothing_is_said_of_labels() -> None:
    found = scoring_world()
    assert "feedback" not in found.status
    assert feedback_view(found.snapshot).status is None


COUNTS = st.integers(0, 200)


@given(true=COUNTS, false=COUNTS, missed=COUNTS, more=st.integers(0, 50), most=st.floats(1, 10))
@examples(60)
def test_the_factor_is_bounded_and_rises_with_false_alarms_and_falls_with_missed_ones(true, false, missed, more, most):
    asked = Feedback(threshold=FeedbackThreshold(labels=1, max_factor=most))

    def of(true: int, false: int, missed: int) -> float:
        row = RevisionFeedbackStatus(revision="a", episodes=0, true_alarms=true, false_alarms=false, missed=missed)
        return threshold_factor(asked, [row])

    factor = of(true, false, missed)
    assert 1 / most - 1e-3 <= factor <= most + 1e-3
    if true + false + missed:
        assert of(true, false + more, missed) >= factor
        assert of(true, false, missed + more) <= factor


@given(
    first=st.floats(0.5, 2),
    second=st.floats(0.5, 2),
    shape=st.sampled_from([0.0, 0.1, 0.5]),
    scale=st.floats(0.05, 2),
)
@examples(60)
def test_a_threshold_that_was_moved_twice_is_where_one_move_would_have_put_it(first, second, shape, scale):
    tail = Tail(shape=shape, scale=scale, rarity=8.0)
    plain = WindowThreshold(
        window="short", value=0.5, source=ThresholdSource.BUDGET, asked="1/1w", expected_episodes=1.0, tail=tail
    )
    once, twice = with_factor(plain, second), with_factor(with_factor(plain, first), second)
    assert once.value == pytest.approx(twice.value)
    assert with_factor(twice, second) == twice
    back = with_factor(once, 1.0)
    assert back.factor is None
    assert back.value == pytest.approx(plain.value)
    assert once.expected_episodes is not None
    assert (once.expected_episodes <= 1) == (second >= 1) or math.isclose(second, 1.0, rel_tol=1e-6)
