"""What the operator is told by its environment. Read once, at the start."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from anomaly_api.meta import HTTP_PORT
from anomaly_operator.core.resources.manifests import Installation


class SettingsError(Exception):
    """The environment is incomplete or wrong; the message says what to set."""


@dataclass(frozen=True)
class Settings:
    """The environment, checked."""

    installation: Installation
    namespaces: tuple[str, ...]
    """Namespaces that are watched; empty for all."""
    own_namespace: str
    """Where the Lease is."""
    identity: str
    """Who holds the Lease."""
    lease: str
    log_level: str = "INFO"
    http_port: int = HTTP_PORT
    """Where /healthz and /metrics are served."""
    evidence_port: int = HTTP_PORT
    """Where pods serve /evidence."""
    watch_seconds: int = 45
    """Watches are renewed after so many seconds; one that is not is taken for dead after twice as many."""
    workers: int = 4
    """Detectors that are reconciled at the same time."""
    trainings: int | None = None
    """Trainings that may run at the same time; None: any number."""
    prometheus_hosts: tuple[str, ...] = ("*",)
    """Patterns of the hosts that rollouts may have queries to."""
    evidence_patience: float = 120.0
    """Seconds that scoring pods are given to say how much data there is, before a Job is made without knowing."""

    @property
    def watched(self) -> tuple[str | None, ...]:
        """Namespaces as API paths want them."""
        return self.namespaces or (None,)


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """From environment variables. Raises SettingsError."""
    namespaces = tuple(part.strip() for part in environment.get("WATCH_NAMESPACES", "").split(",") if part.strip())
    return Settings(
        installation=Installation(
            detector_image=_needed(environment, "DETECTOR_IMAGE", "the image of the scoring pods"),
            trainer_image=_needed(environment, "TRAINER_IMAGE", "the image of the training pods"),
            trainer_role=environment.get("TRAINER_CLUSTER_ROLE", "anomaly-operator-trainer"),
        ),
        namespaces=namespaces,
        own_namespace=_needed(environment, "POD_NAMESPACE", "the namespace of the operator itself"),
        identity=_needed(environment, "POD_NAME", "the name of the operator's pod"),
        lease=environment.get("LEASE_NAME", "anomaly-operator"),
        log_level=environment.get("LOG_LEVEL", "INFO").upper(),
        http_port=int(_number(environment, "ANOMALY_HTTP_PORT", HTTP_PORT)),
        evidence_port=int(_number(environment, "EVIDENCE_PORT", HTTP_PORT)),
        workers=max(1, int(_number(environment, "RECONCILE_WORKERS", 4))),
        trainings=int(_number(environment, "MAX_TRAININGS", 0)) or None,
        prometheus_hosts=tuple(part.strip() for part in environment.get("PROMETHEUS_HOSTS", "*").split(",") if part.strip()),
        evidence_patience=_number(environment, "EVIDENCE_PATIENCE", 120),
        watch_seconds=int(_number(environment, "WATCH_SECONDS", 45)),
    )


def _needed(environment: Mapping[str, str], name: str, what: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise SettingsError(f"environment variable {name} is not set: it names {what} (the Helm chart sets it)")
    return value


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "")
    try:
        return float(text) if text else default
    except ValueError as error:
        raise SettingsError(f"environment variable {name} is {text!r}, which is not a number") from error
