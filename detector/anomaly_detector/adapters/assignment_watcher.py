"""Watches the operator's `Assignment`, a file in a mounted folder, and loads it again whenever it changes.

A thread of its own loads what an assignment names, so that a slow model store never holds up the stream; the loop takes over
what is ready between two batches. A revision that cannot be loaded leaves the one before it at work.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct
from pydantic import ValidationError

from anomaly_api.assignment import Assignment, Revision
from anomaly_api.evidence import RevisionEvidence, RevisionFailure
from anomaly_api.meta import ASSIGNMENT_FILE
from anomaly_api.source import Pipeline
from anomaly_detector.adapters.assignment_files import AssignmentError, reason
from anomaly_detector.adapters.confinement.model import ConfinedModel, Limits
from anomaly_detector.adapters.model_store import ArtifactUnavailableError, fetch, remote
from anomaly_detector.core.scoring.artifact import ArtifactError, ModelArtifact, unpack
from anomaly_detector.core.scoring.onnx import Model, ScoringModel
from anomaly_detector.core.scoring.revisions import LoadedRevision
from anomaly_detector.core.shadow import Terms
from anomaly_detector.verification.graph import sound

log: Final = logging.getLogger(__name__)
_LOOK_AGAIN_SECONDS: Final = 0.5
_FETCH_AGAIN_SECONDS: Final = 10.0
"""An archive that is no good, or that a store does not give, is fetched again after this long; one that is missing from a folder
is on its way there, and looked for at every look."""
_STOP_SECONDS: Final = 1.0
_FIRST_MODEL_SECONDS: Final = 20.0
"""So long a start waits for the first model. Then the fallback scorer begins: a stream does not wait for a store that hangs."""
Make = Callable[[ModelArtifact, Pipeline], ScoringModel]
"""Loads a model."""


class LoadedAssignment(Struct, frozen=True):
    """An assignment, ready to be taken over."""

    digest: str
    loaded: LoadedRevision
    """The stable revision."""
    candidate: LoadedRevision | None = None
    """With its model, or with the reason why there is none."""
    terms: Terms = Terms()
    """On which it takes part."""


class AssignmentWatcher:
    """Watches the folder."""

    def __init__(
        self,
        folder: Path,
        first_model_seconds: float = _FIRST_MODEL_SECONDS,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        """`limits`: what a candidate may take."""
        self._folder, self._limits = folder, limits
        self._patience = first_model_seconds
        self._text = b""
        self._assignment: Assignment | None = None
        self._ready: LoadedAssignment | None = None
        self._last: LoadedAssignment | None = None
        self._pending: RevisionEvidence | None = None
        self._fetch_again = 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._looked = threading.Event()
        """Set after the first look, whatever came of it."""
        self._thread = threading.Thread(target=self._watch, name="orders", daemon=True)

    def start(self) -> LoadedAssignment:
        """Begins to watch; returns the first assignment, with its model if that can be loaded in time. Raises AssignmentError."""
        self._thread.start()
        self._looked.wait(self._patience)
        with self._lock:
            assignment = self._assignment
            if self._last is None and assignment is not None:
                self._last = LoadedAssignment(assignment.digest, _loading(assignment.stable, self._patience))
                return self._last
        taken = self.take()
        if taken is None:
            self.stop()
            raise AssignmentError(f"{self._folder / ASSIGNMENT_FILE}: it cannot be read; the operator writes it, see its log")
        return taken

    def stop(self) -> None:
        """Ends the watching. A store that does not answer is not waited for: the thread ends with the process."""
        self._stop.set()
        self._thread.join(_STOP_SECONDS)

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
        while True:
            try:
                self._look()
            except Exception:  # the outer loop of this thread: scoring goes on with what there is
                log.exception("looking for a new assignment failed; it is tried again")
            self._looked.set()
            if self._stop.wait(_LOOK_AGAIN_SECONDS):
                return

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
        incomplete = self._pending is not None or (self._last is not None and not _complete(self._last))
        if changed or (incomplete and time.monotonic() >= self._fetch_again):
            self._offer(self._assignment)

    def _confined(self, revision: Revision, artifacts: dict[str, str], known: Sequence[LoadedRevision]) -> LoadedRevision:
        """A candidate's model runs in a process of its own, unless it is the stable revision's."""
        return load(revision, artifacts, *known, make=partial(ConfinedModel, limits=self._limits))

    def _offer(self, assignment: Assignment) -> None:
        known = [each for each in (self._last.loaded, self._last.candidate) if each] if self._last else []
        loaded = load(assignment.stable, assignment.artifacts, *known)
        candidate = self._confined(assignment.candidate, assignment.artifacts, known) if assignment.candidate else None
        on_its_way = all(_on_its_way(each, assignment.artifacts) for each in (loaded, candidate) if each and not each.complete)
        self._fetch_again = time.monotonic() + (0.0 if on_its_way else _FETCH_AGAIN_SECONDS)
        with self._lock:
            last = self._last
            if not loaded.complete and last is not None and last.loaded.revision != loaded.revision:
                self._pending = _pending(loaded)
                return
            self._pending = None
            taken = LoadedAssignment(assignment.digest, loaded, candidate, Terms(assignment.weight, assignment.rollout))
            if last is None or last.digest != taken.digest or _differs(last, taken):
                self._last = self._ready = taken


def load(revision: Revision, artifacts: dict[str, str], *known: LoadedRevision, make: Make = Model) -> LoadedRevision:
    """A revision with its model, or with the reason why there is none.

    A model that runs in this process already is not loaded again, nor is one that runs in its own, if it is to stay there.
    """
    if revision.model is None:
        return LoadedRevision(revision)
    for before in known:
        model, same = before.model, before.revision.pipeline == revision.pipeline
        if model is not None and model.digest == revision.model and same and _usable(model, confined=make is not Model):
            return LoadedRevision(revision, model)
    location = artifacts.get(revision.model)
    if location is None:
        text = f"the assignment does not say where model {revision.model} is kept"
        return LoadedRevision(revision, None, RevisionFailure.ARTIFACT_MISSING, text)
    try:
        return LoadedRevision(revision, make(sound(unpack(fetch(location), revision.model)), revision.pipeline))
    except ArtifactUnavailableError as error:
        return LoadedRevision(revision, None, error.failure, str(error))
    except ArtifactError as error:
        return LoadedRevision(revision, None, error.failure, f"{location}: {error}")


def _usable(model: ScoringModel, *, confined: bool) -> bool:
    """Whether a model that is loaded will do: what decides all is in this process, and a process that ended scores nothing."""
    return isinstance(model, Model) or (confined and isinstance(model, ConfinedModel) and model.alive)


def _loading(revision: Revision, seconds: float) -> LoadedRevision:
    """A revision whose model takes too long to be waited for."""
    text = f"the store of model {revision.model} has not given it within {seconds:g} s"
    return LoadedRevision(revision, None, RevisionFailure.MODEL_STORE_UNREACHABLE, text)


def _pending(loaded: LoadedRevision) -> RevisionEvidence:
    return RevisionEvidence(
        revision=loaded.revision.name, role="stable", loaded=False, failure=loaded.failure, message=loaded.message
    )


def _complete(taken: LoadedAssignment) -> bool:
    return taken.loaded.complete and (taken.candidate is None or taken.candidate.complete)


def _on_its_way(loaded: LoadedRevision, artifacts: dict[str, str]) -> bool:
    """Whether the model is only waited for: a mounted ConfigMap has it a little later than the assignment."""
    return loaded.failure is RevisionFailure.ARTIFACT_MISSING and not remote(artifacts.get(loaded.revision.model or "", ""))


def _differs(before: LoadedAssignment, after: LoadedAssignment) -> bool:
    """Whether an assignment is worth taking over: not when the same failure was met again."""
    return _said(before.loaded) != _said(after.loaded) or _said(before.candidate) != _said(after.candidate)


def _said(loaded: LoadedRevision | None) -> tuple[str, RevisionFailure | None, str] | None:
    return None if loaded is None else (loaded.revision.digest, loaded.failure, loaded.message)
