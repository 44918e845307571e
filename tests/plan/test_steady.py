"""Pods that only count on are not planned for again; whatever else they say is looked at."""

from typing import Any

import pytest

from anomaly_api.evidence import DetectorEvidence, LossEvidence, RevisionEvidence, RevisionFailure, SourceEvidence, SourceState
from anomaly_operator.core.snapshot import Evidence
from anomaly_operator.core.steady import steady


def said(asked: float = 1015.0, **changed: Any) -> Evidence:
    facts: dict[str, Any] = {
        "pod": "pumps-0",
        "runtime": "r",
        "assignment": "a",
        "now": 1000.0,
        "source": SourceEvidence(state=SourceState.READING, partitions=4),
        "revisions": [RevisionEvidence(revision="r1", role="stable", loaded=True, windows=10)],
        "last_scored": 999.0,
    }
    return Evidence(asked={"pumps-0": asked}, detectors=(DetectorEvidence(**facts | changed),))


def test_counting_on_is_nothing_new() -> None:
    later = said(
        now=1015.0,
        last_scored=1014.0,
        windows=500,
        readings=700,
        source=SourceEvidence(state=SourceState.READING, partitions=4, lag=3, lag_seconds=0.2),
        revisions=[RevisionEvidence(revision="r1", role="stable", loaded=True, windows=500, seconds=3.0)],
        recent_losses=LossEvidence(readings=700),
    )
    assert steady(said(1000.0), later)


@pytest.mark.parametrize(
    "changed",
    [
        {"last_scored": 980.0},
        {"last_scored": None},
        {"assignment": "b"},
        {"source": SourceEvidence(state=SourceState.BROKER_UNREACHABLE, partitions=4)},
        {"source": SourceEvidence(state=SourceState.READING, partitions=3)},
        {"source": SourceEvidence(state=SourceState.READING, partitions=4, lag_seconds=60.0)},
        {"revisions": [RevisionEvidence(revision="r1", role="stable", loaded=False, failure=RevisionFailure.SCORING_FAILED)]},
        {"recent_dead_letters": 5},
        {"recent_losses": LossEvidence(late=5)},
    ],
)
def test_what_is_more_than_a_figure_is_looked_at(changed: dict[str, Any]) -> None:
    assert not steady(said(1000.0), said(**changed))


def test_pods_that_come_or_go_are_looked_at() -> None:
    assert not steady(said(), Evidence())
    assert not steady(said(), said()), "what it said before stands in for an answer"
    assert not steady(Evidence(), said())
