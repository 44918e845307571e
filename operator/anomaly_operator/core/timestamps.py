"""Times as Kubernetes writes them. Nothing here reads a clock: a time is always passed in, in Unix seconds."""

from datetime import UTC, datetime


def rfc3339(moment: float) -> str:
    """Unix seconds as Kubernetes writes them.

    >>> rfc3339(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def unix(text: str | None) -> float:
    """RFC 3339 as Unix seconds; 0 for none."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0
