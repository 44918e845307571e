"""Contents of ConfigMaps, one at a time: their watch tells only that they changed (see `api.session`)."""

import asyncio
import logging
from typing import Final

from anomaly_operator.core.resources.names import CONFIG_MAPS
from anomaly_operator.core.snapshot import Manifest
from anomaly_operator.kube.client import Api, ApiError
from anomaly_operator.kube.informers import Cache

_AT_ONCE: Final = 2
_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)

logger = logging.getLogger(__name__)


class ConfigMapReader:
    """Reads what has changed into the cache, which keeps little of it."""

    def __init__(self, api: Api, cache: Cache) -> None:
        self._api, self._cache = api, cache
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def read(self, metadata: Manifest) -> None:
        """Take over the ConfigMap with this metadata, unless the cache has it."""
        for pause in (*_PAUSES, None):
            if self._cache.knows(CONFIG_MAPS, metadata):
                return
            try:
                async with self._turn:
                    document = await self._api.get(CONFIG_MAPS, metadata["namespace"], metadata["name"])
                    if document is not None:  # else its deletion will be told
                        self._cache.put(CONFIG_MAPS, document)
            except ApiError as error:
                if pause is None:
                    logger.warning("ConfigMap %s/%s cannot be read: %s", metadata["namespace"], metadata["name"], error)
                    return
                await asyncio.sleep(pause)
            else:
                return
