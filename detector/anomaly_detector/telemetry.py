"""What a scoring pod counts: for Prometheus, and for the evidence that the operator reads. No entity is ever a label."""

import time
from collections import Counter as Counted
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily

from anomaly_api.alert import UndeliverableReason
from anomaly_detector.core.health.lag import Lag
from anomaly_detector.core.health.losses import RecentLosses
from anomaly_detector.core.health.progress import ProgressTracker
from anomaly_detector.core.outcome import Outcome
from anomaly_detector.core.preprocess.counts import ReadingCounts

_RECENT_SECONDS: Final = 60


class _Partitions:
    """How each partition goes, worked out when somebody asks."""

    def __init__(self, pace: ProgressTracker) -> None:
        self._pace = pace

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """As prometheus_client wants it."""
        standings = self._pace.standings(time.monotonic())
        for name, text, value in (
            ("seconds_since_last_score", "Seconds since a window of the partition was scored.", lambda each: each.since_score),
            (
                "waiting_seconds",
                "Seconds in which messages of the partition waited and none was decided.",
                lambda each: each.waiting,
            ),
            ("partition_lag_messages", "Messages of the partition not read yet.", lambda each: each.lag),
        ):
            family = GaugeMetricFamily(f"anomaly_detector_{name}", text, labels=["partition"])
            for standing in standings:
                family.add_metric([str(standing.partition)], value(standing))  # type: ignore[no-untyped-call]
            yield family


class Lost:
    """What is lost for good, and how much of it lately. Written by one thread, read by others."""

    def __init__(self) -> None:
        self.count = 0
        self._lately: deque[tuple[float, int]] = deque()
        """By the time at which it was heard of."""

    def add(self, count: int) -> None:
        """So much more."""
        now = time.time()
        self.count += count
        self._lately.append((now, count))
        while self._lately[0][0] < now - _RECENT_SECONDS:
            self._lately.popleft()

    def recently(self) -> int:
        """That of the last minute."""
        oldest = time.time() - _RECENT_SECONDS
        return sum(count for at, count in list(self._lately) if at >= oldest)


class Telemetry:
    """Counts since the start. Written by the loop, read by the HTTP threads."""

    def __init__(self, pace: ProgressTracker) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Partitions(pace))
        ProcessCollector(registry=self.registry)
        self.readings = self.windows = self.alerts = 0
        self.late = self.duplicates = self.released_early = self.dropped_pending = self.imputed = 0
        self.missing: dict[str, int] = {}
        self.alerts_suppressed = 0
        self.alerts_dropped: dict[str, int] = {}
        self.dead_letters: dict[str, int] = {}
        self.not_readings: dict[str, int] = {}
        self.recent_dead_letter = ""
        self.undeliverable_letters: dict[str, int] = {}
        self.last_reading: float | None = None
        self.last_scored: float | None = None
        self.last_alert: float | None = None
        self.last_score: float | None = None
        self._recent: deque[tuple[int, int, int]] = deque()  # second, messages, dead letters
        self.letters_lost, self.skipped = Lost(), Lost()
        """Dead letters that their topic did not take; messages that were gone before they were read."""
        self.busy = 1.0
        """Until it has waited for something, a pod may well be needed."""
        self.losses = RecentLosses()
        self._shown: set[int] = set()
        """Partitions whose lag is shown."""
        self._metrics()

    def batch(self, messages: int, outcome: Outcome, seconds: float) -> None:
        """A batch has been worked on."""
        now = time.time()
        self._readings.inc(messages)
        messages -= self._leave_alone(outcome)
        self.readings += messages
        self.windows += outcome.windows
        if messages:
            self.last_reading = now
        if outcome.top is not None:
            self.last_scored, self.last_score = now, outcome.top
        for reason, count in Counted(reject.reason.value for reject in outcome.rejects).items():
            self.dead_letters[reason] = self.dead_letters.get(reason, 0) + count
            self._dead_letters.labels(reason).inc(count)
        self._remember(int(now), messages, len(outcome.rejects))
        self.losses.add(now, messages, outcome.tally)
        self._count(outcome.tally)
        self._count_held(outcome)
        self._windows.inc(outcome.windows)
        self._seconds.observe(seconds)

    def sent(self, alerts: int) -> None:
        """So many alerts have been written: what was decided and not committed is decided, and would count, again."""
        if alerts:
            self.alerts += alerts
            self.last_alert = time.time()
            self._alerts.inc(alerts)

    def undeliverable(self, letters: Mapping[UndeliverableReason, int]) -> None:
        """So many dead letters more were taken in no form by their topic."""
        for reason, count in letters.items():
            self.undeliverable_letters = self.undeliverable_letters | {
                reason.value: self.undeliverable_letters.get(reason.value, 0) + count
            }
            self._undeliverable.labels(reason.value).inc(count)
            self.letters_lost.add(count)

    def skip(self, messages: int) -> None:
        """So many messages were gone before they were read."""
        self.losses.skip(time.time(), messages)
        if messages:
            self.skipped.add(messages)
            self._skipped.inc(messages)

    def worked(self, share: float, seconds: float) -> None:
        """In what share of the last so many seconds it did not wait for readings; a mean over about a minute is shown."""
        weight = min(1.0, seconds / _RECENT_SECONDS)
        self.busy += weight * (min(1.0, max(0.0, share)) - self.busy)
        self._busy.set(self.busy)

    def state(
        self, *, reading: bool, partitions: int, behind: Mapping[int, Lag], entities: int, warming: int, limits: int
    ) -> None:
        """How things stand, now and then."""
        self._up.set(reading)
        self._partitions.set(partitions)
        self._show_lag(behind)
        self._entities.set(entities)
        self._warming.set(warming)
        self._limits.set(limits)
        for gauge, at in ((self._last_reading, self.last_reading), (self._last_scored, self.last_scored)):
            if at is not None:
                gauge.set(at)

    def recent(self) -> tuple[int, int]:
        """Messages and dead letters of the last minute."""
        oldest = int(time.time()) - _RECENT_SECONDS
        kept = [entry for entry in list(self._recent) if entry[0] > oldest]
        return sum(entry[1] for entry in kept), sum(entry[2] for entry in kept)

    def text(self) -> bytes:
        """All metrics as Prometheus reads them."""
        return generate_latest(self.registry)

    def _leave_alone(self, outcome: Outcome) -> int:
        """Counts messages that are no readings; how many there are."""
        if outcome.skips:
            for reason, count in Counted(reason.value for _, reason in outcome.skips).items():
                self.not_readings = self.not_readings | {reason: self.not_readings.get(reason, 0) + count}
                self._not_readings.labels(reason).inc(count)
        return len(outcome.skips)

    def _count_held(self, outcome: Outcome) -> None:
        self.alerts_suppressed += outcome.suppressed
        self._suppressed.inc(outcome.suppressed)
        for kind in outcome.dropped:
            self.alerts_dropped[kind.value] = self.alerts_dropped.get(kind.value, 0) + 1
            self._dropped.labels(kind.value).inc()

    def _show_lag(self, behind: Mapping[int, Lag]) -> None:
        self._lag.set(sum(each.messages for each in behind.values()))
        self._lag_seconds.set(max((each.seconds for each in behind.values()), default=0.0))
        for gone in self._shown - behind.keys():
            self._partition_lag_seconds.remove(str(gone))
        for partition, each in behind.items():
            self._partition_lag_seconds.labels(str(partition)).set(each.seconds)
        self._shown = set(behind)

    def _count(self, tally: ReadingCounts) -> None:
        self.late += tally.late
        self.duplicates += tally.duplicates
        self.released_early += tally.released_early
        self._late.inc(tally.late)
        self._duplicates.inc(tally.duplicates)
        self._released_early.inc(tally.released_early)
        self.dropped_pending += tally.dropped_pending
        self._dropped_pending.inc(tally.dropped_pending)
        self.imputed += tally.imputed
        self._imputed.inc(tally.imputed)
        for feature, count in tally.missing.items():
            self.missing = self.missing | {feature: self.missing.get(feature, 0) + count}
            self._missing.labels(feature).inc(count)

    def _remember(self, second: int, messages: int, dead: int) -> None:
        if self._recent and self._recent[-1][0] == second:
            _, before, dead_before = self._recent.pop()
            messages, dead = messages + before, dead + dead_before
        self._recent.append((second, messages, dead))
        while self._recent[0][0] <= second - _RECENT_SECONDS:
            self._recent.popleft()

    def _metrics(self) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"anomaly_detector_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"anomaly_detector_{name}", text, labels, registry=self.registry)

        self._readings = counter("readings_total", "Messages read, good and bad, readings and others.")
        self._skipped = counter("skipped_messages_total", "Messages that Kafka had deleted before they were read.")
        self._late = counter("late_readings_total", "Readings left out because a newer one of their entity was in its windows.")
        self._duplicates = counter("duplicate_readings_total", "Readings left out because their entity had one of the same time.")
        self._released_early = counter(
            "released_early_readings_total", "Readings that waited less than time.lateness: too many others waited."
        )
        self._dropped_pending = counter("dropped_pending_readings_total", "Readings that waited when their entity was forgotten.")
        self._missing = counter("missing_values_total", "Values that readings lacked.", "feature")
        self._imputed = counter("imputed_values_total", "Values that were filled in where readings lacked them.")
        self._windows = counter("windows_total", "Windows decided.")
        self._alerts = counter("alerts_total", "Alerts sent.")
        self._suppressed = counter("alerts_suppressed_total", "Of the alerts, those that are for the record only.")
        self._dropped = counter("alerts_dropped_total", "Episodes that alerts.limits held back.", "reason")
        self._dead_letters = counter("dead_letters_total", "Messages that could not be read.", "reason")
        self._not_readings = counter(
            "not_readings_total", "Messages that are no readings of this detector: left alone.", "reason"
        )
        self._undeliverable = counter(
            "dead_letters_undeliverable_total", "Of them, those that their topic took in no form.", "reason"
        )
        self._up = gauge("source_up", "Whether the topic is being read: 1 or 0.")
        self._partitions = gauge("partitions", "Partitions assigned to this pod.")
        self._lag = gauge("lag_messages", "Messages of these partitions not read yet.")
        self._lag_seconds = gauge("lag_seconds", "Age of the oldest message not read yet, of the partition farthest behind.")
        self._partition_lag_seconds = gauge("partition_lag_seconds", "Age of the oldest message not read yet.", "partition")
        self._busy = gauge("busy_ratio", "Share of the last minute in which it worked rather than waited for readings.")
        self._entities = gauge("entities", "Entities known.")
        self._warming = gauge("warming_entities", "Of them, those not scored yet for lack of readings.")
        self._limits = gauge("limits_reached", "Entities and partitions of which alerts.limits holds episodes back now.")
        self._last_reading = gauge("last_reading_timestamp_seconds", "When a message was read last.")
        self._last_scored = gauge("last_scored_timestamp_seconds", "When a window was scored last.")
        self._seconds = Histogram(
            "anomaly_detector_batch_seconds",
            "Time from a batch's messages to its alerts.",
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
            registry=self.registry,
        )
