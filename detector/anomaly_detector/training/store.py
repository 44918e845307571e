"""Puts an archive into a folder by URI; what it is called there follows from its content. ConfigMaps are `registry`'s."""

import os
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import urlsplit

import fsspec

from anomaly_api.meta import CLAIM_FOLDER
from anomaly_detector.training.failures import TrainingError

CLAIM_ENV: Final = "ANOMALY_CLAIM_FOLDER"
"""Overrides where the claim is mounted, for tests."""


def reachable(uri: str) -> str:
    """`uri` as fsspec is to open it here: file:// URIs stand for the claim, wherever it is mounted.

    Raises TrainingError when it leads out of the claim.
    """
    parts = urlsplit(uri)
    if parts.scheme != "file":
        return uri
    inside = PurePosixPath(parts.netloc + parts.path)
    if ".." in inside.parts:
        raise TrainingError(f"{uri} leads out of the volume of claimName: write a path without '..'")
    return str(Path(os.environ.get(CLAIM_ENV, CLAIM_FOLDER)) / str(inside).lstrip("/"))


def store(folder: str, digest: str, archive: bytes) -> str:
    """Writes `archive` into `folder` (a URI) unless it is there already, and returns its own URI.

    Raises TrainingError when the folder cannot be written.
    """
    uri = f"{folder.rstrip('/')}/{digest.removeprefix('sha256:')}.tar"
    where = reachable(uri)
    try:
        system, path = fsspec.core.url_to_fs(where)
        if system.exists(path) and system.size(path) == len(archive):
            return uri
        system.makedirs(system._parent(path), exist_ok=True)
        unfinished = f"{path}.{os.getpid()}"
        system.pipe_file(unfinished, archive)
        system.mv(unfinished, path)  # nobody ever reads half an archive
    except (OSError, ValueError, ImportError) as error:
        raise TrainingError(
            f"the model could not be written to {uri}: {_first_line(error)}; check spec.modelStore.uri"
        ) from error
    return uri


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
