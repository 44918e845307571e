"""Stand-ins for kubelets, controllers and scoring pods: `python -m dev.verify.operator_load.pods KUBECONFIG PORT FILE`.

A pod is made for each Deployment, said to run at an address in 127.0.0.0/8, where one server answers for all of them: with what
the detector's ConfigMap tells its pods to do, as if it was done. Pods whose addresses stand in FILE, a line each, take the
question and do not answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from anomaly_api.assignment import Assignment
from anomaly_api.meta import ANNOTATION_ASSIGNMENT, ASSIGNMENT_FILE, LABEL_COMPONENT, LABEL_DETECTOR
from anomaly_operator.core.resources.names import CONFIG_MAPS, DEPLOYMENTS, DETECTOR, PODS
from dev.verify.operator_load.api import Admin, Document

_SELECTOR: Final = f"{LABEL_DETECTOR},{LABEL_COMPONENT}={DETECTOR}"
_SILENT_SECONDS: Final = 30.0


def address(number: int) -> str:
    """Of the pod with this number."""
    return f"127.{1 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}"


class StandIns:
    """All pods of the fleet."""

    def __init__(self, admin: Admin, silent: Path) -> None:
        self._admin, self._silent = admin, silent
        self._addresses: dict[str, str] = {}
        """By the detector's name."""
        self._evidence: dict[str, Document] = {}
        """By address."""
        self._made: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(16)

    async def run(self, port: int) -> None:
        """Until cancelled."""
        application = web.Application()
        application.router.add_get("/evidence", self._answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", port, backlog=4096).start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_settings())
            group.create_task(self._follow_deployments())

    async def _answer(self, request: web.Request) -> web.Response:
        where = request.host.split(":")[0]
        if self._silent.exists() and where in self._silent.read_text().split():
            await asyncio.sleep(_SILENT_SECONDS)
        said = self._evidence.get(where)
        if said is None:
            return web.Response(status=503)
        now = time.time()
        return web.Response(text=json.dumps({**said, "now": now, "lastScored": now - 0.5, "lastReading": now - 0.5}))

    def _address(self, detector: str) -> str:
        return self._addresses.setdefault(detector, address(len(self._addresses)))

    async def _follow_settings(self) -> None:
        async for kind, document in self._admin.watch(CONFIG_MAPS, _SELECTOR):
            text = document.get("data", {}).get(ASSIGNMENT_FILE)
            if kind == "DELETED" or text is None:
                continue
            told = Assignment.model_validate_json(text)
            detector = document["metadata"]["labels"][LABEL_DETECTOR]
            roles = {"stable": told.stable, "candidate": told.candidate}
            revisions = [
                {"revision": each.name, "role": role, "loaded": True, "windows": 1000} for role, each in roles.items() if each
            ]
            self._evidence[self._address(detector)] = {
                "pod": "",
                "runtime": "",
                "assignment": document["metadata"]["annotations"][ANNOTATION_ASSIGNMENT],
                "source": {"state": "Reading", "partitions": 4},
                "revisions": revisions,
                "recentReadings": 100,
                "readings": 1000,
                "windows": 1000,
                "entities": 20,
            }

    async def _follow_deployments(self) -> None:
        async for kind, document in self._admin.watch(DEPLOYMENTS, _SELECTOR):
            if kind == "DELETED":
                continue
            task = asyncio.create_task(self._roll_out(document))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _roll_out(self, deployment: Document) -> None:
        """What Deployment and ReplicaSet controllers, scheduler and kubelet would do."""
        metadata = deployment["metadata"]
        namespace, name, generation = metadata["namespace"], metadata["name"], metadata["generation"]
        if deployment.get("status", {}).get("observedGeneration", 0) >= generation:
            return
        async with self._turns:
            if metadata["uid"] not in self._made:
                self._made.add(metadata["uid"])
                await self._make_pod(namespace, deployment)
            replicas = deployment["spec"].get("replicas", 1)
            counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
            status = {"observedGeneration": generation, **counts}
            await self._admin.api.merge(DEPLOYMENTS, namespace, name, {"status": status}, "status")

    async def _make_pod(self, namespace: str, deployment: Document) -> None:
        metadata = deployment["metadata"]
        owner = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
        }
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        pod: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{metadata['name']}-0", "labels": labels, "ownerReferences": [owner]},
            "spec": {
                "containers": [{"name": "detector", "image": "example/detector:1"}],
                "serviceAccountName": metadata["name"],
                "automountServiceAccountToken": False,
            },
        }
        await self._admin.api.create(PODS, namespace, pod)
        where = self._address(labels[LABEL_DETECTOR])
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        container = {"name": "detector", "image": "i", "imageID": "", "ready": True, "restartCount": 0}
        status = {
            "phase": "Running",
            "podIP": where,
            "podIPs": [{"ip": where}],
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{**container, "state": {"running": {"startedAt": started}}}],
        }
        await self._admin.api.merge(PODS, namespace, pod["metadata"]["name"], {"status": status}, "status")


async def _main(kubeconfig: str, port: str, silent: str) -> None:
    admin = Admin(kubeconfig)
    try:
        await StandIns(admin, Path(silent)).run(int(port))
    finally:
        await admin.close()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
