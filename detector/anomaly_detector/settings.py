"""What the environment of a scoring pod says: folders, names, ports. What a user decides is in `Runtime` and `Assignment`."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from anomaly_api.meta import CONFIG_FOLDER, HTTP_PORT


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the process."""

    pod: str
    config_folder: Path
    http_host: str
    """Address that the HTTP server listens on; empty: all."""
    http_port: int

    @classmethod
    def from_environment(cls) -> "Settings":
        """Raises ValueError when a variable makes no sense."""
        port = os.environ.get("ANOMALY_HTTP_PORT", str(HTTP_PORT))
        if not port.isdigit():
            raise ValueError(f"ANOMALY_HTTP_PORT is {port!r}: set it to a port number")
        return cls(
            pod=os.environ.get("POD_NAME") or socket.gethostname(),
            config_folder=Path(os.environ.get("ANOMALY_CONFIG_FOLDER", CONFIG_FOLDER)),
            http_host=os.environ.get("ANOMALY_HTTP_HOST", ""),
            http_port=int(port),
        )
