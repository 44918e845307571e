"""A candidate in shadow is compared with the stable revision on the same windows, and changes none of its decisions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.assignment import Revision
from anomaly_api.calibration import ThresholdSource, WindowThreshold
from anomaly_api.evidence import RevisionEvidence, RevisionFailure
from anomaly_api.source import Window
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.revisions import LoadedRevision
from tests.effort import examples
from tests.pipeline.test_stream import SOURCE, by_model, messages, story
from tests.scoring.graphs import distance_graph
from tests.stream.pods import PIPELINE, revision

PAIR = PIPELINE.model_copy(
    update={"windows": [Window(name="short", size=4, every=3, max_gap="20s"), Window(name="long", size=9, max_gap="20s")]}
)


def candidate(size: int = 6, every: int = 1, threshold: float = 5.0) -> Revision:
    window = Window(name="short", size=size, every=every, max_gap="20s")
    return revision(PIPELINE.model_copy(update={"windows": [window]}), threshold=threshold)


def told(pipeline: DetectionPipeline, sizes: list[int], shadows: dict[int, LoadedRevision | None]) -> list[bytes]:
    """The alerts of a story cut into batches of these sizes; `shadows`: which candidate comes before which batch."""
    rows, found, number = story(length=120), [], 0
    while rows:
        if number in shadows:
            assert pipeline.adopt(pipeline.stable.loaded, shadows[number]) == []
        size = sizes[number % len(sizes)]
        found += [alert.value for alert in pipeline.process(messages(rows[:size])).alerts]
        rows, number = rows[size:], number + 1
    return found


def strict() -> list[WindowThreshold]:
    return [WindowThreshold(window="short", value=1e6, source=ThresholdSource.VALUE, asked="1e6")]


def paired(evidence: RevisionEvidence) -> dict[str, tuple[int, int, int, int]]:
    return {each.window: (each.both, each.only_stable, each.only_candidate, each.neither) for each in evidence.paired}


@examples(25)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    shadows=st.dictionaries(
        st.integers(0, 12),
        st.none()
        | st.builds(lambda size, every: LoadedRevision(candidate(size, min(size, every))), st.integers(2, 30), st.integers(1, 4)),
        max_size=5,
    ),
)
def test_alerts_are_the_same_with_and_without_candidates_in_shadow(
    sizes: list[int], shadows: dict[int, LoadedRevision | None]
) -> None:
    stable, quota = LoadedRevision(revision(PAIR, threshold=5.0)), MemoryQuota(4_000, 1, 30.0)
    alone = told(DetectionPipeline(SOURCE, stable, quota), sizes, {})
    assert alone, "there is something to change"
    assert told(DetectionPipeline(SOURCE, stable, quota), sizes, shadows) == alone


def test_windows_of_both_are_counted_by_which_of_them_was_above() -> None:
    pipeline = DetectionPipeline(SOURCE, by_model(revision(threshold=100.0)))
    strict = by_model(revision(threshold=1000.0))
    pipeline.adopt(pipeline.stable.loaded, strict)
    outcome = pipeline.process(messages(story("a")))
    stable, shadow = pipeline.evidence()
    assert (stable.role, shadow.role, shadow.loaded) == ("stable", "candidate", True)
    both, only_stable, only_candidate, neither = paired(shadow)["short"]
    assert both + only_stable + only_candidate + neither == outcome.windows == stable.windows == shadow.windows
    assert only_stable > 0
    assert only_candidate == 0
    assert shadow.episodes <= stable.episodes == 1


def test_a_candidate_that_fails_fails_alone() -> None:
    stable = by_model(revision(threshold=100.0))
    failing = by_model(revision(threshold=1000.0), {"short": distance_graph(PIPELINE.windows[0], 2, center=20.0, most=5)})
    assert told(DetectionPipeline(SOURCE, stable), [10], {1: failing}) == told(DetectionPipeline(SOURCE, stable), [10], {})
    pipeline = DetectionPipeline(SOURCE, stable)
    told(pipeline, [40], {1: failing})
    ours, theirs = pipeline.evidence()
    assert (ours.failure, ours.loaded) == (None, True)
    assert (theirs.failure, theirs.loaded) == (RevisionFailure.SCORING_FAILED, False)


def test_scores_that_are_not_finite_fail_the_candidate_alone() -> None:
    stable = by_model(revision(threshold=100.0))
    broken = by_model(revision(), {"short": distance_graph(PIPELINE.windows[0], 2, center=20.0, divide_by_zero=True)})
    pipeline = DetectionPipeline(SOURCE, stable)
    pipeline.adopt(stable, broken)
    pipeline.process(messages([(0, "a", at, 20.0) for at in range(20)]))  # nothing divided by nothing
    ours, theirs = pipeline.evidence()
    assert (ours.failure, theirs.failure) == (None, RevisionFailure.SCORING_FAILED)
    assert theirs.message == "a score is not finite"


def test_what_is_counted_of_a_candidate_outlasts_an_edit_that_does_not_concern_it() -> None:
    pipeline, shadow = DetectionPipeline(SOURCE, LoadedRevision(revision())), LoadedRevision(candidate(4))
    pipeline.adopt(pipeline.stable.loaded, shadow)
    pipeline.process(messages(story("a")))
    before = pipeline.evidence()[1].windows
    pipeline.adopt(pipeline.stable.loaded, shadow)
    assert pipeline.evidence()[1].windows == before > 0


def test_an_open_episode_goes_on_when_the_candidate_becomes_stable() -> None:
    quick = by_model(revision(threshold=100.0))
    promoted = by_model(revision(threshold=90.0))
    pipeline = DetectionPipeline(SOURCE, quick)
    pipeline.adopt(quick, promoted)
    rows = story("a")
    first = [alert.value for alert in pipeline.process(messages(rows[:34])).alerts]
    assert pipeline.adopt(promoted) == []
    second = [alert.value for alert in pipeline.process(messages(rows[34:])).alerts]
    assert sum(b"episode.opened" in value for value in first + second) == 1
    assert sum(b"episode.closed" in value for value in second) == 1


def test_a_model_that_both_revisions_have_scores_each_window_once() -> None:
    stable = by_model(revision(threshold=100.0))
    pipeline = DetectionPipeline(SOURCE, stable, clock=iter(range(1000)).__next__)
    pipeline.adopt(stable, LoadedRevision(stable.revision.model_copy(update={"thresholds": strict()}), stable.model))
    pipeline.process(messages(story("a")))
    ours, theirs = pipeline.evidence()
    assert (ours.seconds, theirs.seconds) == (1.0, 0.0)
    assert theirs.windows == ours.windows > 0
    assert theirs.paired[0].only_stable > 0
