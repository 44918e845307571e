"""Model artifacts from wherever they are kept: a path in the pod, or any URI that fsspec reaches. It only reads."""

from pathlib import Path

from anomaly_api.evidence import RevisionFailure
from anomaly_detector.core.scoring.artifact import MAX_ARCHIVE_BYTES


class ArtifactUnavailableError(Exception):
    """The artifact could not be fetched (this time); the message says from where and why, `failure` is its kind."""

    def __init__(self, failure: RevisionFailure, message: str) -> None:
        super().__init__(message)
        self.failure = failure


def remote(location: str) -> bool:
    """Whether an artifact is kept elsewhere than in the pod's own files."""
    return "://" in location


def fetch(location: str) -> bytes:
    """The archive at a path or URI; one byte more than is allowed, at most. Raises ArtifactUnavailableError, and nothing else."""
    try:
        if not remote(location):
            with Path(location).open("rb") as file:
                return file.read(MAX_ARCHIVE_BYTES + 1)
        import fsspec  # takes a while to import, and most models come from a folder

        # a client of its own each time: one that is kept would keep credentials, and what it once found missing
        with fsspec.open(location, "rb", skip_instance_cache=True) as opened:
            content: bytes = opened.read(MAX_ARCHIVE_BYTES + 1)
            return content
    except FileNotFoundError as error:
        text = f"there is no model archive at {location} (yet)"
        raise ArtifactUnavailableError(RevisionFailure.ARTIFACT_MISSING, text) from error
    except Exception as error:  # each store has a client with errors of its own, and none of them may end the pod
        reason = " ".join(str(error).split()) or type(error).__name__
        text = f"the model archive at {location} cannot be read: {reason[:300]}"
        failure = RevisionFailure.MODEL_STORE_UNREACHABLE if remote(location) else RevisionFailure.ARTIFACT_MISSING
        raise ArtifactUnavailableError(failure, text) from error
