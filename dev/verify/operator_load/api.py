"""The API server as its administrator sees it, for the stand-ins and the measurements: the operator's own client, and watches."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar

import aiohttp

from anomaly_operator.core.resources.names import Kind
from anomaly_operator.kube.client import Api, login, server, session

Document = dict[str, Any]
_Item = TypeVar("_Item")
_AT_ONCE: Final = 32
_NO_LIMIT: Final = aiohttp.ClientTimeout(total=None)


class Admin:
    """Calls and watches, with the rights of an administrator."""

    def __init__(self, kubeconfig: str) -> None:
        os.environ["KUBECONFIG"] = kubeconfig
        info = login()
        self.api, self._server, self._session = Api(info), server(info), session(info)

    async def close(self) -> None:
        await self.api.close()
        await self._session.close()

    async def list(self, kind: Kind, selector: str = "") -> tuple[list[Document], str]:
        """All objects of a kind, and the version of the list."""
        query = {"labelSelector": selector} if selector else {}
        async with self._session.get(self._server + kind.path(), params=query, timeout=_NO_LIMIT) as answer:
            found = await answer.json()
        return list(found["items"] or []), str(found["metadata"]["resourceVersion"])

    async def watch(self, kind: Kind, selector: str = "") -> AsyncIterator[tuple[str, Document]]:
        """What there is, and then every change, without end."""
        while True:
            items, version = await self.list(kind, selector)
            for item in items:
                yield "ADDED", item
            query = {"watch": "1", "resourceVersion": version, **({"labelSelector": selector} if selector else {})}
            async with self._session.get(self._server + kind.path(), params=query, timeout=_NO_LIMIT) as answer:
                pending = b""
                async for part in answer.content.iter_any():
                    *lines, pending = (pending + part).split(b"\n")
                    for line in lines:
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            break
                        yield event["type"], event["object"]


async def at_once(items: Iterable[_Item], call: Callable[[_Item], Awaitable[Any]], most: int = _AT_ONCE) -> None:
    """Call for each, a few at a time."""
    turns = asyncio.Semaphore(most)

    async def one(item: _Item) -> None:
        async with turns:
            await call(item)

    async with asyncio.TaskGroup() as group:
        for item in items:
            group.create_task(one(item))
