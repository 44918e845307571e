"""`python -m anomaly_operator`: wires the parts together and runs until SIGTERM. Kopf runs inside, as one of the parts."""

import asyncio
import logging
import signal
import sys
from types import SimpleNamespace

import kopf

from anomaly_operator import settings
from anomaly_operator.controller import handlers
from anomaly_operator.controller.leader_election import STEP_DOWN, Leadership
from anomaly_operator.controller.model_checker import ModelChecker
from anomaly_operator.controller.probes import serve
from anomaly_operator.controller.reconciler import Reconciler
from anomaly_operator.controller.workqueue import Queue
from anomaly_operator.core.training.queue import TrainingQueue
from anomaly_operator.kube import resync
from anomaly_operator.kube.client import Api, login, server, session
from anomaly_operator.kube.configmap_reader import ConfigMapReader
from anomaly_operator.kube.executor import Cluster
from anomaly_operator.kube.informers import Cache
from anomaly_operator.pods.evidence_client import EvidenceReader
from anomaly_operator.pods.query_client import QueryClient

logger = logging.getLogger("anomaly_operator")


class PartFailedError(Exception):
    """A part that never ends has ended; the process is to be started anew."""


class Operator:
    """The parts, and how they begin and end."""

    def __init__(self, told: settings.Settings) -> None:
        info = login()
        self._told = told
        self._watches = resync.Watches(told.watched, told.watch_seconds)
        self._cache, self._queue, models, synced = Cache(), Queue(), Queue(waiting=None), asyncio.Event()
        self._api, self._reader = Api(info), EvidenceReader(told.evidence_port)
        self._queries = QueryClient(told.prometheus_hosts)
        cluster = Cluster(self._api, self._cache, told.identity)
        parts = (self._cache, cluster, self._reader, self._queue, told.installation, synced, self._api.now)
        reconciler = Reconciler(*parts, TrainingQueue(told.trainings), told.evidence_patience, self._queries)
        checker = ModelChecker(self._cache, cluster, self._api, models, told.installation.detector_image, synced, self._api.now)

        async def act() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(reconciler.act(told.workers))
                group.create_task(checker.act())

        self._leadership = Leadership(self._api, told.own_namespace, told.lease, told.identity, act)
        self._api.may_write = lambda: self._leadership.safe
        config_maps = ConfigMapReader(self._api, self._cache)
        self._memo = SimpleNamespace(
            cache=self._cache,
            config_maps=config_maps,
            queue=self._queue,
            models=models,
            settings=told,
            login=self._login,
            synced=synced,
        )
        self._stop_watching, self._watching = asyncio.Event(), asyncio.Event()

    def _login(self) -> kopf.AiohttpSession:
        info = login()
        return kopf.AiohttpSession(server=server(info), aiohttp_session=session(info, self._watches.renewed))

    async def run(self) -> None:
        """Until a signal, or until a part fails."""
        health = await serve(self._told.http_port, self._sick, self._unready)
        tasks = [
            asyncio.create_task(self._watch(), name="watching"),
            asyncio.create_task(self._leadership.run(), name="leadership"),
            asyncio.create_task(resync.resync(self._api, self._cache, self._told.watched, self._queue.add), name="audit"),
            asyncio.create_task(self._signal(), name="signal"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._end(tasks)
            await health.cleanup()
        failed = {task.get_name(): task.exception() for task in tasks if task.done() and not task.cancelled()}
        causes = [f"{name} failed: {error!r}" for name, error in failed.items() if error is not None]
        if causes:
            raise PartFailedError("; ".join(causes))

    async def _watch(self) -> None:
        await kopf.operator(
            memo=self._memo,
            clusterwide=not self._told.namespaces,
            namespaces=self._told.namespaces,
            standalone=True,
            stop_flag=self._stop_watching,
            ready_flag=self._watching,
        )

    async def _signal(self) -> None:
        """Kopf takes SIGTERM for itself as it starts; it is taken back, since the Lease must be given back first."""
        await self._watching.wait()
        await asyncio.sleep(0.1)
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        await stopped.wait()
        logger.info("asked to stop")

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        loop = asyncio.get_running_loop()  # kopf's callbacks may fail while it stops; nobody needs to know
        loop.set_exception_handler(lambda _, context: logger.debug("while stopping: %s", context))
        watching, *others = tasks
        for task in others:
            task.cancel()
        await asyncio.wait(others)
        self._stop_watching.set()
        await asyncio.wait([watching], timeout=8)
        await self._reader.close()
        await self._queries.close()
        await self._api.close()

    def _sick(self) -> str:
        dead = self._watches.dead()
        if dead:
            return f"watching has died: {', '.join(dead)} not renewed in time"
        idle = asyncio.get_running_loop().time() - self._leadership.turned
        return f"the leader election has not moved for {idle:.0f} s" if idle > 4 * STEP_DOWN else ""

    def _unready(self) -> str:
        return "" if self._watches.complete else "not everything is being watched yet"


def main() -> int:
    """Exit status 0 after a signal, 1 when a part failed or the environment is incomplete."""
    try:
        told = settings.read()
    except settings.SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    logging.basicConfig(level=told.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kopf").setLevel(max(logging.WARNING, logging.getLevelName(told.log_level)))
    try:
        asyncio.run(_run(told))
    except (kopf.LoginError, PartFailedError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


async def _run(told: settings.Settings) -> None:
    await Operator(told).run()


assert handlers  # importing it registers the handlers

if __name__ == "__main__":
    sys.exit(main())
