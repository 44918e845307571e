"""An entity's labels (`entity.labels`) in its alerts: as the reading has them that led to the record. It keeps no state."""

from collections.abc import Callable, Mapping
from typing import Final

from anomaly_api.source import Pipeline
from anomaly_detector.core.decode.filters import written
from anomaly_detector.core.decode.flaw import Flaw
from anomaly_detector.core.decode.formats.readers import documents_of
from anomaly_detector.core.decode.paths import MISSING, path

_LONGEST: Final = 256
"""Characters of a label that are kept."""

Labels = Callable[[bytes | None], dict[str, str]]
"""From a message to its labels."""


def labels_of(pipeline: Pipeline) -> Labels | None:
    """How labels are read. None: there are none."""
    if not pipeline.labels:
        return None
    lookups = {name: path(field).lookup for name, field in pipeline.labels.items()}
    documents = documents_of(pipeline)

    def read(message: bytes | None) -> dict[str, str]:
        found = documents(message) if message else []
        document: Mapping[str, object] = {} if isinstance(found, Flaw) or not found else found[0]
        labels = {}
        for name, lookup in lookups.items():
            text = None if (value := lookup(document)) is MISSING else written(value)
            if text is not None:
                labels[name] = text[:_LONGEST]
        return labels

    return read
