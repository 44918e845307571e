"""What the operator asks of the Job that checks a model somebody brings, and what that Job answers."""

from enum import StrEnum

from anomaly_api.model import Digest, Interface
from anomaly_api.schema import Contract


class VerificationReason(StrEnum):
    """What the check found; becomes the reason of the condition Verified."""

    CHECKED = "Checked"
    """Everything is as it must be."""
    ARTIFACT_MISSING = "ArtifactMissing"
    """The store says that there is no such archive."""
    MODEL_STORE_UNREACHABLE = "ModelStoreUnreachable"
    """The store does not answer, or refuses access."""
    DIGEST_MISMATCH = "DigestMismatch"
    ARTIFACT_INVALID = "ArtifactInvalid"
    """The archive or a graph in it is damaged, or no archive."""
    INTERFACE_MISMATCH = "InterfaceMismatch"
    """Features, windows, inputs, outputs or shapes are others than spec.interface says."""
    OPSET_NOT_SUPPORTED = "OpsetNotSupported"
    OPERATORS_NOT_ALLOWED = "OperatorsNotAllowed"
    """Operators or functions that are not ONNX's own, endless loops, chance."""
    EXTERNAL_DATA = "ExternalData"
    TOO_LARGE = "TooLarge"
    """The graph, its tensors, or the memory that it takes."""
    TOO_SLOW = "TooSlow"
    """The trial did not end in time."""
    GRAPH_FAILED = "GraphFailed"
    """The graph does not load or does not run, or ends the process."""
    OUTPUTS_NOT_FINITE = "OutputsNotFinite"
    DEPENDS_ON_BATCH = "DependsOnBatch"
    """A window gets another score when other windows are beside it."""

    @property
    def passing(self) -> bool:
        """Whether it says nothing of the model, and may go away by itself."""
        return self in (VerificationReason.ARTIFACT_MISSING, VerificationReason.MODEL_STORE_UNREACHABLE)


class VerificationOrder(Contract):
    """What is to be checked. It holds no secret."""

    location: str
    """Path in the pod, or URI."""
    digest: Digest
    interface: Interface
    """`spec.interface` of the AnomalyModel."""


class VerificationResult(Contract):
    """What was found."""

    reason: VerificationReason
    message: str
    """Sentences for people: what is wrong or missing, and what to do."""
    digest: str = ""
    """Digest of what was found there."""
    size_bytes: int = 0
    seconds: float = 0.0
    """Wall time of the check."""

    @property
    def verified(self) -> bool:
        """Whether the model may be loaded."""
        return self.reason is VerificationReason.CHECKED
