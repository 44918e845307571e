"""Whether watching is alive, and whether it has missed anything.

kopf renews each watch after `watch_seconds`; a watch that was not renewed for twice as long is dead, whatever the reason
(its task ended, the stream stalled, the API server is gone), and /healthz fails. Renewals are seen on kopf's session.
Deletions that fell into a gap of a watch are never told: an audit compares names from time to time.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Final

from anomaly_api.meta import LABEL_COMPONENT, LABEL_DETECTOR
from anomaly_operator.controller import telemetry
from anomaly_operator.core.resources.names import AUTOSCALERS, CONFIG_MAPS, DETECTORS, MODELS, WATCHED, Kind
from anomaly_operator.kube.client import Api, ApiError
from anomaly_operator.kube.informers import Cache, Key

RESYNC_SECONDS: Final = 300.0
_UNLABELLED: Final = (DETECTORS, MODELS, AUTOSCALERS)

logger = logging.getLogger(__name__)


def selector(kind: Kind) -> str:
    """Label selector of the watch: of children only those with a detector; models' ConfigMaps are their AnomalyModels'."""
    if kind in _UNLABELLED:
        return ""
    return f"{LABEL_DETECTOR},{LABEL_COMPONENT}!=model" if kind == CONFIG_MAPS else LABEL_DETECTOR


class Watches:
    """When each watch was renewed last."""

    def __init__(
        self, namespaces: Iterable[str | None], watch_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit, self._clock = 2 * watch_seconds, clock
        started = clock()
        self._renewed = {kind.path(namespace): started for kind in WATCHED for namespace in namespaces}
        self._seen: set[str] = set()

    def renewed(self, path: str) -> None:
        """The API server has accepted a watch of this path."""
        for known in self._renewed:
            if path.endswith(known):
                self._renewed[known] = self._clock()
                self._seen.add(known)

    @property
    def complete(self) -> bool:
        """Whether everything is being watched."""
        return len(self._seen) == len(self._renewed)

    def dead(self) -> list[str]:
        """Paths whose watch has not been renewed in time."""
        now = self._clock()
        telemetry.WATCH_AGE.set(now - min(self._renewed.values()))
        return sorted(path for path, when in self._renewed.items() if now - when > self._limit)


async def resync(
    api: Api, cache: Cache, namespaces: Iterable[str | None], concerned: Callable[[Key], None], seconds: float = RESYNC_SECONDS
) -> None:
    """Every few minutes: forget what is no longer there, and tell whom it concerns. Until cancelled."""
    places = list(namespaces)
    while True:
        await asyncio.sleep(seconds)
        for kind in WATCHED:
            for namespace in places:
                try:
                    await _resync_kind(api, cache, kind, namespace, concerned)
                except ApiError as error:
                    logger.warning("%s could not be compared with what is known: %s", kind.plural, error)


async def _resync_kind(api: Api, cache: Cache, kind: Kind, namespace: str | None, concerned: Callable[[Key], None]) -> None:
    before = cache.known(kind, namespace)
    present = {(item["namespace"], item["name"]) for item in await api.names(kind, namespace, selector(kind))}
    for place in before - present:
        if await api.get(kind, *place) is None:  # the list may be older than what a watch has just told
            logger.warning("%s %s/%s is gone, and no watch has told so", kind.kind, *place)
            for key in cache.drop(kind, *place):
                concerned(key)
