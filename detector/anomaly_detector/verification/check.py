"""The whole check of a model that somebody brings, the cheap parts first. The Job and the command line run this very code.

archive fetched -> digest -> tar and manifest -> spec's interface -> graphs by their bytes -> graphs on made-up windows
"""

import time
from collections.abc import Callable

from anomaly_api.evidence import RevisionFailure
from anomaly_api.model import Interface
from anomaly_api.verification import VerificationOrder, VerificationReason, VerificationResult
from anomaly_detector.adapters.model_store import ArtifactUnavailableError, fetch
from anomaly_detector.core.scoring.artifact import ArtifactError, ModelArtifact, artifact_digest, unpack
from anomaly_detector.verification import graph, sandbox
from anomaly_detector.verification.graph import Finding

_MOST_SAID = 3


def verify(order: VerificationOrder, read: Callable[[str], bytes] = fetch) -> VerificationResult:
    """The answer to an order."""
    started = time.monotonic()
    try:
        archive = read(order.location)
    except ArtifactUnavailableError as error:
        missing = error.failure is RevisionFailure.ARTIFACT_MISSING
        reason = VerificationReason.ARTIFACT_MISSING if missing else VerificationReason.MODEL_STORE_UNREACHABLE
        return VerificationResult(reason=reason, message=str(error))
    return _result(archive, check(archive, order.digest, order), started)


def verify_archive(archive: bytes) -> VerificationResult:
    """Of an archive alone: nobody has said yet what it should be."""
    started = time.monotonic()
    return _result(archive, check(archive, artifact_digest(archive), None), started)


def check(archive: bytes, digest: str, order: VerificationOrder | None) -> list[Finding]:
    """What is wrong; empty where the model may be loaded."""
    try:
        artifact = unpack(archive, digest)
    except ArtifactError as error:
        mismatch = error.failure is RevisionFailure.DIGEST_MISMATCH
        return [Finding(VerificationReason.DIGEST_MISMATCH if mismatch else VerificationReason.ARTIFACT_INVALID, str(error))]
    found = _of_interface(artifact, order) if order else []
    for window in artifact.manifest.interface.windows:
        found += graph.findings(window.name, artifact.graphs[window.name])
    if found:
        return found
    trial = sandbox.tried(archive)
    return [trial] if trial else []


def _of_interface(artifact: ModelArtifact, order: VerificationOrder) -> list[Finding]:
    """What the AnomalyModel says of the archive, and the archive of itself."""
    asked, own = order.interface, artifact.manifest.interface
    said = []
    if own.features != asked.features:
        said.append(f"spec.interface.features are {', '.join(asked.features)}, and the archive's {', '.join(own.features)}")
    windows, found = _sizes(asked), _sizes(own)
    for name, size in windows.items():
        if name not in found:
            said.append(f"the archive has no window {name}, which spec.interface names; it has {', '.join(found)}")
        elif found[name] != size:
            said.append(f"window {name} has {size} readings in spec.interface, and {found[name]} in the archive")
    said += [f"spec.interface has no window {name}, which the archive has" for name in found if name not in windows]
    if asked.size_bytes is not None and asked.size_bytes != artifact.size_bytes:
        said.append(f"spec.interface.sizeBytes is {asked.size_bytes:,}, and the archive has {artifact.size_bytes:,} bytes")
    return [Finding(VerificationReason.INTERFACE_MISMATCH, each) for each in said]


def _sizes(interface: Interface) -> dict[str, int]:
    return {window.name: window.size for window in interface.windows}


def _result(archive: bytes, found: list[Finding], started: float) -> VerificationResult:
    message = "digest, interface, operators and outputs are as they must be"
    if found:
        message = "; ".join(each.message for each in found[:_MOST_SAID])
    return VerificationResult(
        reason=found[0].reason if found else VerificationReason.CHECKED,
        message=message,
        digest=artifact_digest(archive),
        size_bytes=len(archive),
        seconds=round(time.monotonic() - started, 2),
    )
