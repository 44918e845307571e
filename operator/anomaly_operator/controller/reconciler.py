"""One reconciliation: observe, plan, carry out, tell, write the status. The decision itself is `core.plan`."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from anomaly_api.status import Condition
from anomaly_operator.controller import telemetry
from anomaly_operator.controller.workqueue import Queue
from anomaly_operator.core.actions import Plan
from anomaly_operator.core.models import model_status
from anomaly_operator.core.plan import plan
from anomaly_operator.core.resources.manifests import Installation
from anomaly_operator.core.snapshot import ApplyError, Evidence, Snapshot
from anomaly_operator.core.timestamps import rfc3339
from anomaly_operator.kube.client import ApiError
from anomaly_operator.kube.executor import Cluster
from anomaly_operator.kube.informers import Cache, InvalidSpecError, Key
from anomaly_operator.pods.evidence_client import EvidenceReader

logger = logging.getLogger(__name__)


class ApplyFailedError(Exception):
    """Something was refused; it is tried again after a pause."""


@dataclass
class _Memory:
    """What is known of a detector besides the watches. Losing it changes nothing but when figures are written next."""

    evidence: Evidence = field(default_factory=Evidence)
    apply_error: ApplyError | None = None
    stats_written: float = 0.0
    unreadable: tuple[int, str] = (0, "")
    """Generation of a spec that cannot be read, and why, as the status tells it."""
    asked: bool = False
    """Whether the pods have been asked since this process began to act."""

    def added_to(self, cached: Snapshot) -> Snapshot:
        """What is known in all."""
        return replace(cached, apply_error=self.apply_error, stats_written=self.stats_written, evidence=self.evidence)


class Reconciler:
    """Acts for detectors, one at a time each."""

    def __init__(
        self,
        cache: Cache,
        cluster: Cluster,
        reader: EvidenceReader,
        queue: Queue,
        installation: Installation,
        synced: asyncio.Event,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cache, self._cluster, self._reader, self._queue = cache, cluster, reader, queue
        self._installation, self._synced, self._clock = installation, synced, clock
        self._memories: dict[Key, _Memory] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def act(self, workers: int) -> None:
        """Reconcile all detectors, and then whatever is asked for, until cancelled."""
        await self._synced.wait()
        for key in self._cache.detectors():
            self._queue.add(key)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._queue.work(self.reconcile, (ApiError, ApplyFailedError)))
        finally:
            for key in self._memories:
                self._queue.cancel(key)
            for task in self._asking:
                task.cancel()
            self._memories.clear()

    async def reconcile(self, key: Key) -> None:
        """Bring one detector closer to what its spec says. Raises ApiError or RefusedError."""
        memory = self._memories.setdefault(key, _Memory())
        if not memory.asked:  # a restart must not make anyone believe that the pods have fallen silent
            await self._ask_pods(key, memory)
        try:
            cached = self._cache.snapshot(key)
        except InvalidSpecError as error:
            if memory.unreadable != (error.generation, str(error)):
                await self._cluster.patch_status(key, _invalid(error, self._clock()))
                memory.unreadable = (error.generation, str(error))
            return
        if cached is None:
            await self._forget(key)
            return
        snapshot = memory.added_to(cached)
        with telemetry.RECONCILE_SECONDS.time():
            planned = plan(snapshot, self._installation, self._clock())
            apply_error = await self._cluster.execute(snapshot.detector, planned.actions)
            for event in planned.events:
                await self._cluster.record_event(snapshot.detector, event)
            if planned.status:
                await self._cluster.patch_status(key, planned.status)
        if snapshot.detector.spec.paused:
            telemetry.forget(*key)  # someone asked for silence: no alert rule is to speak of it
        else:
            telemetry.READY.labels(*key).set(planned.ready)
            telemetry.SCORING.labels(*key).set(planned.scoring)
            telemetry.ALERTING.labels(*key).set(planned.alerting)
        self._keep(key, memory, planned, apply_error)
        if apply_error:
            raise ApplyFailedError(apply_error.message)
        self._queue.add_after(key, planned.requeue_after, self._ask)

    def _keep(self, key: Key, memory: _Memory, planned: Plan, apply_error: ApplyError | None) -> None:
        if "source" in planned.status:
            memory.stats_written = self._clock()
        if memory.apply_error != apply_error:  # the status does not tell of it yet
            memory.apply_error = apply_error
            self._queue.add(key)

    def _ask(self, key: Key) -> None:
        """Look again: ask the pods, then reconcile. Not part of the reconciliation, which must not wait for slow pods."""
        task = asyncio.ensure_future(self._refresh(key))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _refresh(self, key: Key) -> None:
        memory = self._memories.get(key)
        if memory is not None:
            await self._ask_pods(key, memory)
            self._queue.add(key)

    async def _ask_pods(self, key: Key, memory: _Memory) -> None:
        memory.evidence = await self._reader.ask(self._cache.pods(key), memory.evidence, self._clock())
        memory.asked = True

    async def _forget(self, key: Key) -> None:
        """A detector is gone: its children go by owner reference, only models that it shared are to be told."""
        namespace, name = key
        self._queue.cancel(key)
        self._memories.pop(key, None)
        telemetry.forget(namespace, name)
        for model in list(self._cache.models(namespace).values()):
            if name in (model.status.used_by or []) and not model.owner:
                remaining = [user for user in model.status.used_by or [] if user != name]
                await self._cluster.patch_model(namespace, model_status.PatchModel(model.name, {"usedBy": remaining}))


def _invalid(error: InvalidSpecError, now: float) -> dict[str, object]:
    """A status for a spec that the API server admitted, and that makes no sense or is of another version of the CRDs."""
    message = f"the operator cannot act on the spec, and goes on with the last one: {error}"
    statuses = {"Ready": "False", "Reconciling": "False", "Stalled": "True"}
    conditions = [
        Condition.model_validate(
            {
                "type": name,
                "status": status,
                "reason": "InvalidSpec",
                "message": message,
                "observedGeneration": error.generation,
                "lastTransitionTime": rfc3339(now),
            }
        ).document()
        for name, status in statuses.items()
    ]
    return {"conditions": conditions}
