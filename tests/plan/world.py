"""A cluster as far as `plan` can tell: documents in dictionaries, changed by carrying plans out. It decides nothing."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from anomaly_api.calibration import Calibration, Quantile
from anomaly_api.detector import DetectorSpec
from anomaly_api.evidence import (
    DetectorEvidence,
    PartitionEvidence,
    RevisionEvidence,
    RevisionFailure,
    SourceEvidence,
    SourceState,
)
from anomaly_api.meta import ANNOTATION_ASSIGNMENT, ANNOTATION_REQUEST, LABEL_COMPONENT, LABEL_TRAINING, MODEL_FILE
from anomaly_operator.core import snapshot as seen
from anomaly_operator.core.actions import Apply, Delete, FillSlot, Plan, RefreshMounts
from anomaly_operator.core.desired_state import desired_state
from anomaly_operator.core.models.model_status import PatchModel
from anomaly_operator.core.models.slots import HASHES
from anomaly_operator.core.plan import plan
from anomaly_operator.core.resources.manifests import Installation
from anomaly_operator.core.resources.names import CONFIG_MAPS, DEPLOYMENTS, JOBS, MODELS, Kind, kind_of
from anomaly_operator.core.snapshot import ApplyError, Evidence, Snapshot, TrainingRoom
from anomaly_operator.core.status.pods import Pod, pod

INSTALLATION = Installation("example/detector:1", "example/trainer:1", "anomaly-operator-trainer")
START = 1_780_000_000.0
SPEC: dict[str, Any] = {
    "source": {"kafka": {"bootstrapServers": "kafka:9092", "topic": "pump-readings"}},
    "features": [{"name": "temperature"}, {"name": "pressure"}],
    "rollout": {"steps": [], "settingsSteps": []},
}


def merged(document: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    out = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merged(out.get(key), value)
    return out


def calibration(window: str = "short") -> dict[str, Any]:
    points = [Quantile(level=0.0, score=0.0), Quantile(level=0.99, score=0.5), Quantile(level=1.0, score=1.0)]
    return Calibration(
        window=window,
        windows=1000,
        entity_seconds=1e6,
        mean=0.1,
        standard_deviation=0.1,
        maximum=1.0,
        quantiles=points,
        peaks=[1.0 - step / 100 for step in range(50)],
    ).document()


def trained(spec: Mapping[str, Any]) -> dict[str, Any]:
    pipeline = DetectorSpec.model_validate(spec).pipeline.document()
    figures = {
        "readings": 1000,
        "entities": 3,
        "kind": "Autoencoder",
        "settings": {"layers": [8]},
        "seed": 1,
        "epochs": 5,
        "seconds": 1.0,
    }
    times = {"dataFrom": seen_time(START), "dataTo": seen_time(START)}
    return {"detector": "pumps", "job": "a-job", "heldOut": [], "versions": {}, "pipeline": pipeline, **figures, **times}


@dataclass
class World:
    """One detector and what belongs to it."""

    now: float = START
    spec: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(SPEC))
    generation: int = 1
    status: dict[str, Any] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    children: dict[tuple[Kind, str], dict[str, Any]] = field(default_factory=dict)
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    reports: dict[str, DetectorEvidence] = field(default_factory=dict)
    trainer: Any = None
    group_members: tuple[Any, ...] = ()
    apply_error: ApplyError | None = None
    spec_error: str = ""
    autoscaled: bool = False
    models_referred: frozenset[str] = frozenset()
    pod_refusals: dict[str, str] = field(default_factory=dict)
    stats_written: float = 0.0
    room: TrainingRoom = field(default_factory=TrainingRoom)
    patience: float = 0.0
    events: list[Any] = field(default_factory=list)
    queries: dict[str, Any] = field(default_factory=dict)
    transitions: list[Any] = field(default_factory=list)

    # -- what users and others do

    def edit(self, patch: Mapping[str, Any]) -> None:
        self.spec = merged(self.spec, dict(patch))
        self.generation += 1

    def add_model(
        self, name: str = "pumps-11111111", *, key: str | None = None, digit: str = "1", gate: Any = None, **interface: Any
    ) -> str:
        digest = f"sha256:{digit * 64}"
        features = [feature["name"] for feature in self.spec["features"]]
        self.models[name] = {
            "metadata": {
                "name": name,
                "labels": {LABEL_TRAINING: self.key if key is None else key},
                "annotations": {ANNOTATION_REQUEST: self._request} if key is None else {},
                "creationTimestamp": seen_time(self.now),
                "ownerReferences": [{"kind": "AnomalyDetector", "uid": "uid-1", "name": "pumps"}],
            },
            "spec": {
                "digest": digest,
                "artifact": {"configMapRef": {"name": name}},
                "interface": {"features": features, "windows": [{"name": "short", "size": 12}], **interface},
                "calibration": [calibration()],
                "trained": trained(self.spec) | ({"gate": gate} if gate else {}),
            },
        }
        return digest

    # -- what the cluster does

    def run_pods(self, count: int = 1, **told: Any) -> None:
        """The Deployment is rolled out, its pods run and report what they were told."""
        self.pods = {f"pumps-detector-{number}": self._pod(f"pumps-detector-{number}") for number in range(count)}
        live = self.children[DEPLOYMENTS, "pumps-detector"]
        live["status"] = {"observedGeneration": 99, "replicas": count, "updatedReplicas": count}
        for number, name in enumerate(self.pods):
            if number == 0:
                self.report(name, **told)
            else:  # the same in its own name; to ask for the plan again takes most of a test's time
                self.reports[name] = self.reports["pumps-detector-0"].model_copy(update={"pod": name})

    def report(
        self,
        name: str,
        *,
        failure: RevisionFailure | None = None,
        state: SourceState = SourceState.READING,
        stored: int | None = None,
        slowest: PartitionEvidence | None = None,
        recently_skipped: int = 0,
        candidate: Mapping[str, Any] | None = None,
        **figures: Any,
    ) -> None:
        planned = desired_state(self.snapshot, self.now)
        revision = RevisionEvidence(
            revision=planned.rollout.stable.name,
            role="stable",
            loaded=failure is None,
            failure=failure,
            message="it is wrong",
        )
        facts = {"last_scored": self.now - 1, "last_reading": self.now - 1, "recent_readings": 100, "readings": 100} | figures
        self.reports[name] = DetectorEvidence(
            pod=name,
            runtime=planned.runtime.digest,
            assignment=planned.rollout.assignment.digest,
            now=self.now,
            source=SourceEvidence(
                state=state,
                message="what is wrong" if state != SourceState.READING else "",
                partitions=4,
                stored=stored,
                slowest=slowest,
                skipped=recently_skipped,
                recently_skipped=recently_skipped,
            ),
            revisions=[revision, *candidate_rows(planned.rollout.assignment, candidate or {})],
            **facts,
        )

    def _pod(self, name: str) -> dict[str, Any]:
        return {
            "metadata": {"name": name, "labels": {LABEL_COMPONENT: "detector"}, "creationTimestamp": seen_time(self.now)},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
        }

    # -- what the operator sees and does

    @property
    def key(self) -> str:
        """Of the training in force."""
        from anomaly_operator.core.training.order import training_order

        asked = training_order(self.snapshot.detector, self._request)
        return asked.key if asked else ""

    @property
    def _request(self) -> str:
        return str(self.status.get("training", {}).get("request", ""))

    @property
    def snapshot(self) -> Snapshot:
        document = {
            "metadata": {
                "namespace": "plant",
                "name": "pumps",
                "uid": "uid-1",
                "generation": self.generation,
                "creationTimestamp": seen_time(START),
                "annotations": self.annotations,
            },
            "spec": self.spec,
            "status": self.status,
        }
        return Snapshot(
            detector=seen.detector(document),
            children=copy.deepcopy(self.children),
            pods=self._pods(),
            models={name: seen.model(model) for name, model in self.models.items()},
            models_referred=self.models_referred,
            detectors_here=frozenset({"pumps"}),
            group_members=self.group_members,
            apply_error=self.apply_error,
            spec_error=self.spec_error,
            autoscaled=self.autoscaled,
            pod_refusals=self.pod_refusals,
            stats_written=self.stats_written,
            room=self.room,
            patience=self.patience,
            evidence=Evidence(
                asked=dict.fromkeys(self.reports, self.now),
                detectors=tuple(self.reports.values()),
                trainer=self.trainer,
                queries=self.queries,
            ),
        )

    def _pods(self) -> tuple[Pod, ...]:
        return tuple(pod(document) for document in self.pods.values())

    @property
    def plan(self) -> Plan:
        return plan(self.snapshot, INSTALLATION, self.now)

    def step(self) -> Plan:
        """Carry out what is planned."""
        planned = self.plan
        for write in self.writes(planned):
            write()
        self.events += planned.events
        self.transitions += [planned.transition] if planned.transition else []
        if "source" in planned.status:
            self.stats_written = self.now
        return planned

    def writes(self, planned: Plan) -> list[Callable[[], Any]]:
        """What the operator writes for a plan, in its order."""
        status = [partial(self._patch_status, planned.status)] if planned.status else []
        return [*status, *(partial(self._execute, action) for action in planned.actions)]

    def _patch_status(self, patch: dict[str, Any]) -> None:
        self.status = merged(self.status, patch)

    def settle(self) -> None:
        """Until nothing is left to do; fails when that takes long."""
        for _ in range(5):
            if self.step().empty:
                return
        raise AssertionError(f"still something to do: {self.plan}")

    def settle_quietly(self) -> None:
        """As far as it gets in a few steps."""
        for _ in range(4):
            self.step()

    def _execute(self, action: Any) -> None:
        match action:
            case Apply(manifest):
                self._apply(manifest)
            case FillSlot(manifest, _, digest):
                self._apply(manifest)[HASHES] = {MODEL_FILE: digest}
            case Delete(kind, name):
                if kind == MODELS:
                    del self.models[name]
                else:
                    del self.children[kind, name]
            case RefreshMounts(name, digest):
                self.pods[name]["metadata"].setdefault("annotations", {})[ANNOTATION_ASSIGNMENT] = digest
            case PatchModel(name, status):
                self.models[name]["status"] = merged(self.models[name].get("status", {}), status)

    def _apply(self, manifest: dict[str, Any]) -> dict[str, Any]:
        kind, name = kind_of(manifest), manifest["metadata"]["name"]
        before = self.children.get((kind, name), {})
        live = copy.deepcopy(manifest)
        live["metadata"] |= {"uid": f"uid-{kind.kind}-{name}", "generation": 1, "resourceVersion": "7"}
        live["status"] = before.get("status", {})
        self.children[kind, name] = live
        return live

    def condition(self, name: str) -> tuple[str, str]:
        """Status and reason."""
        found = next(each for each in self.status["conditions"] if each["type"] == name)
        return found["status"], found["reason"]

    def message(self, name: str) -> str:
        return str(next(each for each in self.status["conditions"] if each["type"] == name)["message"])

    @property
    def assignment(self) -> Any:
        """What the pods are told."""
        from anomaly_operator.core.models.selection import current_assignment

        return current_assignment(self.snapshot)

    @property
    def job(self) -> dict[str, Any] | None:
        return next((live for (kind, _), live in self.children.items() if kind == JOBS), None)

    def config(self, name: str) -> dict[str, Any]:
        return self.children[CONFIG_MAPS, name]


def candidate_rows(assignment: Any, said: Mapping[str, Any]) -> list[RevisionEvidence]:
    """What a pod says of the candidate that it has been told of."""
    if assignment.candidate is None:
        return []
    told = {
        "revision": assignment.candidate.name,
        "role": "candidate",
        "loaded": True,
        "against": assignment.stable.name,
        "rollout": assignment.rollout,
        "weight": assignment.weight,
    }
    return [RevisionEvidence(**(told | dict(said)))]


def seen_time(moment: float) -> str:
    from anomaly_operator.core.timestamps import rfc3339

    return rfc3339(moment)
