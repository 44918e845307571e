"""The AnomalyModel resource: one model version, immutable."""

from typing import Annotated, Any, Literal

from pydantic import Field

from anomaly_api.alert import ScorerKind
from anomaly_api.calibration import Calibrations
from anomaly_api.gate import GateReport
from anomaly_api.learning import Uri
from anomaly_api.meta import API_VERSION
from anomaly_api.policy import LocalReference, Opaque
from anomaly_api.preparation import FeatureName
from anomaly_api.schema import Contract, exactly_one, list_map, matching, rule
from anomaly_api.source import Name
from anomaly_api.status import Conditions

Digest = Annotated[
    str,
    Field(max_length=71),
    matching("write sha256: and the 64 hexadecimal digits that sha256sum prints for the archive", "^sha256:[0-9a-f]{64}$"),
]
MAX_CONFIG_MAP_BYTES = 900 * 1024


@rule(
    "!self.url.startsWith('file://') || has(self.claimName)", "a file:// URL needs claimName: the volume that holds the archive"
)
class ArtifactUri(Contract):
    """An artifact somewhere that fsspec reaches."""

    url: Uri
    """URL of the archive, for example `s3://models/pumps/7d41c0.tar`."""
    secret_ref: LocalReference | None = None
    """Secret whose keys become environment variables of the pods that fetch the archive. Unset: none."""
    claim_name: Annotated[str, Field(max_length=253)] | None = None
    """PersistentVolumeClaim that a file:// URL stands in. Unset: none."""


@exactly_one("configMapRef", "uri")
class Artifact(Contract):
    """Where the artifact is: a tar archive with the manifest and an ONNX graph for each window."""

    config_map_ref: LocalReference | None = None
    """ConfigMap of this namespace with the archive under the key `model.tar`."""
    uri: ArtifactUri | None = None
    """Archive in an object store or on a volume, by URL."""


class InterfaceWindow(Contract):
    """A window that the model scores."""

    name: Name
    """Name of the window in the detector's spec."""
    size: Annotated[int, Field(ge=2, le=1024)]
    """Number of readings in the window."""


class Interface(Contract):
    """What goes into the model."""

    features: Annotated[
        list[FeatureName], Field(min_length=1, max_length=128, json_schema_extra={"x-kubernetes-list-type": "set"})
    ]
    """Names of the features, in the order of the graph's input. A detector that uses the model has the same."""
    windows: Annotated[list[InterfaceWindow], Field(min_length=1, max_length=8, json_schema_extra=list_map("name"))]
    """Windows that the model scores, with an ONNX graph each."""
    opset: int | None = None
    """Version of the ONNX operator set. Unset: not known."""
    size_bytes: int | None = None
    """Size of the archive in bytes. Unset: not known."""


class HeldOut(Contract):
    """How the model did on the part of the data it was not trained on."""

    window: Name
    """Name of the window that the figures are about."""
    windows: int
    """Number of windows that were held out."""
    loss: float
    """Mean of the scores of held-out windows."""
    p99: float
    """99th percentile of the scores of held-out windows."""


class Excluded(Contract):
    """Windows that were left out of the training."""

    labels: int = 0
    """Number of windows of times that somebody called a true alarm or missed, default 0."""
    suppressed: int = 0
    """Number of windows of times during which alerts.suppress holds, default 0."""
    alerts: int = 0
    """Number of windows of times of alerts, default 0; those of the held-out part stay."""
    message: str | None = None
    """Sentence for people: what would have taken too many windows, or could not be read. Unset: nothing."""


class Trained(Contract):
    """How a model was trained."""

    detector: str
    """Name of the AnomalyDetector that asked for the model."""
    job: str
    """Name of the Job that made the model."""
    data_from: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """Event time of the first reading that was used."""
    data_to: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """Event time of the last reading that was used."""
    readings: int
    """Number of readings that were used."""
    entities: int
    """Number of entities that the readings are of."""
    rejected: int = 0
    """Number of messages that could not be read and were left out, default 0."""
    excluded: Excluded | None = None
    """Windows that were left out, by the reason. Unset: none was looked for."""
    kind: ScorerKind
    """Kind of the model, such as Autoencoder."""
    settings: Opaque
    """Settings of the kind as they were used: those of the spec, and what training settled where it was left open."""
    seed: int
    """Seed of everything random in the training."""
    epochs: int
    """Number of passes over the data until the training stopped."""
    seconds: float
    """Wall time of the training proper, in seconds."""
    constant_features: list[str] | None = None
    """Features that never changed in the data; any change in them will look unusual. Unset: none."""
    pipeline: Opaque | None = None
    """Rules that turned messages into windows: `entity`, `time`, `features` and `windows` of the detector's spec at that
    time."""
    held_out: Annotated[list[HeldOut], Field(max_length=8, json_schema_extra=list_map("window"))]
    """Figures on the part of the data that was held out, for each window."""
    versions: dict[str, str]
    """Versions of the software that made the model."""
    gate: GateReport | None = None
    """Judgement of the model beside the one in use then. Unset: it was not judged."""


class Report(Contract):
    """Where the model card is."""

    config_map_ref: LocalReference
    """ConfigMap of this namespace with the card, an HTML page for a browser, under the key `card.html.gz`."""


class Imported(Contract):
    """A model that someone brought."""

    origin: Annotated[str, Field(min_length=1, max_length=1024)]
    """Origin of the model in words, for people."""


@exactly_one("trained", "imported")
@rule("self == oldSelf", "spec is immutable: a model version never changes; create another AnomalyModel instead")
@rule(
    "self.interface.windows.size() == self.calibration.size() "
    "&& self.interface.windows.all(window, self.calibration.exists(held, held.window == window.name))",
    "calibration must have one entry for each window of interface, by its name",
)
class ModelSpec(Contract):
    """One model version."""

    digest: Digest
    """Digest (sha256) of the archive; pods refuse an archive that has another one."""
    artifact: Artifact
    """Place of the archive: a tar with the manifest and an ONNX graph for each window."""
    interface: Interface
    """Input of the model: features, windows and their sizes."""
    calibration: Calibrations
    """Held-out scores of each window, condensed to what thresholds are computed from."""
    trained: Trained | None = None
    """Record of the training that made the model. Set by the trainer."""
    imported: Imported | None = None
    """Origin of a model that somebody brought. Set it when you import one."""
    report: Report | None = None
    """Model card: a page that shows how the model was trained and how good it is. Unset: there is none."""


class ModelStatus(Contract):
    """What became of a model version."""

    conditions: Conditions | None = None
    """Conditions of the model. Verified: whether pods have loaded the artifact and its digest matched. Accepted: whether the
    gate has let it in."""
    used_by: list[str] | None = None
    """AnomalyDetectors whose stable or candidate revision has the model."""


class AnomalyModel(Contract):
    """One version of a model: immutable, named by what it is."""

    api_version: Literal["anomaly-operator.dev/v1alpha1"] = API_VERSION
    kind: Literal["AnomalyModel"] = "AnomalyModel"
    metadata: Annotated[dict[str, Any], Field(default_factory=dict)]
    spec: ModelSpec
    """The version of the model. It cannot be changed: create another AnomalyModel instead."""
    status: ModelStatus | None = None
    """State of the model as the operator sees it. Only the operator writes it."""
