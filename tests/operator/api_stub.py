"""As much of an API server as one reconciliation asks: objects with versions, preconditions, and failures of the test's choice.

What the real one answers in these cases is tested beside it: test_refusals, test_children, test_process.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import kopf
from aiohttp import web

from anomaly_operator.kube.client import Api
from tests.plan.world import merged

Document = dict[str, Any]


class ApiStub:
    """Objects by path."""

    def __init__(self) -> None:
        self.objects: dict[str, Document] = {}
        self.requests: list[tuple[str, str]] = []
        self.failing: dict[str, tuple[int, Document]] = {}
        """Status and body by a part of the path; for writes only."""
        self._version = 100

    def put(self, path: str, document: Document) -> Document:
        self._version += 1
        document["metadata"]["resourceVersion"] = str(self._version)
        self.objects[path] = document
        return document

    def writes(self) -> list[str]:
        """Kinds (and subresources) that were written, in order."""
        return [self._kind(path) for verb, path in self.requests if verb != "GET"]

    @staticmethod
    def _kind(path: str) -> str:
        parts = path.split("/namespaces/")[1].split("/")[1:]
        return "/".join([parts[0], *parts[2:]])

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append((request.method, request.path))
        if request.method == "GET":
            found = self.objects.get(request.path)
            return web.json_response(found or {"message": "not found"}, status=200 if found else 404)
        for part, (status, body) in self.failing.items():
            if part in request.path:
                return web.json_response(body, status=status)
        sent = json.loads(await request.text())
        if request.method == "POST":
            return web.json_response(sent, status=201)
        return self._patched(request.path, sent)

    def _patched(self, path: str, sent: Document) -> web.Response:
        target = path.removesuffix("/status")
        before = self.objects.get(target, {})
        version = sent.get("metadata", {}).pop("resourceVersion", None)
        if version is not None and version != before.get("metadata", {}).get("resourceVersion"):
            return web.json_response({"message": "the object has been modified"}, status=409)
        namespace, name = target.split("/")[-3], target.split("/")[-1]
        document = merged(merged({"metadata": {"namespace": namespace, "name": name, "uid": f"uid-{name}"}}, before), sent)
        return web.json_response(self.put(target, document))


@asynccontextmanager
async def serving(stub: ApiStub) -> AsyncIterator[Api]:
    """The operator's own client, connected to the stub."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", stub.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    api = Api(kopf.ConnectionInfo(server=f"http://127.0.0.1:{port}"))
    try:
        yield api
    finally:
        await api.close()
        await runner.cleanup()
