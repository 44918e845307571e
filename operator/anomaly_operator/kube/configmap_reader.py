"""Contents of ConfigMaps, a few at a time: their watch tells only that they changed (see `client.session`).

A slot with a model, of up to a mebibyte, is not fetched where its metadata says that nobody but the operator has written its
content: its annotation has the digest. Otherwise an operator that starts would read all models of the cluster first.
"""

import asyncio
import logging
from typing import Any, Final

from anomaly_api.meta import MODEL_FILE
from anomaly_operator.core.models.slots import HASHES
from anomaly_operator.core.resources.names import ANNOTATION_SLOT, CONFIG_MAPS, FIELD_MANAGER
from anomaly_operator.core.snapshot import Manifest
from anomaly_operator.kube.client import Api, ApiError
from anomaly_operator.kube.informers import Cache

_AT_ONCE: Final = 4
_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)

logger = logging.getLogger(__name__)


class ConfigMapReader:
    """Reads what has changed into the cache, which keeps little of it."""

    def __init__(self, api: Api, cache: Cache) -> None:
        self._api, self._cache = api, cache
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def read(self, metadata: Manifest) -> None:
        """Take over the ConfigMap with this metadata, unless the cache has it."""
        slot = _as_filled(metadata)
        if slot is not None:
            self._cache.put(CONFIG_MAPS, slot)
            return
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


def _as_filled(metadata: Manifest) -> Manifest | None:
    """The slot as the operator has filled it; None for other ConfigMaps, and where somebody else has written into it."""
    digest = (metadata.get("annotations") or {}).get(ANNOTATION_SLOT)
    writers = [entry.get("manager") for entry in metadata.get("managedFields") or [] if _writes_content(entry)]
    if digest is None or writers != [FIELD_MANAGER]:
        return None
    return {"apiVersion": CONFIG_MAPS.api_version, "kind": CONFIG_MAPS.kind, "metadata": metadata, HASHES: {MODEL_FILE: digest}}


def _writes_content(entry: dict[str, Any]) -> bool:
    written = entry.get("fieldsV1") or {}
    return any(written.get(part) for part in ("f:binaryData", "f:data", "f:immutable"))
