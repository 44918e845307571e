"""Has models that somebody brought checked, one at a time, apart from the detectors. `core.models.verification` decides."""

import asyncio
import logging
from collections.abc import Callable

from anomaly_operator.controller.workqueue import Queue
from anomaly_operator.core.models import verification
from anomaly_operator.core.models.model_status import PatchModel
from anomaly_operator.core.resources.names import JOBS
from anomaly_operator.kube.client import Api, ApiError
from anomaly_operator.kube.executor import Cluster
from anomaly_operator.kube.informers import Cache, Key

logger = logging.getLogger(__name__)


class ModelChecker:
    """Acts for AnomalyModels."""

    def __init__(
        self,
        cache: Cache,
        cluster: Cluster,
        api: Api,
        queue: Queue,
        image: str,
        synced: asyncio.Event,
        clock: Callable[[], float],
    ) -> None:
        self._cache, self._cluster, self._api, self._queue = cache, cluster, api, queue
        self._image, self._synced, self._clock = image, synced, clock

    async def act(self) -> None:
        """Look at all models that were brought, and then at whatever is asked for, until cancelled."""
        await self._synced.wait()
        for key in self._cache.brought_models():
            self._queue.add(key)
        await self._queue.work(self.reconcile, (ApiError,))

    async def reconcile(self, key: Key) -> None:
        """Bring the check of one model forward. Raises ApiError."""
        seen = self._cache.verification(key)
        if seen is None:
            self._queue.cancel(key)
            return
        planned = verification.plan(seen, self._image, self._clock())
        namespace, name = key
        if planned.apply is not None:
            self._cache.put(JOBS, await self._api.apply(planned.apply))
            logger.info("%s: AnomalyModel %s is being checked", namespace, name)
        if planned.delete is not None:
            metadata = planned.delete["metadata"]
            await self._cluster.delete(namespace, JOBS, metadata["name"], metadata["uid"])
        if planned.status:
            await self._cluster.patch_model(namespace, PatchModel(name, planned.status))
        if planned.requeue_after:
            self._queue.add_after(key, planned.requeue_after)
