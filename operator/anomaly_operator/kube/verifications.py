"""Jobs that check models, and their pods, by the model that they name. Whose they are, their owner references say."""

from anomaly_api.meta import ANNOTATION_MODEL, LABEL_COMPONENT
from anomaly_operator.core.models.verification import ModelSnapshot
from anomaly_operator.core.resources.names import JOBS, PODS, VERIFIER, Kind
from anomaly_operator.core.resources.ownership import controller
from anomaly_operator.core.resources.verification import job_name
from anomaly_operator.core.snapshot import Manifest, Model
from anomaly_operator.core.status.pods import Pod, pod

_Place = tuple[Kind, str, str]
_Key = tuple[str, str]


def checked_model(document: Manifest) -> str:
    """The model that a Job or pod is to check; empty where it is another's."""
    metadata = document["metadata"]
    if (metadata.get("labels") or {}).get(LABEL_COMPONENT) != VERIFIER:
        return ""
    return str((metadata.get("annotations") or {}).get(ANNOTATION_MODEL, ""))


class VerificationIndex:
    """The checks of all namespaces."""

    def __init__(self) -> None:
        self._models: dict[_Place, str] = {}
        self._jobs: dict[_Key, dict[str, Manifest]] = {}
        self._pods: dict[_Key, dict[str, Pod]] = {}

    def put(self, place: _Place, model: str, document: Manifest) -> None:
        """Take over a Job without its template, or a pod."""
        kind, namespace, name = place
        self._models[place] = model
        if kind == PODS:
            self._pods.setdefault((namespace, model), {})[name] = pod(document)
        elif kind == JOBS:
            self._jobs.setdefault((namespace, model), {})[name] = document

    def drop(self, place: _Place) -> bool:
        """Forget one; whether it was one of these."""
        kind, namespace, name = place
        model = self._models.pop(place, None)
        if model is None:
            return False
        for index in (self._pods if kind == PODS else self._jobs,):
            found = index.get((namespace, model), {})
            found.pop(name, None)
            if not found:
                index.pop((namespace, model), None)
        return True

    def snapshot(self, namespace: str, model: Model) -> ModelSnapshot:
        """What there is of a model."""
        job = self._jobs.get((namespace, model.name), {}).get(job_name(model))
        if job is None or controller(job["metadata"]) != model.uid:
            return ModelSnapshot(namespace, model)
        uid = job["metadata"]["uid"]
        pods = tuple(each for each in self._pods.get((namespace, model.name), {}).values() if each.owner == uid)
        return ModelSnapshot(namespace, model, job, pods)
