"""Which trained models the gate lets in. What it found stands in the model; the detector's spec says what follows from it."""

from anomaly_api.gate import GateMode, GateReport, Verdict
from anomaly_operator.core.snapshot import Detector, Model

CANDIDATE_REJECTED = "CandidateRejected"


def judgement(model: Model) -> GateReport | None:
    """What the gate found; None where it was not asked."""
    return model.spec.trained.gate if model.spec.trained else None


def rejected(detector: Detector, model: Model) -> bool:
    """Whether the model must not decide for this detector."""
    found = judgement(model)
    enforced = detector.spec.training.gate.mode is GateMode.ENFORCE
    return enforced and found is not None and found.verdict is Verdict.REJECTED


def sentence(model: Model) -> str:
    """Says why a rejected model does not decide, and what to do about it."""
    found = judgement(model)
    return (
        f"AnomalyModel {model.name} was rejected: {found.message if found else 'it was not judged'}. Change spec.model or "
        "spec.training, or take it all the same with training.gate.mode: Audit"
    )
