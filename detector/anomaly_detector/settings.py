"""Settings from the environment of a scoring pod: folders, names, ports. A user's decisions are in `Runtime` and `Assignment`."""

import os
import socket
from pathlib import Path
from typing import Final

from msgspec import Struct

from anomaly_api.meta import CONFIG_FOLDER, HTTP_PORT

_CHECKPOINT_READINGS: Final = 200_000
_BATCH_MESSAGES: Final = 6_000
_CANDIDATE_MEMORY: Final = 256_000_000
_CANDIDATE_MILLISECONDS: Final = 5_000


class Settings(Struct, frozen=True):
    """Settings of the process."""

    pod: str
    config_folder: Path
    http_host: str
    """Address that the HTTP server listens on; empty: all."""
    http_port: int
    checkpoint_readings: int = _CHECKPOINT_READINGS
    """What is remembered of a partition is written down after so many readings: replaying them takes half a second."""
    batch_messages: int = _BATCH_MESSAGES
    """Messages that are decided together, at most. While a batch of half as many is scored, the next one is read."""

    candidate_memory: int = _CANDIDATE_MEMORY
    """Bytes that a candidate's model may take, beside what its process takes without one."""
    candidate_milliseconds: int = _CANDIDATE_MILLISECONDS
    """That it may take for the windows of a batch."""

    @classmethod
    def from_environment(cls) -> "Settings":
        """Raises ValueError when a variable makes no sense."""
        port = _whole("ANOMALY_HTTP_PORT", HTTP_PORT)
        return cls(
            pod=os.environ.get("POD_NAME") or socket.gethostname(),
            config_folder=Path(os.environ.get("ANOMALY_CONFIG_FOLDER", CONFIG_FOLDER)),
            http_host=os.environ.get("ANOMALY_HTTP_HOST", ""),
            http_port=port,
            checkpoint_readings=_whole("ANOMALY_CHECKPOINT_READINGS", _CHECKPOINT_READINGS),
            candidate_memory=_whole("ANOMALY_CANDIDATE_MEMORY", _CANDIDATE_MEMORY),
            candidate_milliseconds=_whole("ANOMALY_CANDIDATE_MILLISECONDS", _CANDIDATE_MILLISECONDS),
            batch_messages=max(1, _whole("ANOMALY_BATCH_MESSAGES", _BATCH_MESSAGES)),
        )


def _whole(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdigit():
        raise ValueError(f"{name} is {text!r}: set it to a whole number")
    return int(text)
