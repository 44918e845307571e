"""The artifact's archive: reproducible, bound to its digest, and refused with a reason when anything is odd."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.calibration import Calibration, Quantile
from anomaly_api.evidence import RevisionFailure
from anomaly_api.model import Interface, InterfaceWindow
from anomaly_detector.core.scoring.artifact import (
    DigestMismatchError,
    InvalidArtifactError,
    Manifest,
    artifact_digest,
    pack,
    unpack,
)


def calibration(window: str) -> Calibration:
    return Calibration(
        window=window,
        windows=100,
        entity_seconds=1000.0,
        mean=0.5,
        standard_deviation=0.1,
        maximum=1.0,
        quantiles=[Quantile(level=0.0, score=0.1), Quantile(level=1.0, score=1.0)],
        peaks=[1.0, 0.9],
    )


def manifest(*windows: str) -> Manifest:
    return Manifest(
        interface=Interface(features=["a", "b"], windows=[InterfaceWindow(name=name, size=12) for name in windows], opset=18),
        calibration=[calibration(name) for name in windows],
    )


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def content_of(archive: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return [(member, opened.extractfile(member).read()) for member in opened]


GRAPHS = {"short": b"graph of short", "long": b"graph of long"}


def test_what_was_packed_comes_out_again():
    archive = pack(manifest("short", "long"), GRAPHS)
    artifact = unpack(archive, artifact_digest(archive))
    assert artifact.graphs == GRAPHS
    assert artifact.manifest.interface == manifest("short", "long").interface
    assert artifact.manifest.calibration == manifest("short", "long").calibration
    assert artifact.size_bytes == len(archive)


def test_the_same_content_gives_the_same_bytes():
    assert pack(manifest("short", "long"), GRAPHS) == pack(manifest("short", "long"), dict(reversed(GRAPHS.items())))


@given(st.data())
def test_any_changed_bit_is_noticed(data):
    archive = bytearray(pack(manifest("short"), {"short": b"graph"}))
    digest = artifact_digest(bytes(archive))
    archive[data.draw(st.integers(0, len(archive) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DigestMismatchError, match="was changed or is another model") as caught:
        unpack(bytes(archive), digest)
    assert caught.value.failure is RevisionFailure.DIGEST_MISMATCH


@given(st.binary(max_size=4096))
def test_arbitrary_bytes_are_refused_and_nothing_else_is_raised(content):
    with pytest.raises(InvalidArtifactError):
        unpack(content, artifact_digest(content))


@given(st.data())
def test_a_damaged_archive_that_its_author_signed_is_refused_or_equal(data):
    original = pack(manifest("short"), {"short": b"graph"})
    archive = bytearray(original)
    archive[data.draw(st.integers(0, len(archive) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        artifact = unpack(bytes(archive), artifact_digest(bytes(archive)))
    except InvalidArtifactError:
        return
    assert artifact.graphs == {"short": b"graph"}


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "manifest.json"
    return member


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ((tarfile.TarInfo("../escape"), b"x"), "escape"),
        ((tarfile.TarInfo("other.onnx"), b"x"), "belongs to no window"),
        ((tarfile.TarInfo("manifest.json"), b"{}"), "not one plain file"),
        ((link("short.onnx", tarfile.SYMTYPE), b""), "not one plain file"),
        ((link("folder", tarfile.DIRTYPE), b""), "not one plain file"),
    ],
)
def test_what_does_not_belong_into_an_archive_is_named(extra, said):
    archive = tar(*content_of(pack(manifest("short"), {"short": b"graph"})), extra)
    with pytest.raises(InvalidArtifactError, match=said):
        unpack(archive, artifact_digest(archive))


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([], "manifest.json is missing"),
        ([(tarfile.TarInfo("manifest.json"), b"{")], "manifest.json: document"),
        ([(tarfile.TarInfo("manifest.json"), b'{"format": 2}')], "manifest.json: format"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_with_the_place(members, said):
    archive = tar(*members)
    with pytest.raises(InvalidArtifactError, match=said):
        unpack(archive, artifact_digest(archive))


def test_a_graph_that_is_not_the_manifests_is_refused():
    (first, text), (second, _) = content_of(pack(manifest("short"), {"short": b"graph"}))
    archive = tar((first, text), (second, b"another"))
    with pytest.raises(InvalidArtifactError, match="window short is missing or not the one"):
        unpack(archive, artifact_digest(archive))


def test_too_many_files_are_refused():
    archive = tar(*((tarfile.TarInfo(f"{number}"), b"") for number in range(10)))
    with pytest.raises(InvalidArtifactError, match="more than 9 files"):
        unpack(archive, artifact_digest(archive))


def test_packing_needs_a_graph_for_each_window():
    with pytest.raises(ValueError, match="the interface has the windows"):
        pack(manifest("short", "long"), {"short": b"graph"})
