"""An `AnomalyDetector` from a YAML file, for commands that run without a cluster."""

from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from anomaly_api.detector import AnomalyDetector
from anomaly_api.mistakes import sentences
from anomaly_api.schema import seconds
from anomaly_detector.cli.errors import CommandError

INTERVAL: Final = "anomaly-operator.dev/interval"
"""Annotation: how far apart the readings of a file are that has no column with times."""
_USUAL_INTERVAL: Final = "1m"


def document(path: Path) -> dict[str, Any]:
    """The first AnomalyDetector of a YAML file, as it is written. Raises CommandError."""
    try:
        found = [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each is not None]
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    detectors = [each for each in found if isinstance(each, dict) and each.get("kind") == "AnomalyDetector"]
    if not detectors:
        kinds = ", ".join(str(each.get("kind")) if isinstance(each, dict) else type(each).__name__ for each in found) or "nothing"
        raise CommandError(f"{path} holds no AnomalyDetector (it holds {kinds}): write one with kind: AnomalyDetector")
    return dict(detectors[0])


def detector(path: Path) -> AnomalyDetector:
    """The first AnomalyDetector of a YAML file. Raises CommandError."""
    try:
        return AnomalyDetector.model_validate(document(path))
    except ValidationError as error:
        raise CommandError("\n".join(f"{path}: {line}" for line in sentences(error))) from error


def interval(found: AnomalyDetector) -> float:
    """Seconds between two readings of a file without times."""
    annotations = found.metadata.get("annotations") or {}
    text = str(annotations.get(INTERVAL, _USUAL_INTERVAL))
    try:
        length = seconds(text)
    except ValueError as error:
        raise CommandError(f"metadata.annotations.{INTERVAL}: {error}") from error
    if length <= 0:
        raise CommandError(f"metadata.annotations.{INTERVAL} is {text}: write a length of time above 0s")
    return length
