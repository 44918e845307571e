"""One schedule on a real broker: pods as processes, a producer at a steady pace, what the schedule says, and the verdict."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

from confluent_kafka import KafkaException

from anomaly_api.policy import Delivery
from dev.verify.torture import orders, verdict
from dev.verify.torture.acting import Acting
from dev.verify.torture.feed import Feed
from dev.verify.torture.ground import Ground
from dev.verify.torture.schedule import Schedule
from dev.verify.torture.verdict import Found

_DONE_SECONDS = 90.0


@dataclass(frozen=True)
class Result:
    """How it ended."""

    plan: Schedule
    alerts: int
    changes: int
    """Of the revision, in all partitions."""
    repeated: int
    """Alerts that came again, where they may."""
    seconds: float
    shared: int
    """Alerts by revisions that were candidates with a weight."""
    stuck: int
    """Messages that the recording's first producer did not send."""
    wrong: list[str] = field(default_factory=list)
    stuck_broker: bool = False
    """Whether the broker refuses everybody what every group needs: what is wrong is nobody else's fault."""
    again: bool = False
    """Whether it was played a second time, because the broker was stuck the first time."""

    @property
    def line(self) -> str:
        """For people."""
        counts = f"{self.alerts} alerts, {self.shared} of them by candidates"
        counts += f", {self.changes} changes of revision, {len(self.plan.events)} events"
        again = f", {self.repeated} alerts came again" if self.plan.delivery is Delivery.AT_LEAST_ONCE else ""
        how = f"{self.plan.delivery.value}, {self.plan.protocol.value}"
        stuck = f", {self.stuck} messages by another producer" if self.stuck else ""
        twice = ", once more as the broker's coordinator was stuck" if self.again else ""
        return f"seed {self.plan.seed} ({how}): {counts}{again}{stuck}{twice}, {self.seconds:.1f} s"


class Trial:
    """One run."""

    def __init__(self, ground: Ground, plan: Schedule, folder: Path) -> None:
        self._plan, self._folder, self._ground = plan, folder, ground
        folder.mkdir(parents=True, exist_ok=True)
        self._runtime = orders.runtime(ground.broker.bootstrap, f"torture-{uuid4().hex[:8]}", plan.delivery, plan.protocol)
        self._orders = orders.assignments(folder)
        self._acting = Acting(ground, self._runtime, self._orders, folder)
        self._feed = Feed(self._runtime, plan.seed, _DONE_SECONDS)

    def run(self) -> Result:
        """Raises nothing: what goes wrong is in the result."""
        began = time.monotonic()
        wrong: list[str] = []
        found = None
        try:
            self._feed.create()
            self._play()
            wrong += self._end()
            found = verdict.collect(self._runtime)
            wrong += verdict.judge(found, self._orders, self._plan.delivery)
            if not wrong:  # else the broker is looked at with them
                self._feed.delete()
        except (KafkaException, AssertionError, TimeoutError, RuntimeError) as error:
            wrong.append(f"{type(error).__name__}: {error}")
        finally:
            self._acting.kill()
        result = self._result(found, time.monotonic() - began, wrong)
        if wrong:
            shutil.copyfile(self._ground.broker.log, self._folder / "broker.log")
        kafka = self._runtime.kafka
        sound = not wrong or self._ground.sound(kafka.topic, self._runtime.group_id, kafka.group_protocol)
        return result if sound else replace(result, stuck_broker=True)

    def _result(self, found: Found | None, seconds: float, wrong: list[str]) -> Result:
        count = sum(len(alerts) for alerts in found.alerts.values()) if found else 0
        changes = sum(len(facts) - 1 for facts in found.facts.values()) if found else 0
        repeated = verdict.repeated(found.alerts) if found else 0
        shared = verdict.by_candidates(found) if found else 0
        return Result(self._plan, count, changes, repeated, seconds, shared, self._feed.stuck, wrong)

    def _play(self) -> None:
        """Produces, and does what the schedule says meanwhile."""
        for _ in range(self._plan.members):
            self._acting.join()
        self._acting.await_ready(_DONE_SECONDS)
        self._feed.start()
        for event in self._plan.events:
            self._acting.wait_until(self._feed.begin + event.at)
            self._acting.do(event)
        self._acting.finish()
        self._feed.join()

    def _end(self) -> list[str]:
        """Everything is decided, and all pods end."""
        if self._acting.deserted:
            self._acting.join()
        undecided = self._feed.await_decided()
        if undecided:
            undecided.append(self._feed.group())
            self._acting.tell()
            undecided.append(f"see the logs in {self._folder}")
        return undecided + self._acting.stop()
