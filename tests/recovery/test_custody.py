"""Two pods, a broker of lists, and whatever may happen between two commits: the alerts are those of one undisturbed process."""

from __future__ import annotations

import json
import math
import random
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.alerting import AlertPolicy
from anomaly_api.assignment import Revision
from anomaly_api.source import Missing, Window
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.revisions import LoadedRevision
from anomaly_detector.core.state.changelog import Change, Changelog, header_key
from anomaly_detector.core.state.records import Commit, Read, Record
from anomaly_detector.core.state.tasks import CheckpointPolicy, PartitionTasks, Topics
from tests.effort import examples
from tests.stream.pods import PIPELINE, revision

SOURCE = "/namespaces/plant/anomalydetectors/pumps"
TOPICS = Topics("readings", "alerts", "dead-letters", "state")
PARTITIONS = (0, 1)
_SHORT, _LONG = Window(name="short", size=4, max_gap="20s"), Window(name="long", size=10, every=3, max_gap="20s")
_BOTH = PIPELINE.model_copy(update={"windows": [_SHORT, _LONG]})
_INTERPOLATED = [feature.model_copy(update={"missing": Missing.INTERPOLATE}) for feature in PIPELINE.features]
_WAITING = _BOTH.model_copy(
    update={"time": PIPELINE.time.model_copy(update={"lateness": "7s", "max_waiting": 3}), "features": _INTERPOLATED}
)
_FEWER = PIPELINE.model_copy(update={"features": PIPELINE.features[1:]})
_EAGER = {"open": {"windows": 1}, "close": {"windows": 1}, "update": {"every": "5s", "growth": 1.05}, "cooldown": "0s"}
_NIGHT = {"name": "night", "schedule": "18 0 * * *", "duration": "65s", "entities": "pump-[01][02]"}  # times begin at 00:16:40
_LIMITED = {"limits": {"perEntity": {"episodes": 1, "per": "90s"}, "total": {"episodes": 2, "per": "1m"}}}
_LASTING = {"severities": [{"name": "warning", "above": 1}, {"name": "major", "above": 1, "for": "6s"}]}


def _with(loaded: Revision, **policy: object) -> LoadedRevision:
    return LoadedRevision(loaded.model_copy(update={"alerts": AlertPolicy.model_validate(policy)}))


REVISIONS = [
    _with(revision(_BOTH, threshold=6.0, warmup=5), **_EAGER, **_LIMITED, **_LASTING),
    _with(revision(PIPELINE, threshold=4.0, warmup=5), **_EAGER, **_LIMITED, suppress=[_NIGHT]),
    _with(revision(_WAITING, threshold=9.0, warmup=8), cooldown="100s", suppress=[_NIGHT]),
    _with(
        revision(_FEWER, threshold=5.0, warmup=5),
        **_EAGER | {"cooldown": "100s"},
        limits={"total": {"episodes": 1, "per": "30s"}},
    ),
]
ALLOWANCES = [MemoryQuota(budget, partitions, expire_after=30.0) for budget, partitions in ((100_000, 1), (5_200, 2), (3_700, 2))]
"""Room for all; for three entities, or four where windows are small; for two or three, and one that waits."""
OF_DIGEST = {loaded.revision.digest: loaded for loaded in REVISIONS}


def stream_of(partition: int, length: int = 240) -> list[tuple[bytes, bytes]]:
    """Keys and values; faults that open and close, some that cannot be read, some out of order or twice; entities come and go."""
    dice, holes = random.Random(partition), random.Random(partition + 10)
    found = []
    for step in range(length):
        entity = f"pump-{partition}{(step % 3 + step // 32) % 5}"
        at = 1000 + step - dice.choices((0, 3, 5), (0.93, 0.03, 0.04))[0]
        fault = 9.0 if (step // 3 + 3 * (step % 3)) % 19 in (10, 11, 12, 13) else 0.0
        value = {"at": at, "temperature": 20 + 0.1 * math.sin(step), "pressure": 3 + 0.1 * math.cos(step / 2) + fault}
        if holes.random() < 0.1:
            del value["temperature"]
        content = json.dumps(value).encode()
        found.append((entity.encode(), content[:-1] if dice.random() < 0.03 else content))
    return found


MESSAGES = {partition: stream_of(partition) for partition in PARTITIONS}


def batch(rows: Sequence[tuple[int, int]]) -> Read:
    """Messages at these partitions and offsets."""
    found = [MESSAGES[partition][offset] for partition, offset in rows]
    partitions = np.array([partition for partition, _ in rows], np.int64)
    stamps = np.zeros(len(rows), np.int64)

    def headers(row: int) -> list[tuple[str, bytes | None]]:
        partition, offset = rows[row]
        return [("traceparent", f"00-{partition + 1:032x}-{offset + 1:016x}-01".encode())] if offset % 3 else []

    messages = Messages([value for _, value in found], [key for key, _ in found], stamps, partitions, headers)
    return Read(messages, np.array([offset for _, offset in rows], np.int64))


class Broker:
    """What is committed, and nothing else."""

    def __init__(self) -> None:
        self.offsets: dict[int, int] = {}
        self.state: dict[int, list[Record]] = {partition: [] for partition in PARTITIONS}
        self.facts: dict[int, list[Change]] = defaultdict(list)
        self.alerts: dict[str, list[bytes]] = defaultdict(list)
        self.dead: list[tuple[bytes, bytes]] = []

    def commit(self, micro_batches: Commit) -> None:
        for partition, portion in micro_batches.items():
            self.offsets[partition] = portion.offset
            for record in portion.records:
                self._take(partition, record)

    def _take(self, partition: int, record: Record) -> None:
        if record.topic == TOPICS.alerts:
            assert record.key is not None
            assert record.value is not None
            self.alerts[record.key.decode()].append(record.value)
        elif record.topic == TOPICS.dead_letters:
            headers = dict(record.headers)
            self.dead.append((headers["partition"], headers["offset"]))
        else:
            assert record.partition == partition
            self.state[partition].append(record)
            if record.key is not None and record.key.startswith(b"regime/") and record.value is not None:
                self.facts[partition].append(Change.model_validate_json(record.value))

    def compact(self) -> None:
        for partition, records in self.state.items():
            last = {record.key: place for place, record in enumerate(records)}
            self.state[partition] = [record for place, record in enumerate(records) if last[record.key] == place]

    def journal(self, partition: int) -> Changelog:
        journal = Changelog()
        for record in self.state[partition]:
            journal.add(record.key, record.value)
        return journal


class Pod:
    """A custody and where its consumer stands."""

    def __init__(self, broker: Broker, loaded: LoadedRevision, allowance: MemoryQuota) -> None:
        self.broker = broker
        self.tasks = PartitionTasks(
            DetectionPipeline(SOURCE, loaded, allowance), TOPICS, CheckpointPolicy(readings=25, seconds=1e9, pieces=1, leaving=10)
        )
        self.position: dict[int, int] = {}

    def take(self, partition: int) -> None:
        journal = self.broker.journal(partition)
        found = journal.recover(self.broker.offsets.get(partition), 0, len(MESSAGES[partition]), latest=False)
        self.position[partition] = self.tasks.recover(partition, found, 0.0)

    def read(self, most: int, until: int | None = None, *, more: bool = False) -> bool:
        rows = []
        for partition, position in self.position.items():
            end = min(position + most, len(MESSAGES[partition]) if until is None else until)
            rows += [(partition, offset) for offset in range(position, end)]
            self.position[partition] = end
        if rows:
            self.tasks.process(batch(rows), 0.0, more=more)
        return bool(rows)

    def commit(self, leaving: Sequence[int] = ()) -> None:
        self.broker.commit(self.tasks.drain(0.0, leaving))

    def give_up(self, partition: int) -> None:
        self.commit([partition])
        self.tasks.give_up([partition])
        del self.position[partition]


def expected(broker: Broker) -> dict[str, list[bytes]]:
    """The stream decided by one process, with the revisions that were in force."""
    alerts: dict[str, list[bytes]] = defaultdict(list)
    for partition, facts in broker.facts.items():
        stream = DetectionPipeline(SOURCE, OF_DIGEST[facts[0].regime.revision])
        ends = [*(fact.offset for fact in facts[1:]), len(MESSAGES[partition])]
        for fact, end in zip(facts, ends, strict=True):
            for _, ending in stream.adopt(OF_DIGEST[fact.regime.revision]):
                alerts[ending.entity].append(ending.value)
            stream.preprocessor.change(fact.regime)
            outcome = stream.process(batch([(partition, offset) for offset in range(fact.offset, end)]).messages)
            for alert in outcome.alerts:
                alerts[alert.entity].append(alert.value)
    return alerts


_ACTS = st.one_of(
    st.tuples(st.just("read"), st.integers(1, 40)),
    st.tuples(st.just("begin"), st.integers(1, 40)),
    st.tuples(st.just("commit"), st.integers(0, 1)),
    st.tuples(st.just("crash"), st.integers(0, 1)),
    st.tuples(st.just("move"), st.sampled_from(PARTITIONS)),
    st.tuples(st.just("adopt"), st.integers(0, 2 * len(REVISIONS) - 1)),
    st.tuples(st.just("allow"), st.integers(0, 2 * len(ALLOWANCES) - 1)),
    st.tuples(st.just("compact"), st.just(0)),
)


class World:
    """Two pods and their broker; each method is something that may happen, and its number says to whom."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.ordered = [REVISIONS[0], REVISIONS[0]]
        self.allowed = [ALLOWANCES[1], ALLOWANCES[1]]
        self.pods = [Pod(self.broker, *asked) for asked in zip(self.ordered, self.allowed, strict=True)]
        for partition in PARTITIONS:
            self.pods[partition % 2].take(partition)

    def read(self, most: int) -> bool:
        return any([pod.read(most) for pod in self.pods])  # noqa: C419 - both read

    def begin(self, most: int) -> None:
        """Reads, and is about to read on: what was read is not decided yet, whatever comes next."""
        for pod in self.pods:
            pod.read(most, more=True)

    def commit(self, who: int) -> None:
        self.pods[who].commit()

    def crash(self, who: int) -> None:
        """The other one takes its partitions, as after a session's timeout."""
        orphans = list(self.pods[who].position)
        self.pods[who] = Pod(self.broker, self.ordered[who], self.allowed[who])
        for partition in orphans:
            self.pods[1 - who].take(partition)

    def move(self, partition: int) -> None:
        giver = next(place for place, pod in enumerate(self.pods) if partition in pod.position)
        self.pods[giver].give_up(partition)
        self.pods[1 - giver].take(partition)

    def adopt(self, number: int) -> None:
        who, which = divmod(number, len(REVISIONS))
        self.ordered[who] = REVISIONS[which]
        self.pods[who].tasks.adopt(REVISIONS[which])

    def allow(self, number: int) -> None:
        """The topic has more partitions than before, or fewer."""
        who, which = divmod(number, len(ALLOWANCES))
        self.allowed[who] = ALLOWANCES[which]
        self.pods[who].tasks.allow(ALLOWANCES[which])

    def compact(self, _: int) -> None:
        self.broker.compact()


@examples(30)
@given(acts=st.lists(_ACTS, max_size=40))
def test_alerts_after_any_crash_move_and_change_are_those_of_one_process(acts: list[tuple[str, int]]) -> None:
    world = World()
    for act, number in acts:
        getattr(world, act)(number)
    while world.read(30):
        world.commit(0)
        world.commit(1)
    broker = world.broker
    assert broker.offsets == {partition: len(MESSAGES[partition]) for partition in PARTITIONS}
    assert broker.alerts == expected(broker)
    assert len(broker.dead) == len(set(broker.dead)), "each dead letter once"


def test_an_undisturbed_pod_alerts() -> None:
    broker = Broker()
    pod = Pod(broker, REVISIONS[0], ALLOWANCES[1])
    for partition in PARTITIONS:
        pod.take(partition)
    while pod.read(7):
        pod.commit()
    assert sum(map(len, broker.alerts.values())) >= 10
    assert len(broker.dead) > 3


def test_a_pod_that_is_killed_again_and_again_has_no_more_to_replay_each_time() -> None:
    broker = Broker()
    first = Pod(broker, REVISIONS[0], ALLOWANCES[1])
    first.take(0)
    first.read(20)
    first.commit()
    second = Pod(broker, REVISIONS[0], ALLOWANCES[1])
    second.take(0)
    assert second.position[0] == 0, "it was not time for a checkpoint yet"
    second.read(20)
    while all(record.key != header_key() for record in broker.state[0]):
        before = len(broker.state[0])
        second.commit()
        assert len(broker.state[0]) > before, "it goes on writing"
    third = Pod(broker, REVISIONS[0], ALLOWANCES[1])
    third.take(0)
    assert third.position[0] == 20


def test_what_is_remembered_is_written_a_partition_at_a_time_and_no_faster_than_the_policy_says() -> None:
    policy = CheckpointPolicy(readings=10**9, seconds=60.0, bytes_per_second=1.0, longest=10**9)
    tasks = PartitionTasks(DetectionPipeline(SOURCE, REVISIONS[0], ALLOWANCES[1]), TOPICS, policy)
    for partition in PARTITIONS:
        tasks.recover(partition, Changelog().recover(0, 0, 100, latest=False), 0.0)
    tasks.process(batch([(partition, offset) for partition in PARTITIONS for offset in range(20)]), 0.0)

    def written(now: float) -> list[int]:
        """Partitions of which a checkpoint was completed."""
        commits = [tasks.drain(now) for _ in range(3)]
        keyed = [(partition, record.key) for each in commits for partition, commit in each.items() for record in commit.records]
        return [partition for partition, key in keyed if key == header_key()]

    assert written(59.0) == []
    [first] = written(60.0)
    pause = tasks.pipeline.preprocessor.entities.weight(first) / policy.bytes_per_second
    assert pause > 100
    assert written(60.0 + pause - 1) == []
    [second] = written(60.0 + pause)
    assert second != first


def test_the_streams_of_these_tests_know_everything_that_alerts_may_say() -> None:
    said: set[str] = set()
    for loaded in REVISIONS:
        broker = Broker()
        pod = Pod(broker, loaded, ALLOWANCES[0])
        for partition in PARTITIONS:
            pod.take(partition)
        while pod.read(7):
            pod.commit()
        found = [json.loads(value) for values in broker.alerts.values() for value in values]
        said |= {str(event["data"].get("reason") or event["data"]["limit"]) for event in found}
        said |= {str(event["data"].get("suppressedBy")) for event in found}
    assert said >= {"Opened", "Released", "StillOpen", "SeverityRose", "Recovered"}
    assert said >= {"PerEntity", "Total", "cooldown", "night"}


def after_an_edit(before: LoadedRevision, after: LoadedRevision, end: int, *, taken_over: bool) -> dict[str, list[bytes]]:
    """The alerts when another revision comes after so many messages: to the pod that read them, or to its successor."""
    broker = Broker()
    for each in (before, after) if taken_over else (before,):
        pod = Pod(broker, each, ALLOWANCES[0])
        for partition in PARTITIONS:
            pod.take(partition)
        while pod.read(10, end):
            pod.commit()
    if not taken_over:
        pod.tasks.adopt(after)
    for _ in range(3):  # what is told is told once
        pod.commit()
    return broker.alerts


@pytest.mark.parametrize(("which", "ending"), [(1, {"long"}), (3, {"short", "long"})], ids=["a window goes", "all begins anew"])
def test_whoever_meets_an_edit_tells_the_same_ends(which: int, ending: set[str]) -> None:
    unlimited = _with(revision(_BOTH, threshold=6.0, warmup=5), **_EAGER)
    replaced: set[str] = set()
    for before in (REVISIONS[0], unlimited):
        for end in range(20, 240, 9):
            told = after_an_edit(before, REVISIONS[which], end, taken_over=False)
            assert after_an_edit(before, REVISIONS[which], end, taken_over=True) == told
            found = [json.loads(value)["data"] for values in told.values() for value in values]
            replaced |= {data["window"] for data in found if data.get("reason") == "Replaced"}
    assert replaced == ending


def test_a_state_topic_that_is_emptied_is_filled_again_and_nothing_is_lost() -> None:
    broker = Broker()
    pod = Pod(broker, REVISIONS[0], ALLOWANCES[0])
    for partition in PARTITIONS:
        pod.take(partition)
    for _ in range(8):
        pod.read(13)
        pod.commit()
    broker.state = {partition: [] for partition in PARTITIONS}
    pod.tasks.write_again()
    for _ in range(10):  # a record a commit, one partition after the other
        pod.commit()
    successor = Pod(broker, REVISIONS[0], ALLOWANCES[0])
    for partition in PARTITIONS:
        successor.take(partition)
    assert successor.position == broker.offsets, "nothing has to be replayed"
    while successor.read(13):
        successor.commit()
    assert broker.alerts == expected(broker)
