"""The streams of the demo: what is in them, and that the ledger tells the truth."""

import json
from itertools import pairwise

import numpy as np
import pytest

from dev.demo import faults, pumps, servers
from dev.demo.recording import Recording
from dev.demo.scenario import Scenario, pump_scenario, server_scenario

NOW = 1_780_000_000.0


@pytest.fixture(scope="module")
def healthy() -> Recording:
    return pumps.record(20, 3000, NOW, seed=3)


@pytest.fixture(scope="module")
def server_stream() -> Scenario:
    return server_scenario(NOW)


def test_the_same_seed_makes_the_same_pumps_and_another_seed_others(healthy: Recording) -> None:
    assert np.array_equal(healthy.values, pumps.record(20, 3000, NOW, seed=3).values)
    assert not np.array_equal(healthy.values, pumps.record(20, 3000, NOW, seed=4).values)


def test_flow_current_and_pressure_follow_the_speed_and_pumps_differ(healthy: Recording) -> None:
    of_one = np.corrcoef(healthy.values[:, 0, :].T)
    speed = healthy.features.index("speed")

    assert all(of_one[speed, healthy.features.index(name)] > 0.9 for name in ("flow", "current", "pressure"))
    assert len({round(flow, 3) for flow in healthy.values[:, :, 3].mean(axis=0)}) == 20


def test_every_kind_is_put_in_as_often_as_asked_and_only_where_the_ledger_says(healthy: Recording) -> None:
    broken, ledger = faults.inject(healthy, first=500, each=10, seed=3)
    changed = np.any(broken.values != healthy.values, axis=2)

    assert {kind: sum(a.kind == kind for a in ledger) for kind in faults.KINDS} == dict.fromkeys(faults.KINDS, 10)
    for anomaly in ledger:
        pump = healthy.entities.index(anomaly.entity)
        assert changed[anomaly.start : anomaly.end, pump].mean() > 0.9
        changed[anomaly.start : anomaly.end, pump] = False
    assert not changed.any()


def test_faults_of_a_pump_lie_so_far_apart_that_one_episode_can_end_before_the_next(healthy: Recording) -> None:
    _, ledger = faults.inject(healthy, first=500, each=10, seed=3)

    for entity in healthy.entities:
        mine = [anomaly for anomaly in ledger if anomaly.entity == entity]
        assert all(later.start - earlier.end >= 60 for earlier, later in pairwise(mine))


def test_the_first_fault_comes_at_once(healthy: Recording) -> None:
    _, ledger = faults.inject(healthy, first=500, each=10, seed=3)

    assert ledger[0].start == 515


def test_a_reading_is_a_json_object_with_its_event_time_and_nested_sensors(healthy: Recording) -> None:
    key, value = healthy.messages(6)[4]
    reading = json.loads(value)

    assert key == b"pump-05"
    assert reading["timestamp"] == "2026-05-28T20:27:40.000Z"
    assert set(reading["sensors"]) == set(pumps.FEATURES)


def test_no_reading_of_the_pumps_lies_in_the_future() -> None:
    scenario = pump_scenario(NOW, each=1)
    judged = scenario.judge_from(scenario.waiting_end)

    assert judged.recording.time(judged.stretch.end - 1) <= NOW


def test_servers_are_judged_by_their_labels_on_the_test_part_alone(server_stream: Scenario) -> None:
    judged = server_stream.judge_from(0)

    assert judged.stretch.first == servers.TRAINING
    assert judged.stretch.end == judged.recording.ticks == servers.TRAINING + servers.TESTED
    assert len(judged.anomalies) == 24
    assert ("omi-1", servers.TRAINING + 760, servers.TRAINING + 766) in {(a.entity, a.start, a.end) for a in judged.anomalies}


def test_the_labels_of_the_servers_never_reach_the_stream(server_stream: Scenario) -> None:
    _, value = server_stream.recording.messages(servers.TRAINING + 761)[0]

    assert set(json.loads(value)["sensors"]) == {f"s{number}" for number in range(19)}
