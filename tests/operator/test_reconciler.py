"""The order in which a reconciliation writes, and what one failure keeps from being written."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from anomaly_operator.controller.reconciler import ApplyFailedError, Reconciler
from anomaly_operator.controller.workqueue import Queue
from anomaly_operator.core.resources.names import DETECTORS
from anomaly_operator.kube.client import ApiError
from anomaly_operator.kube.executor import Cluster
from anomaly_operator.kube.informers import Cache
from anomaly_operator.pods.evidence_client import EvidenceReader
from tests.operator.api_stub import ApiStub, serving
from tests.plan.world import INSTALLATION, SPEC, merged

KEY = ("plant", "pumps")
PATH = DETECTORS.path("plant", "pumps")
SPACE_ENDS = {"message": "it is being terminated", "details": {"causes": [{"reason": "NamespaceTerminating"}]}}
NONSENSE = {"alerts": {"suppress": [{"name": "x", "schedule": "0 2 * * *", "duration": "1h", "timeZone": "Europe/Atlantis"}]}}


@dataclass
class Desk:
    """A reconciler and what it works with."""

    stub: ApiStub
    cache: Cache
    queue: Queue
    reconciler: Reconciler

    def know(self, **spec: Any) -> None:
        """The detector is there, and the watch has told so."""
        metadata = {"namespace": "plant", "name": "pumps", "uid": "uid-1", "generation": 1}
        document = {"metadata": {**metadata, "creationTimestamp": "2026-06-01T00:00:00Z"}, "spec": merged(SPEC, spec)}
        self.cache.put(DETECTORS, self.stub.put(PATH, document))

    async def reconcile(self) -> None:
        """Until pods were asked and the plan was carried out."""
        await self.reconciler.reconcile(KEY)
        while not self.reconciler._memories[KEY].asked:
            await asyncio.sleep(0)
        await self.reconciler.reconcile(KEY)

    def condition(self, name: str) -> dict[str, Any]:
        return next(each for each in self.stub.objects[PATH]["status"]["conditions"] if each["type"] == name)


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    stub, cache, queue = ApiStub(), Cache(), Queue()
    async with serving(stub) as api:
        reader = EvidenceReader(1)
        reconciler = Reconciler(cache, Cluster(api, cache, "me"), reader, queue, INSTALLATION, asyncio.Event(), api.now)
        yield Desk(stub, cache, queue, reconciler)
        queue.cancel(KEY)
        await reader.close()


def run(story: Callable[[Desk], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with desk() as made:
            await story(made)

    asyncio.run(whole())


def test_what_is_decided_is_in_the_status_before_anything_follows_from_it() -> None:
    async def story(at: Desk) -> None:
        at.know()
        await at.reconcile()
        writes = at.stub.writes()
        status = writes.index("anomalydetectors/status")
        assert set(writes[:status]) == {"events"}
        assert {"configmaps", "deployments", "jobs"} <= set(writes[status + 1 :])

    run(story)


def test_what_was_decided_on_a_detector_that_has_changed_since_is_not_carried_out() -> None:
    async def story(at: Desk) -> None:
        at.know()
        at.stub.put(PATH, at.stub.objects[PATH] | {"spec": {**SPEC, "paused": True}})
        with pytest.raises(ApiError):
            await at.reconcile()
        assert set(at.stub.writes()) == {"events", "anomalydetectors/status"}
        at.know()
        at.stub.requests.clear()
        await at.reconcile()
        assert "deployments" in at.stub.writes()

    run(story)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_one_child_that_fails_keeps_neither_the_others_nor_the_status_back(status: int) -> None:
    async def story(at: Desk) -> None:
        at.stub.failing["/services"] = (status, {"message": "failed calling webhook dead.example.com"})
        at.know()
        with pytest.raises(ApplyFailedError, match="Service pumps-detector"):
            await at.reconcile()
        assert {"deployments", "jobs", "configmaps"} <= set(at.stub.writes())
        with pytest.raises(ApplyFailedError):
            await at.reconciler.reconcile(KEY)
        assert at.condition("Ready")["reason"] == "ApplyFailed"
        assert "dead.example.com" in at.condition("Ready")["message"]
        assert at.queue._timers[KEY], "pods are asked again all the same"

    run(story)


def test_a_namespace_that_is_being_deleted_is_left_alone_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async def story(at: Desk) -> None:
        at.stub.failing |= dict.fromkeys(("/events", "/services", "/configmaps", "/serviceaccounts"), (403, SPACE_ENDS))
        at.know()
        with caplog.at_level(logging.WARNING):
            await at.reconcile()
        assert caplog.records == []

    run(story)


def test_a_spec_that_makes_no_sense_from_the_start_leaves_the_other_conditions_as_they_are() -> None:
    async def story(at: Desk) -> None:
        at.know()
        await at.reconcile()
        before = at.condition("ModelAvailable")
        at.cache.drop(DETECTORS, *KEY)  # as another process, which has not seen the spec before
        document = at.stub.objects[PATH]
        at.cache.put(DETECTORS, at.stub.put(PATH, document | {"spec": merged(SPEC, NONSENSE)}))
        with suppress(ApplyFailedError):
            await at.reconciler.reconcile(KEY)
        assert at.condition("Stalled")["reason"] == "InvalidSpec"
        assert at.condition("ModelAvailable") == before

    run(story)


def test_pods_that_do_not_answer_hold_no_worker() -> None:
    async def story(at: Desk) -> None:
        at.know()
        await at.reconciler.reconcile(KEY)
        assert at.stub.writes() == [], "nothing is decided before the pods have been asked"
        assert at.reconciler._memories[KEY].asking

    run(story)
