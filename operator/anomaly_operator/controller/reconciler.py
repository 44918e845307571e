"""One reconciliation: snapshot, plan, Events, status, actions. The decision itself is `core.plan`.

The status is written before the actions, and only if the detector is still as it was when it was decided: a process that ends
in between leaves pods behind the status, which the next one brings on, and never ahead of it. Events come first; their names
are derived from what happened, so that a repetition is none.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from anomaly_api.status import Condition
from anomaly_operator.controller import telemetry
from anomaly_operator.controller.workqueue import Queue
from anomaly_operator.core.actions import Plan
from anomaly_operator.core.models import model_status
from anomaly_operator.core.plan import plan
from anomaly_operator.core.requeue import REST
from anomaly_operator.core.resources.manifests import Installation
from anomaly_operator.core.rollout.queries import due
from anomaly_operator.core.snapshot import Answer, ApplyError, Evidence, Snapshot
from anomaly_operator.core.steady import ASK_AGAIN, REPLAN, steady
from anomaly_operator.core.timestamps import rfc3339
from anomaly_operator.core.training.outcome import ended
from anomaly_operator.core.training.queue import Rank, Standing, TrainingQueue, rank
from anomaly_operator.kube.client import ApiError
from anomaly_operator.kube.entries import InvalidSpecError
from anomaly_operator.kube.executor import Cluster
from anomaly_operator.kube.informers import Cache, Key
from anomaly_operator.pods.evidence_client import EvidenceReader
from anomaly_operator.pods.query_client import QueryClient

logger = logging.getLogger(__name__)
_NAMESPACE_ENDS_PAUSE = 60.0


class ApplyFailedError(Exception):
    """Something could not be applied; it is tried again after a pause."""


@dataclass
class _Memory:
    """What is known of a detector besides the watches. Losing it changes nothing but when stream stats are written next."""

    evidence: Evidence = field(default_factory=Evidence)
    pod_refusals: dict[str, str] = field(default_factory=dict)
    apply_error: ApplyError | None = None
    stats_written: float = 0.0
    """At first when this process began to act, so that its start is no reason for a write."""
    unreadable: tuple[int, str] = (0, "")
    """Generation of a spec that cannot be read, and why, as the status tells it."""
    asked: bool = False
    """Whether the pods have been asked since this process began to act."""
    asking: bool = False
    at_rest: float = -math.inf
    """When a plan found last that nothing is to be done."""

    def added_to(self, cached: Snapshot) -> Snapshot:
        """The whole snapshot."""
        return replace(
            cached,
            apply_error=self.apply_error,
            pod_refusals=self.pod_refusals,
            stats_written=self.stats_written,
            evidence=self.evidence,
        )


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
        clock: Callable[[], float],
        trainings: TrainingQueue | None = None,
        patience: float = 0.0,
        queries: QueryClient | None = None,
    ) -> None:
        """Without `queries` no Prometheus server is asked anything."""
        self._cache, self._cluster, self._reader, self._queue = cache, cluster, reader, queue
        self._installation, self._synced, self._clock = installation, synced, clock
        self._trainings, self._patience = trainings or TrainingQueue(None), patience
        self._queries = queries
        self._memories: dict[Key, _Memory] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def act(self, workers: int) -> None:
        """Reconcile all detectors, and then whatever is asked for, until cancelled."""
        await self._synced.wait()
        for key in self._cache.detectors():
            self._recall(key)
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
            self._trainings.clear()
            telemetry.trainings(0, 0)

    def _recall(self, key: Key) -> None:
        """Tell the queue of trainings what Jobs and status say of a detector, before the first one is decided."""
        if any(not ended(job) for job in self._cache.jobs(key)):
            self._settle(key, Standing.RUNNING)
            return
        with suppress(InvalidSpecError):
            cached = self._cache.snapshot(key)
            training = cached.detector.status.training if cached else None
            if cached is not None and training is not None and training.state == "Queued":
                self._settle(key, Standing.WAITING, rank(cached))

    def _settle(self, key: Key, standing: Standing, own: Rank | None = None) -> None:
        """What a detector is to the queue of trainings now; those whose turn it may be are looked at."""
        for other in self._trainings.settle(key, standing, own):
            self._queue.add(other)
        telemetry.trainings(self._trainings.running, self._trainings.waiting)

    async def reconcile(self, key: Key) -> None:
        """Bring one detector closer to what its spec says. Raises ApiError or ApplyFailedError."""
        memory = self._memories.setdefault(key, _Memory(stats_written=self._clock()))
        try:
            cached = self._cache.snapshot(key)
        except InvalidSpecError as error:
            await self._report_invalid(key, memory, error)
            return
        if cached is None:
            await self._forget(key)
        elif not memory.asked:  # a restart must not make anyone believe that the pods have fallen silent
            self._ask(key)
        else:
            await self._act_on(key, memory, memory.added_to(cached))

    async def _act_on(self, key: Key, memory: _Memory, snapshot: Snapshot) -> None:
        try:
            with telemetry.RECONCILE_SECONDS.time():
                memory.at_rest, planned = -math.inf, self._planned(snapshot)
                self._queue.add_after(key, planned.requeue_after, self._ask)  # whatever becomes of it
                _measure(key, snapshot, planned)
                await self._write(key, snapshot, planned)
                apply_error = await self._cluster.execute(snapshot.detector, planned.actions)
        except ApiError as error:
            if error.status != 409:  # else it is decided again at once
                self._settle(key, Standing.NONE)
            if not error.namespace_ends:
                raise
            self._queue.cancel(key)  # its detector goes as well, and until then nothing can be made
            self._queue.add_after(key, _NAMESPACE_ENDS_PAUSE)
            return
        if planned.training_started:
            self._started(key, planned.training_started, apply_error)
        if "source" in planned.status:
            memory.stats_written = self._clock()
        if memory.apply_error != apply_error:  # the status does not tell of it yet
            memory.apply_error = apply_error
            self._queue.add(key)
        if apply_error:
            raise ApplyFailedError(apply_error.message)
        if planned.empty and planned.ready and planned.requeue_after >= REST:
            memory.at_rest = self._clock()

    async def _write(self, key: Key, snapshot: Snapshot, planned: Plan) -> None:
        """Events and status. Raises ApiError (409 when the detector has changed since it was decided)."""
        for event in planned.events:
            await self._cluster.record_event(snapshot.detector, event)
        if planned.status:
            await self._cluster.patch_status(key, planned.status, snapshot.detector.resource_version)
        if planned.transition:  # it is one only now
            telemetry.ROLLOUT_TRANSITIONS.labels(planned.transition.reason).inc()
            await self._cluster.record_event(snapshot.detector, planned.transition)

    def _planned(self, snapshot: Snapshot) -> Plan:
        """The plan, given the room that trainings have now; no other detector is planned before the queue knows of it."""
        own = rank(snapshot)
        room = self._trainings.room(own)
        planned = plan(replace(snapshot, room=room, patience=self._patience), self._installation, self._clock())
        self._settle(own.key, planned.training, own)
        return planned

    def _started(self, key: Key, reason: str, apply_error: ApplyError | None) -> None:
        """A Job was to be made. One that could not be made keeps nobody else from training."""
        if apply_error is None or self._cache.jobs(key):
            telemetry.TRAININGS_STARTED.labels(reason).inc()
        else:
            self._settle(key, Standing.NONE)

    def _ask(self, key: Key) -> None:
        """Ask the pods, then reconcile. Not part of the reconciliation, which must not wait for slow pods."""
        memory = self._memories.get(key)
        if memory is None or memory.asking:
            return
        memory.asking = True
        task = asyncio.ensure_future(self._refresh(key, memory))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _refresh(self, key: Key, memory: _Memory) -> None:
        before = memory.evidence
        try:
            asked = self._reader.ask(self._cache.pods(key), before, self._clock())
            evidence, queries = await asyncio.gather(asked, self._answers(key, before))
            memory.evidence = replace(evidence, queries=queries)
            memory.pod_refusals = await self._cluster.pod_refusals(key)
        except ApiError as error:
            logger.warning("%s/%s: it is not known whether pods are refused: %s", *key, error)
        finally:
            memory.asked, memory.asking = True, False
        if self._clock() - memory.at_rest < REPLAN and steady(before, memory.evidence):
            self._queue.add_after(key, ASK_AGAIN, self._ask)  # any change that is watched is looked at as ever
        else:
            self._queue.add(key)

    async def _answers(self, key: Key, before: Evidence) -> Mapping[str, Answer]:
        """The last answers to the queries of a rollout, asked anew where they are due."""
        try:
            cached = self._cache.snapshot(key)
        except InvalidSpecError:
            return before.queries
        if cached is None or cached.detector.status.candidate is None or self._queries is None:
            return {}
        questions = due(cached.detector, self._clock())
        return {**before.queries, **await self._queries.ask(questions, self._clock())}

    async def _report_invalid(self, key: Key, memory: _Memory, error: InvalidSpecError) -> None:
        """The status of a spec that makes no sense, when this process has not known a better one."""
        telemetry.READY.labels(*key).set(0)
        if memory.unreadable == (error.generation, str(error)):
            return
        await self._cluster.patch_status(key, _invalid(error, self._clock()))
        memory.unreadable = (error.generation, str(error))

    async def _forget(self, key: Key) -> None:
        """A detector is gone: its children go by owner reference, only models that it shared are to be told."""
        namespace, name = key
        self._queue.cancel(key)
        self._memories.pop(key, None)
        self._settle(key, Standing.NONE)
        self._cluster.forget(key)
        telemetry.forget(namespace, name)
        for model in self._cache.models_used(key):
            if name in (model.status.used_by or []) and not model.owner:
                remaining = [user for user in model.status.used_by or [] if user != name]
                await self._cluster.patch_model(namespace, model_status.PatchModel(model.name, {"usedBy": remaining}))


def _measure(key: Key, snapshot: Snapshot, planned: Plan) -> None:
    if snapshot.detector.spec.paused:
        telemetry.forget(*key)  # someone asked for silence: no alert rule is to speak of it
        return
    telemetry.READY.labels(*key).set(planned.ready)
    telemetry.SCORING.labels(*key).set(planned.scoring)
    telemetry.ALERTING.labels(*key).set(planned.alerting)
    telemetry.ARRIVING.labels(*key).set(planned.arriving)
    telemetry.DRIFTED.labels(*key).set(planned.drifted)


def _invalid(error: InvalidSpecError, now: float) -> dict[str, object]:
    """A status for a spec that the API server admitted, and that makes no sense or is of another version of the CRDs.

    The other conditions stay as they are: the pods go on with the last spec.
    """
    message = f"the operator cannot act on the spec, and leaves what runs as it is: {error}"
    statuses = {"Ready": "False", "Reconciling": "False", "Stalled": "True"}
    changed = [
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
    return {"conditions": [*changed, *(each for each in error.conditions if each.get("type") not in statuses)]}
