"""Two pods and a broker of lists: what is committed outlives a crash, all else is lost. Streams and revisions to play on them."""

from __future__ import annotations

import json
import math
import random
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from anomaly_api.alerting import AlertPolicy
from anomaly_api.assignment import Revision
from anomaly_api.preparation import EntityScale, FeatureKind
from anomaly_api.source import Feature, Missing, Window
from anomaly_detector.core.alerts.alert import Alert
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.configuration import Deciders
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.revisions import LoadedRevision
from anomaly_detector.core.shadow import Terms
from anomaly_detector.core.state.changelog import CHANGES, Change
from anomaly_detector.core.state.checkpoint_schedule import CheckpointPolicy
from anomaly_detector.core.state.next_commit import Topics
from anomaly_detector.core.state.records import Commit, Read, Record
from anomaly_detector.core.state.recovery import Changelog
from anomaly_detector.core.state.tasks import PartitionTasks
from tests.stream.pods import PIPELINE, revision

SOURCE = "/namespaces/plant/anomalydetectors/pumps"
TOPICS = Topics("readings", "alerts", "dead-letters", "state")
PARTITIONS = (0, 1)
_SHORT, _LONG = Window(name="short", size=4, max_gap="20s"), Window(name="long", size=10, every=3, max_gap="20s")
BOTH = PIPELINE.model_copy(update={"windows": [_SHORT, _LONG]})
_INTERPOLATED = [feature.model_copy(update={"missing": Missing.INTERPOLATE}) for feature in PIPELINE.features]
_WAITING = BOTH.model_copy(
    update={"time": PIPELINE.time.model_copy(update={"lateness": "7s", "max_waiting": 3}), "features": _INTERPOLATED}
)
_FEWER = PIPELINE.model_copy(update={"features": PIPELINE.features[1:]})
_PREPARED = _WAITING.model_copy(
    update={
        "features": [
            Feature(name="temperature", kind=FeatureKind.COUNTER),
            Feature(name="pressure", scale=EntityScale.PER_ENTITY),
            Feature.model_validate({"name": "calm", "derived": {"rollingMean": {"of": "pressure", "readings": 3}}}),
            Feature.model_validate({"name": "slope", "derived": {"rateOfChange": {"of": "pressure"}}}),
        ]
    }
)
EAGER = {"open": {"windows": 1}, "close": {"windows": 1}, "update": {"every": "5s", "growth": 1.05}, "cooldown": "0s"}
_NIGHT = {"name": "night", "schedule": "18 0 * * *", "duration": "65s", "entities": "pump-[01][02]"}  # times begin at 00:16:40
_LIMITED = {"limits": {"perEntity": {"episodes": 1, "per": "90s"}, "total": {"episodes": 2, "per": "1m"}}}
_LASTING = {"severities": [{"name": "warning", "above": 1}, {"name": "major", "above": 1, "for": "6s"}]}


def with_policy(loaded: Revision, **policy: object) -> LoadedRevision:
    return LoadedRevision(loaded.model_copy(update={"alerts": AlertPolicy.model_validate(policy)}))


REVISIONS = [
    with_policy(revision(BOTH, threshold=6.0, warmup=5), **EAGER, **_LIMITED, **_LASTING),
    with_policy(revision(PIPELINE, threshold=4.0, warmup=5), **EAGER, **_LIMITED, suppress=[_NIGHT]),
    with_policy(revision(_WAITING, threshold=9.0, warmup=8), cooldown="100s", suppress=[_NIGHT]),
    with_policy(
        revision(_FEWER, threshold=5.0, warmup=5),
        **EAGER | {"cooldown": "100s"},
        limits={"total": {"episodes": 1, "per": "30s"}},
    ),
    with_policy(revision(_PREPARED, threshold=4.0, warmup=5), **EAGER),
]
ALLOWANCES = [MemoryQuota(budget, partitions, expire_after=30.0) for budget, partitions in ((100_000, 1), (6_750, 2), (4_800, 2))]
"""Room for all; for three entities, or four where windows are small; for two or three, and one that waits."""
_LARGE = PIPELINE.model_copy(update={"windows": [Window(name="short", size=7, every=2, max_gap="20s")]})
CANDIDATES = [None, with_policy(revision(_LARGE, threshold=4.0, warmup=5), **EAGER, **_LIMITED), *REVISIONS[1:]]
"""In shadow they change no alert. The last ones have an intake of their own: another lateness, other features."""
TERMS = [Terms(), Terms(30, "pumps-1"), Terms(70, "pumps-1"), Terms(100, "pumps-2")]
OF_DIGEST = {loaded.revision.digest: loaded for loaded in [*REVISIONS, *CANDIDATES] if loaded is not None}


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
            if record.key is not None and record.key.startswith(CHANGES) and record.value is not None:
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
    """The tasks of a pod and where its consumer stands."""

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


def adopt_as(stream: DetectionPipeline, deciders: Deciders) -> list[tuple[int, Alert]]:
    """Goes over to the deciders that were written down."""
    candidate = OF_DIGEST[deciders.candidate.revision] if deciders.candidate is not None else None
    return stream.adopt(OF_DIGEST[deciders.stable.revision], candidate, Terms(deciders.weight, deciders.rollout))


def expected(broker: Broker) -> dict[str, list[bytes]]:
    """The stream decided by one process, with the revisions that were in force."""
    alerts: dict[str, list[bytes]] = defaultdict(list)
    for partition, facts in broker.facts.items():
        stream = DetectionPipeline(SOURCE, OF_DIGEST[facts[0].configuration.deciders.stable.revision])
        ends = [*(fact.offset for fact in facts[1:]), len(MESSAGES[partition])]
        for fact, end in zip(facts, ends, strict=True):
            for _, ending in adopt_as(stream, fact.configuration.deciders):
                alerts[ending.entity].append(ending.value)
            stream.decide_as(fact.configuration)
            outcome = stream.process(batch([(partition, offset) for offset in range(fact.offset, end)]).messages)
            for alert in outcome.alerts:
                alerts[alert.entity].append(alert.value)
    return alerts


class World:
    """Two pods and their broker; each method is something that may happen, and its number says to whom."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.ordered = [REVISIONS[0], REVISIONS[0]]
        self.allowed = [ALLOWANCES[1], ALLOWANCES[1]]
        self.shadows: list[LoadedRevision | None] = [None, None]
        self.terms = [Terms(), Terms()]
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
        self.pods[who].tasks.adopt(self.ordered[who], self.shadows[who], self.terms[who])
        for partition in orphans:
            self.pods[1 - who].take(partition)

    def move(self, partition: int) -> None:
        giver = next(place for place, pod in enumerate(self.pods) if partition in pod.position)
        self.pods[giver].give_up(partition)
        self.pods[1 - giver].take(partition)

    def adopt(self, number: int) -> None:
        who, which = divmod(number, len(REVISIONS))
        self.ordered[who] = REVISIONS[which]
        self.pods[who].tasks.adopt(REVISIONS[which], self.shadows[who], self.terms[who])

    def shadow(self, number: int) -> None:
        who, which = divmod(number, len(CANDIDATES))
        self.shadows[who] = CANDIDATES[which]
        self.pods[who].tasks.adopt(self.ordered[who], CANDIDATES[which], self.terms[who])

    def weigh(self, number: int) -> None:
        """The candidate decides more entities, or fewer."""
        who, which = divmod(number, len(TERMS))
        self.terms[who] = TERMS[which]
        self.pods[who].tasks.adopt(self.ordered[who], self.shadows[who], self.terms[who])

    def promote(self, who: int) -> None:
        """The candidate becomes the stable revision."""
        candidate = self.shadows[who]
        if candidate is not None:
            self.ordered[who], self.shadows[who], self.terms[who] = candidate, None, Terms()
            self.pods[who].tasks.adopt(candidate)

    def allow(self, number: int) -> None:
        """The topic has more partitions than before, or fewer."""
        who, which = divmod(number, len(ALLOWANCES))
        self.allowed[who] = ALLOWANCES[which]
        self.pods[who].tasks.allow(ALLOWANCES[which])

    def compact(self, _: int) -> None:
        self.broker.compact()
