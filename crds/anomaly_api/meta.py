"""Names that more than one component must agree on: API group, labels, annotations, well-known files and ports."""

from typing import Final

GROUP: Final = "anomaly-operator.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = "anomaly-operator.dev/v1alpha1"

LABEL_DETECTOR: Final = f"{GROUP}/detector"
"""On every child: the name of its AnomalyDetector."""
LABEL_COMPONENT: Final = f"{GROUP}/component"
"""`detector` on scoring pods, `trainer` on training pods."""
LABEL_TRAINING: Final = f"{GROUP}/training"
"""On training Jobs and on the models they make: the digest of what was asked to be trained (`TrainingOrder.key`)."""
ANNOTATION_TRAIN: Final = f"{GROUP}/train"
"""On an AnomalyDetector, set by users: a word that was not there before asks for a training."""
ANNOTATION_REQUEST: Final = f"{GROUP}/request"
"""On an AnomalyModel: `TrainingOrder.request` of the training that made it last."""
ANNOTATION_RUNTIME: Final = f"{GROUP}/runtime"
"""On the pod template: digest of `Runtime`. When it changes, the pods are replaced. On a training Job: that of its source."""
ANNOTATION_ASSIGNMENT: Final = f"{GROUP}/assignment"
"""On running pods: digest of the `Assignment` they should have. Patching it makes kubelet refresh mounted ConfigMaps."""

ANNOTATION_KEEP: Final = f"{GROUP}/keep"
"""On an AnomalyModel, `true`: it is never deleted, however old it is."""

CONFIG_FOLDER: Final = "/etc/anomaly-detector"
RUNTIME_FILE: Final = "runtime.json"
ASSIGNMENT_FILE: Final = "assignment.json"
MODEL_FOLDER: Final = "/var/lib/anomaly-models"
"""Each model slot is mounted at `MODEL_FOLDER/<slot>`; it holds one `MODEL_FILE`."""
MODEL_FILE: Final = "model.tar"
STABLE_FOLDER: Final = "/var/lib/anomaly-stable"
"""Where a training pod finds the model in use as `MODEL_FILE`, when that is in a ConfigMap."""
CARD_FILE: Final = "card.html.gz"
"""Key of a model card in its ConfigMap."""
CLAIM_FOLDER: Final = "/var/lib/anomaly-store"
"""Where the claim of `modelStore.uri.claimName` is mounted."""
SECRET_FOLDER: Final = "/etc/anomaly-secrets"  # noqa: S105 - a path
"""Secrets are mounted below, one folder a reference."""
TRAINING_ENV: Final = "ANOMALY_TRAINING_ORDER"
"""Environment variable of the training pod that holds the `TrainingOrder` as JSON."""
VERIFICATION_ENV: Final = "ANOMALY_VERIFICATION_ORDER"
"""Environment variable of the pod that checks a model; it holds the `VerificationOrder` as JSON."""
HTTP_PORT: Final = 8080
"""/healthz, /readyz, /metrics and /evidence of detector and training pods."""
MODEL_SLOTS: Final = ("a", "b")
"""A detector pod mounts these optional ConfigMaps, so that a new model arrives without replacing the pod."""
