"""Alerts and labels side by side: which times were wrong, which alerts were right, and nothing that depends on who reads."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.feedback import precision
from anomaly_detector.core.alerts.alert import identity, rfc3339
from anomaly_detector.core.columns import MICROSECONDS
from anomaly_detector.core.feedback.ledger import Ledger, NotALabelError, Period
from tests.effort import examples

SOURCE = "/namespaces/plant/anomalydetectors/pumps"
START = 20_600 * 86_400


def at(second: int) -> str:
    return rfc3339((START + second) * MICROSECONDS)


def micros(second: int) -> int:
    return (START + second) * MICROSECONDS


def episode_id(entity: str, begin: int) -> str:
    return identity(SOURCE, entity, "short", str(micros(begin)))


def alerts(entity: str, begin: int, end: int | None = None, *, revision: str = "aaaa", suppressed: bool = False, source=SOURCE):
    """Records of an episode: opened, updated, and closed if it is."""
    for kind, second in (("opened", begin), ("updated", begin + 10), *((("closed", end),) if end is not None else ())):
        data = {
            "episode": episode_id(entity, begin),
            "entity": entity,
            "start": at(begin),
            "suppressed": suppressed,
            "revision": revision,
            "model": "sha256:1",
        }
        event = {"source": source, "type": f"dev.anomaly-operator.episode.{kind}", "time": at(second), "data": data}
        yield json.dumps(event).encode()


def label(kind: str, **of: object) -> bytes:
    return json.dumps({"label": kind, "by": "ann", **of}).encode()


def ledger(*records: bytes) -> Ledger:
    found = Ledger(SOURCE)
    for value in records:
        found.alert(value)
    return found


def test_an_episode_lasts_from_its_opening_to_its_last_record():
    found = ledger(*alerts("pump-1", 100, 160), *alerts("pump-2", 300))
    assert found.alerted() == [
        Period("pump-1", micros(100), micros(160)),
        Period("pump-2", micros(300), micros(310)),
    ]


def test_what_was_called_nothing_is_learned_from_and_what_was_called_wrong_is_not():
    found = ledger(*alerts("pump-1", 100, 160), *alerts("pump-1", 300, 360), *alerts("pump-1", 500, 560))
    found.label(label("FalseAlarm", episode=episode_id("pump-1", 100)), 1)
    found.label(label("TrueAlarm", entity="pump-1", until=at(310), **{"from": at(290)}), 2)
    found.label(label("Missed", entity="pump-2", until=at(50), **{"from": at(20)}), 3)
    assert found.alerted() == [Period("pump-1", micros(500), micros(560))]
    wrong = sorted(found.wrong(), key=lambda each: (each.entity, each.begin))
    assert Period("pump-1", micros(300), micros(360)) in wrong
    assert wrong[-1] == Period("pump-2", micros(20), micros(50))


def test_of_two_labels_the_later_one_counts():
    found = ledger(*alerts("pump-1", 100, 160))
    found.label(label("TrueAlarm", episode=episode_id("pump-1", 100)), 1)
    found.label(label("FalseAlarm", entity="pump-1", until=at(110), **{"from": at(90)}), 2)
    assert not found.wrong()
    [row] = found.evidence().revisions
    assert (row.true_alarms, row.false_alarms) == (0, 1)


def test_precision_is_by_revision_and_missed_ones_belong_to_the_revision_that_missed_them():
    found = ledger(
        *alerts("pump-1", 100, 160),
        *alerts("pump-2", 100, 160),
        *alerts("pump-1", 900, 960, revision="bbbb"),
        *alerts("pump-3", 950, 960, revision="bbbb", suppressed=True),
    )
    found.label(label("TrueAlarm", episode=episode_id("pump-1", 100)), 1)
    found.label(label("Normal", episode=episode_id("pump-2", 100)), 2_000)
    found.label(label("Missed", entity="pump-9", until=at(500), **{"from": at(400)}), 3)
    first, second = found.evidence().revisions
    assert (first.revision, first.episodes, first.missed, precision(first)) == ("aaaa", 2, 1, 0.5)
    assert (second.revision, second.episodes, second.missed, precision(second)) == ("bbbb", 1, 0, None)
    assert found.evidence().normal_since == 2.0


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "empty"),
        (b"{", "Invalid JSON"),
        (b"[]", "object"),
        (label("Wrong", episode="0" * 32), "label: "),
        (label("TrueAlarm", episode="7"), "episode: "),
        (label("TrueAlarm"), "set episode, or entity, from and until"),
        (label("Missed", episode="0" * 32), "Missed needs entity, from and until"),
        (label("TrueAlarm", entity="a", **{"from": "yesterday", "until": at(1)}), "from: "),
        (label("TrueAlarm", entity="a", **{"from": at(2), "until": at(1)}), "from is later than until"),
        (json.dumps({"label": "TrueAlarm", "episode": "0" * 32}).encode(), "by: "),
    ],
)
def test_a_record_that_is_no_label_is_told_with_what_is_wrong(value, said):
    found = Ledger(SOURCE)
    with pytest.raises(NotALabelError) as raised:
        found.label(value, 1)
    assert said in str(raised.value)
    assert found.evidence().rejected == 1
    assert found.evidence().labels == 0


def test_records_of_others_in_the_alerts_topic_are_passed_over():
    found = ledger(*alerts("pump-1", 100, 160, source="/namespaces/plant/anomalydetectors/other"), b"{", b"[]", b'{"type": 1}')
    found.alert(None)
    assert found.alerted() == []


def test_memory_has_a_bound():
    found = Ledger(SOURCE, most=10)
    for second in range(0, 5000, 100):
        for value in alerts("pump-1", second, second + 20):
            found.alert(value)
        found.label(label("TrueAlarm", episode=episode_id("pump-1", second)), second)
        found.label(label("Missed", entity="pump-1", until=at(second), **{"from": at(second)}), second)
    assert len(found.alerted()) + len(found.wrong()) <= 20
    assert found.evidence().labels == 100


def about(kind: str, which: int, *, by_time: bool) -> bytes:
    """A label of one of four episodes."""
    if kind == "Missed" or by_time:
        return label(kind, entity="pump-1", until=at(100 * which + 20), **{"from": at(100 * which)})
    return label(kind, episode=episode_id("pump-1", 100 * which))


KINDS = st.sampled_from(["TrueAlarm", "FalseAlarm", "Normal", "Missed"])


@given(st.lists(st.tuples(KINDS, st.integers(0, 3), st.booleans()), max_size=8), st.randoms(use_true_random=False))
@examples(40)
def test_answers_do_not_depend_on_how_the_partitions_of_both_topics_came_mixed(said, random):
    records = [(None, value) for place in range(4) for value in alerts("pump-1", 100 * place, 100 * place + 50)]
    records += [(number, about(kind, which, by_time=by_time)) for number, (kind, which, by_time) in enumerate(said)]
    found = []
    for _ in range(2):
        each = Ledger(SOURCE)
        for number, value in records:
            each.alert(value) if number is None else each.label(value, number)
        found.append((each.evidence(), sorted(map(str, each.wrong())), sorted(map(str, each.alerted()))))
        random.shuffle(records)
    assert found[0] == found[1]
