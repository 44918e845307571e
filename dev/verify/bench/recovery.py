"""`python -m dev.verify.bench.recovery`: from `kill -9` to the first new score; a real Kafka, 10,000 entities, 24 partitions.

A pod has read a full topic, so that there is much to replay, and goes on with a steady stream when it is killed. Either its
container is started again under its name, as kubelet does, or a pod of another name is started, as when a node dies or a pod
is deleted without grace: that one waits until the group takes the first for dead. The time is the pod's own, of the first
window that it decides; a look at it every few milliseconds makes it a little late, never early. What a process leaves open in
Kafka differs from kill to kill, so there are several of each kind.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka.admin import AdminClient

from anomaly_api.policy import Delivery
from dev import progress
from dev.environment.kafka import broker, jars
from dev.progress import telling
from dev.verify.bench import readings, surroundings
from dev.verify.bench.pod import PATIENCE_SECONDS
from dev.verify.bench.readings import Readings
from dev.verify.scale import stand
from dev.verify.scale.rebalances import Stream
from dev.verify.scale.stand import PARTITIONS, Stand, until

ENTITIES: Final = 10_000
_TICKS: Final = 60
_LOOK_SECONDS: Final = 0.01
_BETWEEN_SECONDS: Final = 3.0
_ASKED_SECONDS: Final = 5.0
_REPLAYED: Final = re.compile(r"goes on at offset \d+; (\d+) readings replayed")
_OVERRIDES: Final = {"offsets.topic.num.partitions": "1", "group.initial.rebalance.delay.ms": "0"}


@dataclass(frozen=True)
class Kill:
    """The times that one kill led to."""

    first: float
    """Seconds from the kill to the first window that is decided again."""
    all: float
    """Seconds until every partition decides again."""
    replayed: int
    """Readings that the successor took in once more before, all partitions together."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dev.verify.bench.recovery", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=7, help="of each kind; default: %(default)s")
    parser.add_argument("--only", choices=[each.value for each in Delivery], help="default: both ways to deliver")
    parser.add_argument("--folder", type=Path, help="an empty one, where the pods' logs stay")
    asked = parser.parse_args()
    tell = progress.plain
    try:
        with tempfile.TemporaryDirectory(prefix="anomaly-bench-") as folder:
            _bench(asked.folder or Path(folder), asked.kills, [each for each in Delivery if asked.only in (None, each)], tell)
    except (RuntimeError, OSError, TimeoutError) as failure:
        print(f"\nIt did not work: {failure}", file=sys.stderr)
        return 1
    return 0


def _bench(folder: Path, kills: int, deliveries: list[Delivery], tell: progress.Tell) -> None:
    with telling(tell, "training the model that scores"):
        trained, _ = surroundings.trained(folder)
    with broker.running(f"bench-recovery-{os.getpid()}", tell, _OVERRIDES, machine=jars.LASTING) as kafka:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        found: dict[str, list[Kill]] = {}
        for delivery in deliveries:
            topic = f"readings-{delivery.lower()}"
            stand.create(admin, topic)
            with telling(tell, f"writing {ENTITIES * _TICKS:,} readings of {ENTITIES:,} entities"):
                readings.write(kafka.bootstrap, topic, Readings(ENTITIES), _TICKS, PARTITIONS)
            made = Stand(folder, kafka.bootstrap, trained, topic, delivery=delivery)
            for title, recovered in _kills(made, kills):
                found[f"{title}, {delivery.value}"] = recovered
    print(f"{'seconds to the first new score':62} {'median':>7} {'worst':>7} {'all partitions':>15} {'replayed at most':>17}")
    for title, recovered in found.items():
        first = [each.first for each in recovered]
        missed = f" (asked: {_ASKED_SECONDS:g})" if max(first) > _ASKED_SECONDS else ""
        everything, replayed = max(each.all for each in recovered), max(each.replayed for each in recovered)
        row = f"{statistics.median(first):7.2f} {max(first):7.2f} {everything:15.2f} {replayed:17,}{missed}"
        print(f"{f'{title} ({len(first)} kills)':62} {row}")


def _kills(made: Stand, count: int) -> list[tuple[str, list[Kill]]]:
    stream = Stream(made, Readings(ENTITIES), _TICKS)
    with made.open():
        made.start("pod-0")
        stream.start()
        try:
            same = [_happen(made, "pod-0", "pod-0", number) for number in range(count)]
            other = [_happen(made, f"pod-{number}", f"pod-{number + 1}", number) for number in range(count)]
        finally:
            stream.end()
    return [("its container starts again", same), ("a pod of another name takes over", other)]


def _happen(made: Stand, victim: str, heir: str, number: int) -> Kill:
    """The victim decides everything, alone, and what it had to catch up with is done."""
    until(lambda: made.pods()[victim].evidence().source.lag < ENTITIES, f"{victim} does not keep up with the stream")
    made.settle()
    time.sleep(_BETWEEN_SECONDS * (1 + number / 10))  # not always at the same place between two checkpoints
    made.members[victim].kill()
    killed = time.time()
    if heir != victim:
        del made.members[victim]
    log = made.folder / made.name / heir / "log"
    before = log.stat().st_size if log.exists() else 0
    made.start(heir)
    pod = made.pods()[heir]
    scored = pod.until(lambda found: found.last_scored is not None, PATIENCE_SECONDS, _LOOK_SECONDS).last_scored
    assert scored is not None, "it was waited for"
    done = pod.until(
        lambda found: found.source.partitions == PARTITIONS and not found.source.recovering, PATIENCE_SECONDS, _LOOK_SECONDS
    )
    replayed = sum(map(int, _REPLAYED.findall(log.read_text()[before:])))
    kill = Kill(scored - killed, done.now - killed, replayed)
    said = f"{kill.first:.2f} s, all partitions after {kill.all:.2f} s, {replayed:,} readings replayed"
    print(f"    {victim} killed, {heir} goes on: {said}", flush=True)
    return kill


if __name__ == "__main__":
    sys.exit(main())
