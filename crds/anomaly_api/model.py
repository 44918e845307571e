"""The AnomalyModel resource: one model version, immutable."""

from typing import Annotated, Any, Literal

from pydantic import Field

from anomaly_api.alert import ScorerKind
from anomaly_api.calibration import Calibrations
from anomaly_api.learning import Uri
from anomaly_api.meta import API_VERSION
from anomaly_api.policy import LocalReference, Opaque
from anomaly_api.schema import Contract, exactly_one, list_map, matching, rule
from anomaly_api.source import FeatureName, Name
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
    """For example `s3://models/pumps/7d41c0.tar`."""
    secret_ref: LocalReference | None = None
    """Secret whose keys become environment variables of the pods that fetch it."""
    claim_name: Annotated[str, Field(max_length=253)] | None = None
    """PersistentVolumeClaim that a file:// URL stands in."""


@exactly_one("configMapRef", "uri")
class Artifact(Contract):
    """Where the artifact is: a tar archive with the manifest and an ONNX graph for each window."""

    config_map_ref: LocalReference | None = None
    """ConfigMap with the archive under the key `model.tar`."""
    uri: ArtifactUri | None = None
    """The archive by URI."""


class InterfaceWindow(Contract):
    """A window that the model scores."""

    name: Name
    """Its name."""
    size: Annotated[int, Field(ge=2, le=1024)]
    """Readings in it."""


class Interface(Contract):
    """What goes into the model."""

    features: Annotated[
        list[FeatureName], Field(min_length=1, max_length=128, json_schema_extra={"x-kubernetes-list-type": "set"})
    ]
    """Features, in the order of the graph's input."""
    windows: Annotated[list[InterfaceWindow], Field(min_length=1, max_length=8, json_schema_extra=list_map("name"))]
    """Windows, a graph each."""
    opset: int | None = None
    """ONNX operator set."""
    size_bytes: int | None = None
    """Size of the archive in bytes."""


class HeldOut(Contract):
    """How the model did on the part of the data it was not trained on."""

    window: Name
    """Name of the window."""
    windows: int
    """Held-out windows."""
    loss: float
    """Mean score."""
    p99: float
    """99th percentile of the scores."""


class Trained(Contract):
    """How a model was trained."""

    detector: str
    """The AnomalyDetector that asked for it."""
    job: str
    """The Job that made it."""
    data_from: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """Event time of the first reading used."""
    data_to: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """Event time of the last one."""
    readings: int
    """Readings used."""
    entities: int
    """Entities they are of."""
    rejected: int = 0
    """Messages that could not be read."""
    kind: ScorerKind
    """Kind of the model."""
    settings: Opaque
    """The kind's settings as they were used: what the spec says, and what training settled where it was left open."""
    seed: int
    """Seed of everything random."""
    epochs: int
    """Passes over the data until it stopped."""
    seconds: float
    """Wall time of the training proper, in seconds."""
    constant_features: list[str] | None = None
    """Features that never changed in the data; any change in them will look unusual."""
    pipeline: Opaque | None = None
    """What turned messages into its windows: `entity`, `time`, `features` and `windows` of the detector's spec then."""
    held_out: Annotated[list[HeldOut], Field(max_length=8, json_schema_extra=list_map("window"))]
    """Figures on the held-out part."""
    versions: dict[str, str]
    """Versions of what made it."""


class Imported(Contract):
    """A model that someone brought."""

    origin: Annotated[str, Field(min_length=1, max_length=1024)]
    """Where it comes from, for people."""


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
    """sha256 of the archive; pods refuse an artifact that has another one."""
    artifact: Artifact
    """Where the archive is."""
    interface: Interface
    """What goes into it."""
    calibration: Calibrations
    """Held-out scores, boiled down to what thresholds are computed from."""
    trained: Trained | None = None
    """How it was trained."""
    imported: Imported | None = None
    """Where it comes from, when someone brings it."""


class ModelStatus(Contract):
    """What became of a model version."""

    conditions: Conditions | None = None
    """Verified: whether pods have loaded the artifact and its digest matched."""
    used_by: list[str] | None = None
    """AnomalyDetectors whose stable or candidate revision has it."""


class AnomalyModel(Contract):
    """One version of a model: immutable, named by what it is."""

    api_version: Literal["anomaly-operator.dev/v1alpha1"] = API_VERSION
    kind: Literal["AnomalyModel"] = "AnomalyModel"
    metadata: Annotated[dict[str, Any], Field(default_factory=dict)]
    spec: ModelSpec
    """The version. Immutable."""
    status: ModelStatus | None = None
    """What became of it."""
