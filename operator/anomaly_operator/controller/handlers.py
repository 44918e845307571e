"""Every kopf decorator there is. Kopf watches; handlers take over what it tells into the cache, and ask for attention.

Only indices and `on.event` are used: they keep no state in the objects, add no finalizer and no timer. Indexing comes
before any event handler, so the cache is whole before the first detector is looked at.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import kopf

from anomaly_operator.controller.workqueue import Queue
from anomaly_operator.core.resources.names import CONFIG_MAPS, DETECTORS, MODELS, WATCHED
from anomaly_operator.kube.configmap_reader import ConfigMapReader
from anomaly_operator.kube.informers import Cache
from anomaly_operator.kube.resync import selector
from anomaly_operator.kube.verifications import checked_model
from anomaly_operator.settings import Settings

_KINDS = {(kind.group, kind.plural): kind for kind in WATCHED}


class Memo(Protocol):
    """What the handlers are given (kopf's memo)."""

    synced: asyncio.Event
    """Set when all caches have been filled."""

    cache: Cache
    config_maps: ConfigMapReader
    queue: Queue
    models: Queue
    """AnomalyModels that want attention of their own."""
    settings: Settings
    login: Callable[[], kopf.AiohttpSession]


@kopf.on.startup()
async def configure(settings: kopf.OperatorSettings, memo: Memo, **_: Any) -> None:
    """Kopf writes nothing: no Events, no peering, no annotations. Watches end and begin again, so that a dead one shows."""
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.watching.server_timeout = memo.settings.watch_seconds
    settings.watching.inactivity_timeout = memo.settings.watch_seconds + 5
    settings.watching.connect_timeout = settings.networking.connect_timeout = 5
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 30
    settings.queueing.exit_timeout = 0.5
    for kind in WATCHED:
        if selector(kind):
            settings.watching.label_selectors[kind.group, kind.version, kind.plural] = selector(kind)


@kopf.on.login()
async def login(memo: Memo, **_: Any) -> kopf.AiohttpSession:
    """Kopf's session is ours: it renews its token, and its watches can be seen. A refused one is closed: make another."""
    return memo.login()


async def update_cache(body: kopf.Body, resource: kopf.Resource, memo: Memo, **_: Any) -> None:
    """Take over what there is."""
    kind = _KINDS[resource.group, resource.plural]
    if kind == CONFIG_MAPS:
        await memo.config_maps.read(body["metadata"])
    else:
        memo.cache.put(kind, {"apiVersion": kind.api_version, "kind": kind.kind, **body})


async def enqueue(type: str | None, body: kopf.Body, resource: kopf.Resource, memo: Memo, **_: Any) -> None:  # noqa: A002
    """Ask for attention to whom a change concerns."""
    kind, metadata = _KINDS[resource.group, resource.plural], body["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    concerned = memo.cache.concerned(kind, namespace, name)
    if type == "DELETED":
        concerned |= memo.cache.drop(kind, namespace, name, int(metadata["resourceVersion"]))
        concerned |= {(namespace, name)} if kind == DETECTORS else set()
    for key in concerned:
        memo.queue.add(key)
    model = name if kind == MODELS else checked_model({"metadata": metadata})
    if model:
        memo.models.add((namespace, model))
    memo.synced.set()


for _kind in WATCHED:
    kopf.index(_kind.group, _kind.version, _kind.plural, id="update_cache")(update_cache)
    kopf.on.event(_kind.group, _kind.version, _kind.plural, id="enqueue")(enqueue)
