"""An archive in a folder by URI: found again by its content, whole or not at all."""

from __future__ import annotations

import pytest

from anomaly_detector.training.failures import TrainingError
from anomaly_detector.training.store import CLAIM_ENV, reachable, store

DIGEST = "sha256:" + "7d" * 32


@pytest.fixture(autouse=True)
def claim(tmp_path, monkeypatch):
    monkeypatch.setenv(CLAIM_ENV, str(tmp_path))
    return tmp_path


def test_an_archive_is_stored_below_the_claim_under_its_digest(claim):
    assert store("file:///models/pumps/", DIGEST, b"archive") == f"file:///models/pumps/{'7d' * 32}.tar"
    assert (claim / "models/pumps" / f"{'7d' * 32}.tar").read_bytes() == b"archive"
    assert len(list((claim / "models/pumps").iterdir())) == 1


def test_storing_twice_is_storing_once(claim):
    store("file:///models", DIGEST, b"archive")
    before = (claim / "models" / f"{'7d' * 32}.tar").stat().st_mtime_ns
    store("file:///models", DIGEST, b"archive")
    assert (claim / "models" / f"{'7d' * 32}.tar").stat().st_mtime_ns == before


def test_half_an_archive_is_replaced(claim):
    (claim / f"{'7d' * 32}.tar").write_bytes(b"arc")
    store("file:///", DIGEST, b"archive")
    assert (claim / f"{'7d' * 32}.tar").read_bytes() == b"archive"


def test_a_folder_that_cannot_be_written_is_named(claim):
    (claim / "models").write_text("a file where a folder should be")
    with pytest.raises(TrainingError, match=r"could not be written to file:///models/.*check spec.modelStore.uri"):
        store("file:///models", DIGEST, b"archive")


def test_a_path_out_of_the_claim_is_refused():
    with pytest.raises(TrainingError, match="leads out of the volume of claimName"):
        reachable("file:///models/../../etc")


def test_other_schemes_are_left_to_fsspec():
    assert reachable("s3://models/pumps") == "s3://models/pumps"
