"""Why no pod of a Job is made: its controller says so in Events alone; a Deployment has a condition for it."""

from typing import Final

from anomaly_operator.core.snapshot import Manifest
from anomaly_operator.kube.client import Api

_REASON: Final = "FailedCreate"


async def pod_refusal(api: Api, job: Manifest) -> str:
    """The API server's own words, the newest; empty when no pod of the Job was refused. Raises ApiError."""
    metadata = job["metadata"]
    events = await api.events(metadata["namespace"], metadata["uid"], _REASON)
    newest = max(events, key=_moment, default={})
    return str(newest.get("message", "")).removeprefix("Error creating: ")


def _moment(event: Manifest) -> str:
    """When it happened last; RFC 3339 in UTC, which sorts as text."""
    return str(event.get("lastTimestamp") or event["metadata"].get("creationTimestamp") or "")
