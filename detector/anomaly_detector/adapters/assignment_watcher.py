"""Watches the operator's `Assignment`, a file in a mounted folder, and loads it again whenever it changes.

A thread of its own loads what an assignment names, so that a slow model store never holds up the stream; the loop takes over
what is ready between two batches. A revision that cannot be loaded leaves the one before it at work.
"""

import logging
import threading
import time
from pathlib import Path
from typing import Final

from msgspec import Struct
from pydantic import ValidationError

from anomaly_api.assignment import Assignment, Revision
from anomaly_api.evidence import RevisionEvidence, RevisionFailure
from anomaly_api.meta import ASSIGNMENT_FILE
from anomaly_detector.adapters.assignment_files import AssignmentError, reason
from anomaly_detector.adapters.model_store import ArtifactMissingError, fetch
from anomaly_detector.core.scoring.artifact import ArtifactError, unpack
from anomaly_detector.core.scoring.onnx import Model
from anomaly_detector.core.scoring.revisions import LoadedRevision

log: Final = logging.getLogger(__name__)
_LOOK_AGAIN_SECONDS: Final = 0.5
_FETCH_AGAIN_SECONDS: Final = 10.0
"""An archive that is there and no good is fetched again after this long; one that is missing, at every look."""


class LoadedAssignment(Struct, frozen=True):
    """An assignment, ready to be taken over."""

    digest: str
    loaded: LoadedRevision


class AssignmentWatcher:
    """Watches the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._text = b""
        self._assignment: Assignment | None = None
        self._ready: LoadedAssignment | None = None
        self._last: LoadedAssignment | None = None
        self._pending: RevisionEvidence | None = None
        self._fetch_again = 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="orders", daemon=True)

    def start(self) -> LoadedAssignment:
        """Loads the first assignment, whatever state its model is in, and begins to watch. Raises AssignmentError."""
        self._look()
        taken = self.take()
        if taken is None:
            raise AssignmentError(f"{self._folder / ASSIGNMENT_FILE}: it cannot be read; the operator writes it, see its log")
        self._thread.start()
        return taken

    def stop(self) -> None:
        """Ends the watching."""
        self._stop.set()
        self._thread.join()

    def take(self) -> LoadedAssignment | None:
        """Returns a newly loaded assignment once, else None."""
        with self._lock:
            taken, self._ready = self._ready, None
            return taken

    @property
    def pending(self) -> RevisionEvidence | None:
        """A revision that is ordered and cannot be loaded while another one goes on."""
        with self._lock:
            return self._pending

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_AGAIN_SECONDS):
            try:
                self._look()
            except Exception:  # the outer loop of this thread: scoring goes on with what there is
                log.exception("looking for a new assignment failed; it is tried again")

    def _look(self) -> None:
        """Reads the file again if it changed, loads again what could not be loaded."""
        path = self._folder / ASSIGNMENT_FILE
        try:
            text = path.read_bytes()
            changed = text != self._text
            if changed:
                self._assignment, self._text = Assignment.model_validate_json(text), text
        except (OSError, ValidationError) as error:
            log.warning("%s: %s; the last assignment stays", path, reason(error))
            self._text = b""
            return
        assert self._assignment is not None, "it was read"
        incomplete = self._pending is not None or (self._last is not None and not self._last.loaded.complete)
        if changed or (incomplete and time.monotonic() >= self._fetch_again):
            self._offer(self._assignment)

    def _offer(self, assignment: Assignment) -> None:
        loaded = load(assignment.stable, assignment.artifacts, self._last.loaded if self._last else None)
        lasting = loaded.failure not in (None, RevisionFailure.ARTIFACT_MISSING)
        self._fetch_again = time.monotonic() + (_FETCH_AGAIN_SECONDS if lasting else 0.0)
        with self._lock:
            last = self._last
            if not loaded.complete and last is not None and last.loaded.revision != loaded.revision:
                self._pending = _pending(loaded)
                return
            self._pending = None
            taken = LoadedAssignment(assignment.digest, loaded)
            if last is None or last.digest != taken.digest or _differs(last.loaded, loaded):
                self._last = self._ready = taken


def load(revision: Revision, artifacts: dict[str, str], before: LoadedRevision | None = None) -> LoadedRevision:
    """A revision with its model, or with the reason why there is none. A model that runs already is not loaded again."""
    if revision.model is None:
        return LoadedRevision(revision)
    if before and before.model and before.model.digest == revision.model and before.revision.pipeline == revision.pipeline:
        return LoadedRevision(revision, before.model)
    location = artifacts.get(revision.model)
    if location is None:
        text = f"the assignment does not say where model {revision.model} is kept"
        return LoadedRevision(revision, None, RevisionFailure.ARTIFACT_MISSING, text)
    try:
        return LoadedRevision(revision, Model(unpack(fetch(location), revision.model), revision.pipeline))
    except ArtifactMissingError as error:
        return LoadedRevision(revision, None, RevisionFailure.ARTIFACT_MISSING, str(error))
    except ArtifactError as error:
        return LoadedRevision(revision, None, error.failure, f"{location}: {error}")


def _pending(loaded: LoadedRevision) -> RevisionEvidence:
    return RevisionEvidence(
        revision=loaded.revision.name, role="stable", loaded=False, failure=loaded.failure, message=loaded.message
    )


def _differs(before: LoadedRevision, after: LoadedRevision) -> bool:
    """Whether it is worth taking over: not when the same failure was met again."""
    return before.revision != after.revision or before.failure != after.failure or before.message != after.message
