"""Looks at the detector as a person with kubectl would, in a thread: its status, its pods' evidence and memory."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from pydantic import ValidationError
from urllib3.exceptions import HTTPError

from anomaly_api.evidence import DetectorEvidence
from anomaly_api.meta import GROUP, HTTP_PORT, LABEL_COMPONENT, LABEL_DETECTOR, VERSION
from anomaly_api.status import DetectorStatus

_EVERY = 0.4
_MEMORY = re.compile(r"^process_resident_memory_bytes (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Seen:
    """One look. What cannot be seen is empty."""

    status: DetectorStatus = field(default_factory=DetectorStatus)
    evidence: tuple[DetectorEvidence, ...] = ()
    memory: dict[str, float] = field(default_factory=dict)
    """Highest resident memory seen so far, in bytes: `detector`, `operator`."""

    @property
    def windows(self) -> int:
        """Windows scored by the pods that run."""
        return sum(pod.windows for pod in self.evidence)

    @property
    def lag(self) -> int:
        return sum(pod.source.lag for pod in self.evidence)

    @property
    def model(self) -> str | None:
        """The model that scores: the status says that it is stable, and every pod that it has loaded it."""
        stable = self.status.stable
        if stable is None or stable.model is None or not self.evidence:
            return None
        loaded = {
            revision.revision
            for pod in self.evidence
            for revision in pod.revisions
            if revision.role == "stable" and revision.loaded
        }
        return stable.model if loaded == {stable.revision} else None


class Watcher:
    """Keeps `seen` fresh until it is left. Errors of the API server are waited out and kept in `trouble`."""

    def __init__(self, kubeconfig: str, namespace: str, name: str, operator_namespace: str) -> None:
        api = config.new_client_from_config(config_file=kubeconfig)
        self._custom, self._core = client.CustomObjectsApi(api), client.CoreV1Api(api)
        self._namespace, self._name, self._operator_namespace = namespace, name, operator_namespace
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._looked = threading.Condition()
        self.seen = Seen()
        self.trouble = ""

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def next(self, timeout: float) -> Seen:
        """The next look, or the last one when none came within `timeout` seconds."""
        with self._looked:
            self._looked.wait(timeout)
            return self.seen

    def _watch(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                seen, self.trouble = self._look(), ""
            except (ApiException, HTTPError, ValidationError) as failure:
                self.trouble = f"{type(failure).__name__}: {failure}"
            else:
                with self._looked:
                    self.seen = seen
                    self._looked.notify_all()
            self._stop.wait(max(0.05, _EVERY - (time.monotonic() - began)))

    def _look(self) -> Seen:
        found = self._custom.get_namespaced_custom_object(GROUP, VERSION, self._namespace, "anomalydetectors", self._name)
        pods = self._running(self._namespace, f"{LABEL_DETECTOR}={self._name},{LABEL_COMPONENT}=detector")
        evidence = [self._read(self._namespace, pod, "evidence") for pod in pods]
        memory = dict(self.seen.memory)
        self._note(memory, "detector", self._namespace, pods)
        operators = self._running(self._operator_namespace, "app.kubernetes.io/name=anomaly-operator")
        self._note(memory, "operator", self._operator_namespace, operators)
        return Seen(
            DetectorStatus.model_validate(found.get("status") or {}),
            tuple(DetectorEvidence.model_validate_json(text) for text in evidence if text),
            memory,
        )

    def _running(self, namespace: str, labels: str) -> list[str]:
        pods: Any = self._core.list_namespaced_pod(namespace, label_selector=labels).items
        return [pod.metadata.name for pod in pods if pod.status.phase == "Running" and not pod.metadata.deletion_timestamp]

    def _note(self, memory: dict[str, float], whose: str, namespace: str, pods: list[str]) -> None:
        for pod in pods:
            told = _MEMORY.search(self._read(namespace, pod, "metrics"))
            if told:
                memory[whose] = max(memory.get(whose, 0.0), float(told[1]))

    def _read(self, namespace: str, pod: str, path: str) -> str:
        """Through the API server, as nothing else reaches pods from outside everywhere. Empty while the pod does not answer."""
        try:
            answer = self._core.connect_get_namespaced_pod_proxy_with_path(
                f"{pod}:{HTTP_PORT}", namespace, path, _preload_content=False, _request_timeout=3
            )
        except ApiException:
            return ""
        return str(answer.data.decode())


def as_document(seen: Seen) -> str:
    """The status as JSON, for a message about what went wrong."""
    return json.dumps(seen.status.document(), indent=1)
