"""The operator's files: what is taken over, what waits, and where models come from."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from anomaly_api.assignment import Assignment
from anomaly_api.evidence import RevisionFailure
from anomaly_detector.adapters.assignment_files import AssignmentError
from anomaly_detector.adapters.assignment_watcher import AssignmentWatcher, LoadedAssignment
from anomaly_detector.adapters.model_store import ArtifactUnavailableError, fetch
from dev.harness.scoring_pod import ScoringPod
from tests.scoring.graphs import archive
from tests.stream.pods import PIPELINE, Topics, pod, revision, runtime


@pytest.fixture
def orders(tmp_path: Path) -> Iterator[AssignmentWatcher]:
    ScoringPod(tmp_path).assign(Assignment(stable=revision()))
    watched = AssignmentWatcher(tmp_path)
    yield watched
    watched.stop()


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it did not come so"
        time.sleep(0.01)


def next_taken(orders: AssignmentWatcher) -> LoadedAssignment:
    found: list[LoadedAssignment] = []

    def look() -> bool:
        taken = orders.take()
        if taken is not None:
            found.append(taken)
        return bool(found)

    until(look)
    return found[0]


def test_an_assignment_is_taken_once(orders: AssignmentWatcher) -> None:
    assert orders.start().loaded.complete
    assert orders.take() is None


def test_a_changed_assignment_is_taken_over(orders: AssignmentWatcher, tmp_path: Path) -> None:
    orders.start()
    changed = Assignment(stable=revision(threshold=9.0))
    ScoringPod(tmp_path).assign(changed)
    assert next_taken(orders).digest == changed.digest


def test_a_file_that_makes_no_sense_leaves_the_last_assignment_in_force(orders: AssignmentWatcher, tmp_path: Path) -> None:
    orders.start()
    (tmp_path / "assignment.json").write_text("{")
    changed = Assignment(stable=revision(threshold=9.0))
    ScoringPod(tmp_path).assign(changed)
    assert next_taken(orders).digest == changed.digest


def test_without_any_assignment_it_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(AssignmentError, match=r"assignment\.json"):
        AssignmentWatcher(tmp_path).start()


def test_a_first_model_that_is_missing_is_waited_for_by_the_fallback_scorer(tmp_path: Path) -> None:
    digest, packed = archive(PIPELINE)
    place = tmp_path / "a" / "model.tar"
    assignment = Assignment(stable=revision(model=digest), artifacts={digest: str(place)})
    ScoringPod(tmp_path).assign(assignment)
    orders = AssignmentWatcher(tmp_path)
    first = orders.start()
    try:
        assert first.digest == assignment.digest
        assert (first.loaded.model, first.loaded.failure) == (None, RevisionFailure.ARTIFACT_MISSING)
        place.parent.mkdir()
        unfinished = place.with_suffix(".new")
        unfinished.write_bytes(packed)
        unfinished.replace(place)
        assert next_taken(orders).loaded.model is not None
    finally:
        orders.stop()


def test_a_later_model_that_is_no_good_leaves_the_revision_before_it_at_work(orders: AssignmentWatcher, tmp_path: Path) -> None:
    orders.start()
    digest, _ = archive(PIPELINE)
    place = tmp_path / "model.tar"
    place.write_bytes(archive(PIPELINE, center=1.0)[1])
    ordered = revision(model=digest)
    ScoringPod(tmp_path).assign(Assignment(stable=ordered, artifacts={digest: str(place)}))
    until(lambda: orders.pending)
    assert orders.take() is None
    pending = orders.pending
    assert pending is not None
    assert (pending.revision, pending.loaded, pending.failure) == (ordered.name, False, RevisionFailure.DIGEST_MISMATCH)
    assert str(place) in pending.message


def test_a_new_threshold_does_not_load_the_model_again(orders: AssignmentWatcher, tmp_path: Path) -> None:
    digest, packed = archive(PIPELINE)
    place = tmp_path / "model.tar"
    place.write_bytes(packed)
    orders.start()
    ScoringPod(tmp_path).assign(Assignment(stable=revision(model=digest), artifacts={digest: str(place)}))
    first = next_taken(orders)
    place.unlink()
    ScoringPod(tmp_path).assign(Assignment(stable=revision(model=digest, threshold=3.0), artifacts={}))
    assert next_taken(orders).loaded.model is first.loaded.model


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_an_archive_comes_from_a_path_or_a_uri(tmp_path: Path, scheme: str) -> None:
    place = tmp_path / "model.tar"
    place.write_bytes(b"content")
    assert fetch(f"{scheme}{place}") == b"content"


@pytest.mark.parametrize("location", ["/nowhere/model.tar", "file:///nowhere/model.tar", "carrier-pigeon://loft/model.tar", "/"])
def test_an_archive_that_cannot_be_had_is_missing_with_its_place(location: str) -> None:
    with pytest.raises(ArtifactUnavailableError, match="model archive at"):
        fetch(location)


@pytest.fixture
def hanging_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URI of an object in a store that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        s3_at(monkeypatch, server.getsockname()[1])
        yield f"s3://models/{uuid4().hex}.tar"


def s3_at(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "something",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)


def test_a_store_that_cannot_be_reached_is_said_so_and_asked_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    s3_at(monkeypatch, 1)
    digest, _ = archive(PIPELINE)
    location = f"s3://models/{uuid4().hex}.tar"
    ScoringPod(tmp_path).assign(Assignment(stable=revision(model=digest), artifacts={digest: location}))
    orders = AssignmentWatcher(tmp_path)
    try:
        loaded = orders.start().loaded
        assert (loaded.model, loaded.failure) == (None, RevisionFailure.MODEL_STORE_UNREACHABLE)
        assert f"the model archive at {location} cannot be read" in loaded.message
        _, packed = archive(PIPELINE)
        place = tmp_path / "model.tar"
        place.write_bytes(packed)
        ScoringPod(tmp_path).assign(Assignment(stable=revision(model=digest), artifacts={digest: str(place)}))
        assert next_taken(orders).loaded.model is not None
    finally:
        orders.stop()


def test_a_store_that_cannot_be_reached_while_running_leaves_the_revision_before_it_at_work(
    orders: AssignmentWatcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_at(monkeypatch, 1)
    orders.start()
    digest, _ = archive(PIPELINE)
    ordered = Assignment(stable=revision(model=digest), artifacts={digest: f"s3://models/{uuid4().hex}.tar"})
    ScoringPod(tmp_path).assign(ordered)
    until(lambda: orders.pending)
    assert orders.pending is not None
    assert orders.pending.failure is RevisionFailure.MODEL_STORE_UNREACHABLE
    assert orders.take() is None


def test_a_start_does_not_wait_for_a_store_that_hangs(tmp_path: Path, hanging_store: str) -> None:
    digest, _ = archive(PIPELINE)
    ScoringPod(tmp_path).assign(Assignment(stable=revision(model=digest), artifacts={digest: hanging_store}))
    orders = AssignmentWatcher(tmp_path, first_model_seconds=0.2)
    try:
        loaded = orders.start().loaded
        assert (loaded.model, loaded.failure) == (None, RevisionFailure.MODEL_STORE_UNREACHABLE)
        assert "within 0.2 s" in loaded.message
    finally:
        orders.stop()


def test_a_pod_answers_that_it_lives_while_it_waits_for_its_first_model(tmp_path: Path, hanging_store: str) -> None:
    digest, _ = archive(PIPELINE)
    assignment = Assignment(stable=revision(model=digest), artifacts={digest: hanging_store})
    with pod(tmp_path / "pod", runtime(Topics("127.0.0.1:1")), assignment) as running:

        def lives() -> bool:
            try:
                return running.get("/healthz")[0] == 200
            except OSError:
                return False

        until(lives)
        assert running.get("/readyz") == (503, "the pod starts: it loads its model\n")


def test_a_candidate_comes_with_its_model_and_one_that_is_missing_keeps_nothing_waiting(
    orders: AssignmentWatcher, tmp_path: Path
) -> None:
    orders.start()
    digest, packed = archive(PIPELINE)
    place = tmp_path / "a" / "model.tar"
    wanted = Assignment(stable=revision(threshold=9.0), candidate=revision(model=digest), artifacts={digest: str(place)})
    ScoringPod(tmp_path).assign(wanted)
    taken = next_taken(orders)
    assert taken.loaded.revision == wanted.stable
    assert taken.candidate is not None
    assert taken.candidate.failure is RevisionFailure.ARTIFACT_MISSING
    place.parent.mkdir()
    place.write_bytes(packed)
    candidate = next_taken(orders).candidate
    assert candidate is not None
    assert candidate.complete
