"""Counts of pods in the status: whatever restarts, what was reported is neither lost nor doubled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.evidence import DetectorEvidence, SourceEvidence, SourceState
from anomaly_api.exposure import ExposureEvidence, ExposureLedger, PeakCounts, WindowExposure, added
from anomaly_operator.core.thresholds.ledger import record, turned
from tests.effort import examples

MODEL = f"sha256:{'1' * 64}"


def exposure(episodes: int) -> WindowExposure:
    peaks = PeakCounts.of({episodes % 5: episodes})
    return WindowExposure(window="short", episodes=episodes, squares=episodes, entity_seconds=10.0 * episodes, peaks=peaks)


def told(pod: str, since: float, revision: str, windows: list[WindowExposure]) -> DetectorEvidence:
    return DetectorEvidence(
        pod=pod,
        runtime="",
        assignment="",
        now=0.0,
        source=SourceEvidence(state=SourceState.READING),
        exposure=ExposureEvidence(revision=revision, model=MODEL, since=since, windows=windows),
    )


steps = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.sampled_from("abc"), st.integers(1, 9)),
        st.tuples(st.sampled_from(["restart", "vanish"]), st.sampled_from("abc"), st.just(0)),
        st.tuples(st.sampled_from(["operator", "revision"]), st.just(""), st.just(0)),
    ),
    max_size=30,
)


@given(steps)
@examples(40)
def test_what_was_reported_is_neither_lost_nor_doubled(steps):
    ledger, revision, clock = ExposureLedger(revision="r0", model=MODEL), 0, 0.0
    pods: dict[str, tuple[float, int]] = {}
    wanted = 0
    for step, pod, number in steps:
        clock += 1
        match step:
            case "count":
                since, before = pods.get(pod, (clock, 0))
                pods[pod] = (since, before + number)
                wanted += number
            case "restart":
                pods[pod] = (clock, 0)
            case "vanish":
                pods.pop(pod, None)
            case "operator":  # it reads the status again
                ledger = ExposureLedger.model_validate(ledger.document())
            case _:
                revision += 1
                ledger = turned(ledger, f"r{revision}", MODEL)
                pods = dict.fromkeys(pods, (clock, 0))
        evidence = [told(name, since, f"r{revision}", [exposure(count)]) for name, (since, count) in pods.items() if count]
        ledger = record(ledger, evidence, set(pods))
        assert record(ledger, evidence, set(pods)) == ledger
    total = added(ledger.earlier, ledger.total)
    assert sum(each.episodes for each in total) == wanted
    assert sum(each.entity_seconds for each in total) == 10.0 * wanted
    assert sum(sum(each.peaks.counts) for each in total) == wanted
    assert len(ledger.instances) <= len(pods)


def test_a_pod_that_does_not_answer_keeps_what_it_said_and_another_model_begins_anew():
    ledger = record(ExposureLedger(revision="r0", model=MODEL), [told("a", 1.0, "r0", [exposure(3)])], {"a"})
    assert record(ledger, [], {"a"}) == ledger
    assert record(ledger, [], set()).settled == [exposure(3)]
    assert turned(ledger, "r1", f"sha256:{'2' * 64}").earlier == []
