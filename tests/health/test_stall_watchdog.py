"""When a stay in the group ends though none of its clients complains."""

from __future__ import annotations

from anomaly_detector.core.health.progress import ProgressTracker
from anomaly_detector.core.health.stall_watchdog import PATIENCE_SECONDS, StallWatchdog

LONG = PATIENCE_SECONDS + 1.0


def begun() -> StallWatchdog:
    doubts = StallWatchdog()
    doubts.begin(100.0)
    return doubts


def test_who_is_not_taken_in_asks_anew_but_not_while_brokers_are_away() -> None:
    doubts = begun()
    assert not doubts.unheard(100.0 + PATIENCE_SECONDS, joined=False, missing=False, answered=True)
    assert doubts.unheard(100.0 + LONG, joined=False, missing=False, answered=True)
    assert not begun().unheard(100.0 + LONG, joined=True, missing=False, answered=True)
    away = begun()
    assert not away.unheard(100.0 + LONG, joined=False, missing=False, answered=False)
    assert not away.unheard(100.0 + LONG + 5.0, joined=False, missing=False, answered=True), "they have just come back"


def test_who_is_not_in_the_group_though_its_client_takes_itself_for_a_member_asks_anew() -> None:
    doubts = begun()
    assert not doubts.unheard(100.0 + PATIENCE_SECONDS, joined=True, missing=True, answered=True)
    assert doubts.unheard(100.0 + LONG, joined=True, missing=True, answered=True)
    assert not begun().unheard(100.0 + LONG, joined=True, missing=True, answered=False)


def test_readings_that_wait_though_brokers_answer_end_a_stay() -> None:
    assert begun().stands_still(200.0, LONG, answered=True)
    assert not begun().stands_still(200.0, PATIENCE_SECONDS, answered=True)


def test_readings_that_wait_for_brokers_end_none() -> None:
    doubts = begun()
    assert not doubts.stands_still(200.0, LONG, answered=False)
    assert not doubts.stands_still(200.0 + PATIENCE_SECONDS, 2 * LONG, answered=True)
    assert doubts.stands_still(200.0 + LONG, 3 * LONG, answered=True)


def test_what_other_clients_do_not_mend_is_tried_less_and_less_often() -> None:
    doubts, now, waits = begun(), 100.0, []
    for _ in range(8):
        doubts.begin(now)
        waited = next(seconds for seconds in range(2000) if doubts.stands_still(now + seconds, seconds, answered=True))
        waits.append(waited)
        now += waited
    assert waits == [31, 61, 121, 241, 481, 601, 601, 601]
    doubts.decided()
    doubts.begin(now)
    assert doubts.stands_still(now + LONG, LONG, answered=True)


def test_a_partition_that_is_only_being_recovered_does_not_stand_still() -> None:
    pace = ProgressTracker()
    pace.look({0: None, 1: 0}, 0.0)
    pace.look({0: None, 1: 0}, 50.0)
    assert pace.standstill(60.0) == 0.0
    pace.look({0: None, 1: 3}, 60.0)
    assert pace.standstill(65.0) == 15.0
