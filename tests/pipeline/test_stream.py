"""The stages together: determinism, one decision, change of revision, state of a partition that moves."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from anomaly_api.alert import ScorerKind
from anomaly_api.assignment import Revision
from anomaly_api.evidence import RevisionFailure
from anomaly_api.source import Window
from anomaly_detector.core.alerts import pending_traces
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.outcome import Outcome
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.artifact import unpack
from anomaly_detector.core.scoring.onnx import Model
from anomaly_detector.core.scoring.revisions import LoadedRevision
from tests.effort import examples
from tests.scoring.graphs import archive, distance_graph
from tests.stream.pods import PIPELINE, revision

SOURCE = "/namespaces/plant/anomalydetectors/pumps"
Row = tuple[int, str, int, float]


def messages(rows: Sequence[Row]) -> Messages:
    values = [json.dumps({"at": at, "temperature": 20.0, "pressure": value}).encode() for _, _, at, value in rows]
    keys = [entity.encode() for _, entity, _, _ in rows]
    return Messages(values, keys, *columns(rows))


def columns(rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Timestamps and partitions."""
    return np.zeros(len(rows), np.int64), np.array([row[0] for row in rows], np.int64)


def by_model(ordered: Revision | None = None, graphs: dict[str, bytes] | None = None) -> LoadedRevision:
    wanted = ordered or revision()
    digest, packed = archive(wanted.pipeline, graphs, center=20.0)
    named = wanted.model_copy(update={"model": digest})
    return LoadedRevision(named, Model(unpack(packed, digest), wanted.pipeline))


def story(entities: str = "ab", start: int = 0, length: int = 60) -> list[Row]:
    """Calm, then broken from 30 to 34, then calm; entity b lives in partition 1."""
    values = {at: 20.0 + 0.1 * math.sin(at) + (40.0 if 30 <= at < 35 else 0.0) for at in range(start, length)}
    return [("ab".index(entity), entity, at, value) for at, value in values.items() for entity in entities]


def alerts(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    return [json.loads(alert.value) for outcome in outcomes for alert in outcome.alerts]


def of_entity(found: Sequence[dict[str, Any]], entity: str) -> list[dict[str, Any]]:
    return [alert for alert in found if alert["subject"] == entity]


@examples(15)
@given(sizes=st.lists(st.integers(1, 50), max_size=20), model=st.booleans())
def test_alerts_do_not_depend_on_how_the_stream_is_cut_into_batches(sizes: list[int], model: bool) -> None:
    loaded = by_model(revision(threshold=100.0)) if model else LoadedRevision(revision())
    rows = story()
    whole = alerts([DetectionPipeline(SOURCE, loaded).process(messages(rows))])
    stream, outcomes = DetectionPipeline(SOURCE, loaded), []
    while rows:
        size = sizes.pop() if sizes else 13
        outcomes.append(stream.process(messages(rows[:size])))
        rows = rows[size:]
    reasons = [alert["data"]["reason"] for alert in of_entity(whole, "a")]
    assert reasons == (["Opened", "PeakGrew", "Recovered"] if model else ["Opened", "Recovered"])
    for entity in "ab":
        assert of_entity(alerts(outcomes), entity) == of_entity(whole, entity)


def test_an_alert_comes_from_the_message_that_led_to_it() -> None:
    rows = story("a")
    outcome = DetectionPipeline(SOURCE, by_model(revision(threshold=100.0))).process(messages(rows))
    assert [rows[alert.row][2] for alert in outcome.alerts] == [31, 33, 42]
    assert [alert["time"][-4:] for alert in alerts([outcome])] == [":31Z", ":33Z", ":42Z"]
    assert [alert["data"]["reason"] for alert in alerts([outcome])] == ["Opened", "PeakGrew", "Recovered"]


def test_the_trace_of_the_message_that_led_to_an_alert_goes_with_it() -> None:
    rows = story("a")
    asked: list[int] = []

    def headers(row: int) -> list[tuple[str, bytes | None]]:
        asked.append(row)
        return [("traceparent", f"00-{row + 1:032x}-{row + 1:016x}-01".encode())]

    outcome = DetectionPipeline(SOURCE, by_model(revision(threshold=100.0))).process(replace(messages(rows), headers=headers))
    assert [alert["traceparent"] for alert in alerts([outcome])] == [
        f"00-{row + 1:032x}-{row + 1:016x}-01" for row in (31, 33, 42)
    ]
    assert asked == [31, 33, 42], "headers of others are never read"


@examples(15)
@given(sizes=st.lists(st.integers(1, 50), max_size=20), places=st.sampled_from([2, 64]), moved=st.booleans())
def test_a_reading_that_waited_has_its_own_trace_not_that_of_the_message_that_let_it_go(
    sizes: list[int], places: int, moved: bool
) -> None:
    ordered = revision(threshold=100.0)
    pipeline = ordered.pipeline.model_copy(update={"time": ordered.pipeline.time.model_copy(update={"lateness": "3s"})})
    loaded = by_model(ordered.model_copy(update={"pipeline": pipeline}))
    rows = story("ab", length=70)

    def of(row: int) -> bytes:
        return f"00-{row + 1:032x}-{row + 1:016x}-01".encode()

    def traced(stream: DetectionPipeline, begin: int, end: int) -> list[tuple[str, str, str | None]]:
        part = replace(messages(rows[begin:end]), headers=lambda row: [("traceparent", of(begin + row))])
        return [(alert["subject"], alert["time"], alert.get("traceparent")) for alert in alerts([stream.process(part)])]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pending_traces, "PLACES", places)
        one_by_one = DetectionPipeline(SOURCE, loaded)
        wanted = [found for row in range(len(rows)) for found in traced(one_by_one, row, row + 1)]
        stream, got, begin = DetectionPipeline(SOURCE, loaded), [], 0
        while begin < len(rows):
            size = sizes.pop() if sizes else 13
            got += traced(stream, begin, begin + size)
            begin += size
            if moved:
                states = [stream.snapshot(partition) for partition in (0, 1)]
                stream = DetectionPipeline(SOURCE, loaded)
                for partition, state in enumerate(states):
                    stream.restore(partition, state)
    assert sorted(got) == sorted(wanted)
    known = {(entity, f":{at % 60:02d}Z"): of(row).decode() for row, (_, entity, at, _) in enumerate(rows) if 30 <= at < 60}
    for entity, time, trace in wanted:
        assert trace in (known[entity, time[-4:]], None), "another reading's"
    assert places == 2 or all(trace for *_, trace in wanted)


def test_a_new_threshold_keeps_windows_and_open_episodes() -> None:
    stream = DetectionPipeline(SOURCE, by_model(revision(threshold=100.0)))
    first = stream.process(messages(story("a", length=33)))
    stream.adopt(by_model(revision(threshold=50.0)))
    second = stream.process(messages(story("a", start=33)))
    assert second.windows == 27
    opened, *_, closed = alerts([first, second])
    assert opened["data"]["episode"] == closed["data"]["episode"]
    assert opened["data"]["revision"] != closed["data"]["revision"]
    assert stream.stable.windows == 27, "a revision counts its own"


def test_a_model_takes_over_from_the_fallback_scorer_without_losing_a_window() -> None:
    stream = DetectionPipeline(SOURCE, LoadedRevision(revision()))
    assert stream.process(messages(story("a", length=20))).windows == 20 - 12
    stream.adopt(by_model(revision(threshold=100.0)))
    outcome = stream.process(messages(story("a", start=20)))
    assert outcome.windows == 40
    assert {alert["data"]["scorer"] for alert in alerts([outcome])} == {ScorerKind.IMPORTED}


def test_other_features_begin_with_empty_windows() -> None:
    stream = DetectionPipeline(SOURCE, LoadedRevision(revision(warmup=2)))
    stream.process(messages(story("a", length=20)))
    fewer = PIPELINE.model_copy(update={"features": PIPELINE.features[:1]})
    stream.adopt(LoadedRevision(revision(fewer, warmup=2)))
    assert stream.entities == 0
    assert stream.process(messages(story("a", start=20, length=24))).windows == 1


def test_a_failing_model_is_stood_in_for_and_said_to_fail() -> None:
    fails_for_more_than_five = distance_graph(PIPELINE.windows[0], 2, center=20.0, most=5)
    stream = DetectionPipeline(SOURCE, by_model(graphs={"short": fails_for_more_than_five}))
    rows = story("a")
    outcomes = [stream.process(messages(rows[start : start + 10])) for start in range(0, 60, 10)]
    evidence = stream.stable.evidence()
    assert evidence.failure is RevisionFailure.SCORING_FAILED
    assert not evidence.loaded
    assert evidence.fallback_windows == evidence.windows > 30
    assert evidence.windows + evidence.unscored_windows == 57, "windows that came before its warm-up are told"
    assert {alert["data"]["scorer"] for alert in alerts(outcomes)} == {ScorerKind.STATISTICAL}
    assert {alert["data"]["threshold"] for alert in alerts(outcomes)} == {8.0}


def test_when_a_running_model_fails_the_fallback_scorer_decides_every_window_from_then_on() -> None:
    fails_for_more_than_five = distance_graph(PIPELINE.windows[0], 2, center=20.0, most=5)
    stream = DetectionPipeline(SOURCE, by_model(revision(threshold=100.0), {"short": fails_for_more_than_five}))
    calm = [(0, "a", at, 20.0 + 0.1 * math.sin(at)) for at in range(100)]
    for row in calm[:80]:
        stream.process(messages([row]))
    assert stream.stable.fallback_windows == 0
    failed = stream.process(messages([*calm[80:88], *((0, "a", at, 90.0) for at in range(88, 92))]))
    assert stream.stable.failure is RevisionFailure.SCORING_FAILED
    assert (failed.windows, stream.stable.fallback_windows) == (12, 12), "none is left without a score"
    [opened, *_] = alerts([failed])
    assert (opened["data"]["scorer"], opened["data"]["start"][-4:]) == (ScorerKind.STATISTICAL, ":29Z")
    assert stream.warming == 0


@given(sizes=st.lists(st.integers(1, 50), max_size=20))
def test_a_score_that_is_not_finite_is_of_its_window_alone(sizes: list[int]) -> None:
    loaded = by_model(revision(threshold=100.0))
    rows = [(*row[:3], 1e30) if row[1] == "b" and row[2] == 20 else row for row in story()]
    alone = alerts([DetectionPipeline(SOURCE, loaded).process(messages([row for row in rows if row[1] == "a"]))])
    stream, outcomes = DetectionPipeline(SOURCE, loaded), []
    while rows:
        size = sizes.pop() if sizes else 13
        outcomes.append(stream.process(messages(rows[:size])))
        rows = rows[size:]
    found = alerts(outcomes)
    assert of_entity(found, "a") == alone
    opened = of_entity(found, "b")[0]["data"]
    assert opened["start"] == "1970-01-01T00:00:21Z", "its second window decides"
    assert math.isfinite(opened["score"]), "JSON has finite numbers only"


def test_windows_of_which_the_model_gives_no_number_are_decided_by_the_statistical_scorer_and_counted() -> None:
    graph = distance_graph(PIPELINE.windows[0], 2, center=20.0, divide_by_zero=True)
    stream = DetectionPipeline(SOURCE, by_model(revision(threshold=100.0), {"short": graph}))
    rows = [(0, "a", at, 20.0) for at in range(20)]  # at the center: 0 / 0
    outcome = stream.process(messages(rows))
    evidence = stream.stable.evidence()
    assert evidence.failure is None, "others are scored by the model"
    assert evidence.fallback_windows == evidence.windows == outcome.windows > 0
    assert evidence.windows + evidence.unscored_windows == 17


def test_a_score_beyond_float32_is_told_as_a_number() -> None:
    outcome = DetectionPipeline(SOURCE, by_model(revision(threshold=1e-37))).process(messages(story("a")))
    data = [alert["data"] for alert in alerts([outcome])]
    assert data
    assert all(math.isfinite(each["score"]) and math.isfinite(each["peak"]) for each in data)


def test_state_of_a_partition_moves_to_another_stream() -> None:
    rows = story()
    here, there = DetectionPipeline(SOURCE, LoadedRevision(revision())), DetectionPipeline(SOURCE, LoadedRevision(revision()))
    before = here.process(messages(rows[:66]))  # in the middle of the anomaly
    there.process(messages([(7, "elsewhere", 1, 1.0)]))
    for partition in (0, 1):
        there.restore(partition, here.snapshot(partition))
    after = there.process(messages(rows[66:]))
    undisturbed = DetectionPipeline(SOURCE, LoadedRevision(revision())).process(messages(rows))
    assert alerts([before, after]) == alerts([undisturbed])


def test_a_partition_that_is_given_up_is_forgotten() -> None:
    stream = DetectionPipeline(SOURCE, LoadedRevision(revision()))
    stream.process(messages(story()))
    stream.forget(0)
    assert stream.entities == 1
    assert stream.process(messages([(0, "a", 60, 1.0), (1, "b", 60, 20.0)])).windows == 1


def test_entities_that_cannot_be_scored_yet_are_counted() -> None:
    stream = DetectionPipeline(SOURCE, LoadedRevision(revision()))
    stream.process(messages(story("a", length=30) + story("b", length=5)))
    assert (stream.entities, stream.warming) == (2, 1)


def test_bad_messages_are_rejected_and_late_ones_and_duplicates_left_out() -> None:
    stream = DetectionPipeline(SOURCE, LoadedRevision(revision()))
    good = messages([(0, "a", 5, 1.0), (0, "a", 4, 1.0), (0, "a", 5, 1.0), (0, "a", 6, 1.0)])
    values = [*good.values, b"bad"]
    outcome = stream.process(Messages(values, [*good.keys, b"a"], np.zeros(5, np.int64), np.zeros(5, np.int64)))
    assert (outcome.readings, [reject.row for reject in outcome.rejects]) == (2, [4])
    assert (outcome.tally.late, outcome.tally.duplicates) == (1, 1)


def test_an_alert_says_which_values_were_filled_in() -> None:
    rows = story("a")
    sent = messages(rows)
    values = list(sent.values)
    for place in (29, 31):  # the second is the one that opens
        values[place] = json.dumps({"at": rows[place][2], "temperature": None, "pressure": rows[place][3]}).encode()
    outcome = DetectionPipeline(SOURCE, by_model(revision(threshold=100.0))).process(Messages(values, sent.keys, *columns(rows)))
    opened, *_, closed = alerts([outcome])
    assert (opened["data"]["imputed"], closed["data"]["imputed"]) == (2, 0)
    actual = {each["feature"]: (each["actual"], each["imputed"]) for each in opened["data"]["contributors"]}
    assert actual["temperature"] == (20.0, True)
    assert actual["pressure"][1] is False
    assert (outcome.tally.missing, outcome.tally.imputed) == ({"temperature": 2}, 2)


def test_the_more_readings_wait_the_fewer_messages_are_asked_for() -> None:
    large = PIPELINE.model_copy(update={"windows": [Window(name="large", size=1024)]})
    patient = large.model_copy(update={"time": PIPELINE.time.model_copy(update={"lateness": "1h", "max_waiting": 1000})})
    stream = DetectionPipeline(SOURCE, LoadedRevision(revision(patient)))
    before = stream.most_messages
    for start in range(0, 900, 100):
        stream.process(messages([(0, entity, start + at, 1.0) for at in range(100) for entity in "abcd"]))
    assert stream.most_messages * (1 + 900) < 2 * before or stream.most_messages + 4 * 900 <= before
    assert stream.most_messages >= 1


def test_several_windows_are_decided_each_on_its_own() -> None:
    both = PIPELINE.model_copy(update={"windows": [Window(name="short", size=4), Window(name="long", size=8, every=4)]})
    stream = DetectionPipeline(SOURCE, by_model(revision(both, threshold=100.0)))
    outcome = stream.process(messages(story("a")))
    assert outcome.windows == 57 + 14
    assert {alert["data"]["window"] for alert in alerts([outcome])} == {"short", "long"}


@pytest.mark.parametrize("rows", [[], [(0, "a", 1, 1.0)]])
def test_a_batch_may_be_empty_or_a_single_reading(rows: list[Row]) -> None:
    assert DetectionPipeline(SOURCE, by_model()).process(messages(rows)).windows == 0
