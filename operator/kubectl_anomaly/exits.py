"""Exit statuses, for scripts, and the error that carries one. docs/kubectl.md lists them."""

from enum import IntEnum


class Exit(IntEnum):
    """What a command ends with."""

    DONE = 0
    NOT_SO = 1
    """What was asked about is not well: the detector is stalled or its candidate aborted, the file has mistakes."""
    USAGE = 2
    """The command makes no sense as it was written; argparse's own."""
    NOT_FOUND = 3
    FORBIDDEN = 4
    """RBAC, or Kafka's access rights, do not allow it."""
    UNREACHABLE = 5
    """The cluster, a pod or the broker does not answer, or kubectl is missing."""
    REFUSED = 6
    """Not now: there is nothing to promote, the API server refuses it, somebody else was faster."""
    TIMEOUT = 7
    UNDER_WAY = 8
    """The detector is neither ready nor stalled: wait."""
    INTERRUPTED = 130


class PluginError(Exception):
    """A command that cannot be done; the message says what was wrong and what to do."""

    def __init__(self, status: Exit, message: str) -> None:
        super().__init__(message)
        self.status = status
