"""Model artifacts from wherever they are kept: a path in the pod, or any URI that fsspec reaches. It only reads."""

from pathlib import Path

from anomaly_detector.core.scoring.artifact import MAX_ARCHIVE_BYTES


class ArtifactMissingError(Exception):
    """The artifact does not exist or cannot be reached (now); the message says where and why."""


def fetch(location: str) -> bytes:
    """The archive at a path or URI; one byte more than is allowed, at most. Raises ArtifactMissingError."""
    try:
        if "://" not in location:
            with Path(location).open("rb") as file:
                return file.read(MAX_ARCHIVE_BYTES + 1)
        import fsspec  # takes a while to import, and most models come from a folder

        with fsspec.open(location, "rb") as remote:
            content: bytes = remote.read(MAX_ARCHIVE_BYTES + 1)
            return content
    except FileNotFoundError as error:
        raise ArtifactMissingError(f"there is no model archive at {location} (yet)") from error
    except (OSError, ValueError, ImportError) as error:
        raise ArtifactMissingError(f"the model archive at {location} cannot be read: {error}") from error
