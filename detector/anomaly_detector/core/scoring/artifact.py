"""The model artifact: one uncompressed tar with a manifest and an ONNX graph for each window, named by its sha256.

Training packs it, scoring unpacks it. Nothing here reads a file, runs a graph or knows where artifacts are kept; nothing
in an archive is ever executed or written to disk. The graph of a window of `size` readings of `f` features has

    input  windows         float32 [n, size, f]  readings in their own units, oldest first
    input  times           int64   [n]           event time of the newest reading, microseconds since 1970 UTC; may be absent
    output score           float32 [n]           how unusual the window is: more is more unusual
    output feature_errors  float32 [n, f]        how much of it is each feature's, not negative
    output expected        float32 [n, f]        what the newest reading should have been, in its own units; may be absent

with `n` dynamic; the outputs are finite for finite input.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from msgspec import Struct
from pydantic import Field, ValidationError

from anomaly_api.alert import ScorerKind
from anomaly_api.calibration import Calibrations
from anomaly_api.drift import DriftReference
from anomaly_api.evidence import RevisionFailure
from anomaly_api.model import Excluded, HeldOut, Interface
from anomaly_api.policy import Opaque
from anomaly_api.schema import Contract

MAX_ARCHIVE_BYTES: Final = 256 * 1024 * 1024
"""Larger archives are refused; whoever fetches one need not read further."""
_MANIFEST: Final = "manifest.json"
_MAX_MANIFEST_BYTES: Final = 1024 * 1024
_MAX_MEMBERS: Final = 9  # the manifest and eight windows
_MODE: Final = 0o444


class ArtifactError(Exception):
    """An archive that cannot be used; the message says what is wrong and what to do, `failure` is its kind."""

    failure = RevisionFailure.ARTIFACT_INVALID


class DigestMismatchError(ArtifactError):
    """The bytes are not those that the digest names."""

    failure = RevisionFailure.DIGEST_MISMATCH


class InvalidArtifactError(ArtifactError):
    """The bytes are what the digest names, and still no artifact."""


class Provenance(Contract):
    """How a model came about, as far as the same data and seed repeat it; Job and wall time stand in the AnomalyModel."""

    data_from: str
    """Event time of the first reading used."""
    data_to: str
    """Event time of the last one."""
    readings: int
    entities: int
    rejected: int = 0
    excluded: Excluded | None = None
    kind: ScorerKind
    settings: Opaque
    """The kind's settings, with what the training settled where they were left open."""
    seed: int
    epochs: int
    constant_features: list[str] | None = None
    held_out: list[HeldOut]
    versions: dict[str, str]


class Manifest(Contract):
    """What is in the archive."""

    format: Literal[1] = 1
    """Version of this format."""
    interface: Interface
    """What goes into the graphs."""
    calibration: Calibrations
    """Held-out scores of each window, boiled down to what thresholds are computed from."""
    trained: Provenance | None = None
    """How it was trained; absent from a model that someone brings."""
    drift: DriftReference | None = None
    """What readings and scores are compared with to tell drift; None: nothing is told."""
    graphs: Annotated[dict[str, str], Field(max_length=8)] = {}
    """sha256, in hexadecimal, of each window's graph. `pack` fills it in."""


class ModelArtifact(Struct, frozen=True):
    """A verified archive."""

    digest: str
    """`sha256:` and the hexadecimal sha256 of the archive."""
    manifest: Manifest
    graphs: Mapping[str, bytes]
    """The ONNX graph of each window, by the window's name."""
    size_bytes: int
    """Size of the archive."""


def artifact_digest(archive: bytes) -> str:
    """The name of an archive: `sha256:` and its hexadecimal sha256."""
    return f"sha256:{hashlib.sha256(archive).hexdigest()}"


def pack(manifest: Manifest, graphs: Mapping[str, bytes]) -> bytes:
    """The archive, the same bytes for the same content.

    Raises ValueError when the graphs are not those of the manifest's windows.
    """
    windows = [window.name for window in manifest.interface.windows]
    if sorted(windows) != sorted(graphs):
        raise ValueError(f"there are graphs for {sorted(graphs)} but the interface has the windows {sorted(windows)}")
    complete = manifest.model_copy(update={"graphs": {name: hashlib.sha256(graphs[name]).hexdigest() for name in windows}})
    text = json.dumps(complete.document(), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in [(_MANIFEST, text.encode()), *((f"{window}.onnx", graphs[window]) for window in windows)]:
            member = tarfile.TarInfo(name)  # its time is 0 and its owner root: nothing of this machine gets in
            member.size, member.mode = len(content), _MODE
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def unpack(archive: bytes, expected_digest: str) -> ModelArtifact:
    """The artifact, after every check that needs no ONNX.

    Raises DigestMismatchError, InvalidArtifactError.
    """
    found = artifact_digest(archive)
    if found != expected_digest:
        raise DigestMismatchError(
            f"the archive has digest {found} and not {expected_digest}: it was changed or is another model; "
            "store the original again or train anew"
        )
    if len(archive) > MAX_ARCHIVE_BYTES:
        raise InvalidArtifactError(f"the archive has {len(archive):,} bytes; at most {MAX_ARCHIVE_BYTES:,} are read")
    members = _members(archive)
    manifest = _manifest(members)
    graphs = {window.name: members.pop(f"{window.name}.onnx", b"") for window in manifest.interface.windows}
    if members:
        raise InvalidArtifactError(f"the archive holds {sorted(members)[0]!r}, which belongs to no window of its manifest")
    for name, graph in graphs.items():
        if hashlib.sha256(graph).hexdigest() != manifest.graphs.get(name):
            raise InvalidArtifactError(f"the graph of window {name} is missing or not the one that the manifest names")
    return ModelArtifact(digest=found, manifest=manifest, graphs=graphs, size_bytes=len(archive))


def _members(archive: bytes) -> dict[str, bytes]:
    """The archive's plain files by name. No compression and no sparse files, so nothing can grow beyond the archive."""
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as opened:
            for member in opened:
                if len(members) == _MAX_MEMBERS:
                    raise InvalidArtifactError(f"the archive holds more than {_MAX_MEMBERS} files")
                if member.type != tarfile.REGTYPE or member.issparse() or member.name in members:
                    raise InvalidArtifactError(f"the archive holds {member.name!r}, which is not one plain file")
                content = opened.extractfile(member)
                assert content is not None, "plain files have content"
                members[member.name] = content.read()
    except (tarfile.TarError, ValueError, EOFError, OSError, OverflowError) as error:
        raise InvalidArtifactError(f"the archive is no readable uncompressed tar: {error}") from error
    return members


def _manifest(members: dict[str, bytes]) -> Manifest:
    """The manifest, taken out of `members`."""
    text = members.pop(_MANIFEST, b"")
    if not text or len(text) > _MAX_MANIFEST_BYTES:
        raise InvalidArtifactError(f"{_MANIFEST} is missing from the archive, empty or above {_MAX_MANIFEST_BYTES:,} bytes")
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise InvalidArtifactError(f"{_MANIFEST}: {where}: {first['msg']}") from error
    windows = [window.name for window in manifest.interface.windows]
    if windows != [calibration.window for calibration in manifest.calibration] or len(set(windows)) != len(windows):
        raise InvalidArtifactError(f"{_MANIFEST}: calibration must have exactly the windows of interface, in the same order")
    return manifest
