"""A partition that is stuck is told from one that has nothing to do."""

from __future__ import annotations

from anomaly_detector.core.health.progress import PartitionProgress, ProgressTracker


def test_a_partition_without_new_readings_is_not_waiting() -> None:
    pace = ProgressTracker()
    pace.look({0: 0}, 0.0)
    pace.decided([0], 1.0, scored=True)
    pace.look({0: 0}, 3600.0)
    assert pace.standings(3600.0) == [PartitionProgress(0, 3599.0, 0.0, 0)]
    assert pace.slowest(3600.0) is None


def test_it_waits_from_the_moment_something_is_there_not_from_its_last_reading() -> None:
    pace = ProgressTracker()
    pace.look({0: 0}, 0.0)
    pace.look({0: 0}, 3600.0)
    pace.look({0: 5}, 3601.0)
    assert pace.slowest(3602.0) == PartitionProgress(0, 3602.0, 2.0, 5)


def test_one_that_is_stuck_is_found_among_others_that_flow() -> None:
    pace = ProgressTracker()
    for now in range(60):
        pace.look({0: 100, 1: 100, 2: 0}, float(now))
        pace.decided([0], float(now), scored=True)
    slowest = pace.slowest(59.5)
    assert slowest is not None
    assert (slowest.partition, slowest.waiting, slowest.lag) == (1, 59.5, 100)


def test_one_whose_memory_is_still_being_read_waits() -> None:
    pace = ProgressTracker()
    pace.look({0: None}, 0.0)
    pace.look({0: None}, 10.0)
    assert pace.slowest(10.0) == PartitionProgress(0, 10.0, 10.0, 0)


def test_what_is_decided_and_not_scored_is_no_score() -> None:
    pace = ProgressTracker()
    pace.look({0: 3}, 0.0)
    pace.decided([0], 5.0, scored=False)
    assert pace.standings(6.0) == [PartitionProgress(0, 6.0, 1.0, 3)]


def test_a_partition_that_went_and_came_back_begins_anew() -> None:
    pace = ProgressTracker()
    pace.look({0: 3}, 0.0)
    pace.look({}, 50.0)
    pace.decided([0], 51.0, scored=True)
    pace.look({0: 3}, 60.0)
    assert pace.standings(61.0) == [PartitionProgress(0, 1.0, 1.0, 3)]
