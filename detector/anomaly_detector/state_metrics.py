"""What a pod remembers of entities against what it may, and of whom: for Prometheus and for the evidence. It evicts nobody."""

import time
from collections import Counter, deque
from typing import Final

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client import Counter as Rising

from anomaly_api.evidence import MemoryEvidence, SeenEntity
from anomaly_detector.core.health.entity_sample import EntitySample
from anomaly_detector.core.outcome import Outcome
from anomaly_detector.core.pipeline import DetectionPipeline

_RECENT_SECONDS: Final = 60
_SEEN_SECONDS: Final = 30.0


class StateMetrics:
    """Counts since the start. Written by the loop, read by the HTTP threads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.evidence = MemoryEvidence()
        """As of the last `tell`."""
        self.seen: list[SeenEntity] = []
        """A few entities, as of the last look."""
        self._entity_sample = EntitySample()
        self._looked = -_SEEN_SECONDS
        self._evicted: Counter[str] = Counter()
        self._cut_off: deque[tuple[int, int]] = deque()
        """By second."""
        self._metrics(registry)

    def batch(self, outcome: Outcome) -> None:
        """A batch has been worked on."""
        if not outcome.left:
            return
        for reason, count in Counter(left.reason.value for left in outcome.left).items():
            self._evicted[reason] += count
            self._evicted_total.labels(reason).inc(count)
        if outcome.cut_off:
            self._cut_off_total.inc(outcome.cut_off)
            self._cut_off.append((int(time.time()), outcome.cut_off))

    def tell(self, pipeline: DetectionPipeline, partitions: int, of: int) -> None:
        """How things stand, now and then; this pod has `partitions` of the topic's."""
        oldest = int(time.time()) - _RECENT_SECONDS
        while self._cut_off and self._cut_off[0][0] <= oldest:
            self._cut_off.popleft()
        if time.monotonic() - self._looked >= _SEEN_SECONDS:
            self._looked = time.monotonic()
            found = self._entity_sample.look(pipeline.preprocessor.entities)
            self.seen = [SeenEntity(entity=name, partition=partition) for name, partition in found]
        bounds, used = pipeline.configuration.intake.bounds, pipeline.memory_bytes
        self._used.set(used)
        if bounds is None:
            return
        self._share.set(bounds.bytes * partitions)
        self.evidence = MemoryEvidence(
            used=used,
            share=bounds.bytes * partitions,
            capacity=bounds.entities * of,
            evicted=dict(self._evicted),
            recently_cut_off=sum(count for _, count in self._cut_off),
        )

    def _metrics(self, registry: CollectorRegistry) -> None:
        self._evicted_total = Rising(
            "anomaly_detector_entities_evicted_total",
            "Entities forgotten, to stay within the memory budget (Budget) or because they sent nothing for long (Idle).",
            ["reason"],
            registry=registry,
        )
        self._cut_off_total = Rising(
            "anomaly_detector_entities_cut_off_total",
            "Entities forgotten for the memory budget while they were active: their windows never fill.",
            registry=registry,
        )
        self._used = Gauge("anomaly_detector_memory_used_bytes", "What is remembered of entities.", registry=registry)
        self._share = Gauge(
            "anomaly_detector_memory_budget_bytes", "What may be: the shares of this pod's partitions.", registry=registry
        )
