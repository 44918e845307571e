"""A detector drawn as a tree: its revisions with their models, its training, its pods. Pure: documents in, lines out.

NAME                     KIND       STATUS        AGE   INFO
◉ pumps                  Detector   ✔ Ready       5d
├─ # 3f2a91c0            Revision   ✔ stable      2d    short 0.0182 of 1/1w
│  └─ ◆ pumps-7d41c0     Model      ✔ Verified    2d    Autoencoder, 8,640 readings, gate Accepted
└─ ▣ pumps-detector      Pods       ✔ 1/1 ready
   └─ □ pumps-detector…  Pod        ✔ Running     5d
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from anomaly_api.meta import LABEL_COMPONENT
from kubectl_anomaly import node, rollout_view
from kubectl_anomaly.detector_view import Document, at, condition, health, number
from kubectl_anomaly.node import Node
from kubectl_anomaly.printing import age, coloured, seconds_of, span


@dataclass(frozen=True)
class Family:
    """A detector, and what belongs to it."""

    detector: Document
    pods: Sequence[Document] = ()
    """Of scoring and of training."""
    models: Sequence[Document] = ()
    records: Sequence[Document] = ()
    """ControllerRevisions."""


def draw(family: Family, now: float, *, colour: bool = False) -> str:
    """What is said at the top, and the tree."""
    return "\n".join([*_top(family.detector, now, colour=colour), "", *node.lines(_root(family, now), colour=colour)])


def _top(detector: Document, now: float, *, colour: bool) -> Iterator[str]:
    found = health(detector)
    told = {
        "Name": at(detector, "metadata", "name"),
        "Namespace": at(detector, "metadata", "namespace"),
        "Status": coloured(f"{found.mark} {found.word}", found.colour, on=colour) + _because(found.reason, found.word),
        "Message": found.message,
        "Source": _source(detector, now),
        "Thresholds": _thresholds(detector),
        **rollout_view.summary(detector, now),
        "Feedback": _feedback(detector),
        "Drift": _drift(detector),
    }
    width = 2 + max(len(name) for name in told)
    for name, text in told.items():
        if text:
            yield f"{name + ':' if name else '':{width}}{text}"


def _because(reason: str, word: str) -> str:
    return f" ({reason})" if reason and reason != word else ""


def _source(detector: Document, now: float) -> str:
    topic, seen = at(detector, "spec", "source", "kafka", "topic"), at(detector, "status", "source")
    if not seen:
        return f"{topic}"
    behind = f" ({span(seen['lagSeconds'])})" if seen.get("lagSeconds") else ""
    parts = [f"{topic}", f"{seen['partitions']} partitions", f"lag {seen['lag']:,}{behind}"]
    for name, said in (("lastScored", "last scored"), ("lastAlert", "last alert")):
        if seconds_of(seen.get(name)) is not None:
            parts.append(f"{said} {age(seen[name], now)} ago")
    if seen.get("lastScore") is not None:
        parts.append(f"last score {number(seen['lastScore'])}")
    return " · ".join(parts)


def _thresholds(detector: Document) -> str:
    return " · ".join(map(_threshold, at(detector, "status", "thresholds") or []))


def _threshold(found: Document) -> str:
    said = f"{found['window']} {number(found['value'])} ({found['source']} {found['asked']}"
    realised = found.get("realised") or {}
    if realised.get("entitySeconds"):
        above = f" and {number(realised['high'])}" if realised.get("high") is not None else " and more"
        said += f", realised {number(realised['rate'])}: between {number(realised['low'])}{above}"
    elif found.get("expectedEpisodes") is not None:
        said += f", expected {number(found['expectedEpisodes'])}"
    return f"{said}, {number(found['factor'])} times by labels)" if found.get("factor") else f"{said})"


def _feedback(detector: Document) -> str:
    found = at(detector, "status", "feedback")
    if not found:
        return ""
    return f"{found['labels']} labels" + (f" · {found['message']}" if found.get("message") else "")


def _drift(detector: Document) -> str:
    told = condition(detector, "DriftDetected")
    return f"{told.reason}: {told.message}" if told.status == "True" else ""


def _root(family: Family, now: float) -> Node:
    detector, found = family.detector, health(family.detector)
    children = [*_revisions(family, now), *_training(family, now), *_pods(family, now)]
    paused = "spec.paused is set" if at(detector, "spec", "paused") else ""
    return Node(
        "◉",
        at(detector, "metadata", "name"),
        "Detector",
        found.word,
        found.colour,
        age(at(detector, "metadata", "creationTimestamp"), now),
        paused,
        children,
    )


def _revisions(family: Family, now: float) -> Iterator[Node]:
    stable, candidate = at(family.detector, "status", "stable"), at(family.detector, "status", "candidate")
    if stable:
        yield Node(
            "#",
            stable["revision"],
            "Revision",
            "stable",
            "good",
            age(stable.get("since"), now),
            _judged(family.detector, stable),
            _model(family, stable, now),
        )
    if candidate:
        yield rollout_view.node(family.detector, candidate, now, _model(family, candidate, now))
    yield from rollout_view.aborted(family.detector, now)


def _judged(detector: Document, revision: Document) -> str:
    """What people said of the alerts of the revision."""
    for each in at(detector, "status", "feedback", "revisions") or []:
        if each["revision"] == revision["revision"]:
            precise = f", precision {number(each['precision'])}" if each.get("precision") is not None else ""
            return f"{each['episodes']} episodes{precise}"
    return ""


def _model(family: Family, revision: Document, now: float) -> list[Node]:
    name = revision.get("model")
    if not name:
        return [Node("◆", "statistical", "Scorer", "fallback", "wait", info="until there is a model")]
    for model in family.models:
        if at(model, "metadata", "name") == name:
            return [model_node(model, now)]
    return [Node("◆", name, "Model", "missing", "bad")]


def model_node(model: Document, now: float) -> Node:
    """An AnomalyModel."""
    verified, trained = condition(model, "Verified"), at(model, "spec", "trained") or {}
    said = [trained.get("kind") or "imported"]
    if trained.get("readings"):
        said.append(f"{trained['readings']:,} readings")
    verdict = at(trained, "gate", "verdict")
    if verdict:
        said.append(f"gate {verdict}")
    states = {"True": ("Verified", "good"), "False": (verified.reason or "Unverified", "bad")}
    state, mood = states.get(verified.status, ("Unverified", "wait"))
    made = age(at(model, "metadata", "creationTimestamp"), now)
    return Node("◆", at(model, "metadata", "name"), "Model", state, mood, made, ", ".join(said))


def _training(family: Family, now: float) -> Iterator[Node]:
    found = at(family.detector, "status", "training")
    if not found:
        return
    state = found["state"]
    mood = {"Complete": "good", "Failed": "bad", "Rejected": "bad"}.get(state, "wait")
    progress = f"{state} {found['progress']} %" if found.get("progress") is not None and mood == "wait" else state
    said = []
    if found.get("windows") is not None and found.get("needed"):
        said.append(f"{found['windows']:,} of {found['needed']:,} windows")
    if found.get("attempts"):
        said.append(f"{found['attempts']} failed attempts")
    if found.get("message"):
        said.append(found["message"])
    pods = [_pod(pod, now) for pod in family.pods if _component(pod) == "trainer" and mood == "wait"]
    yield Node("⚙", found["job"], "Training", progress, mood, info=", ".join(said), children=pods)


def _pods(family: Family, now: float) -> Iterator[Node]:
    pods = sorted((pod for pod in family.pods if _component(pod) == "detector"), key=lambda pod: str(pod["metadata"]["name"]))
    ready = at(family.detector, "status", "replicas") or 0
    if not pods and not ready:
        return
    wanted = max(len(pods), ready)
    mood = "good" if ready >= wanted else "wait"
    name = f"{at(family.detector, 'metadata', 'name')}-detector"
    scaling = at(family.detector, "status", "scaling")
    info = f"{scaling['replicas']} wanted: {scaling['reason']}" if scaling else ""
    yield Node("▣", name, "Pods", f"{ready}/{wanted} ready", mood, "", info, [_pod(pod, now) for pod in pods])


def _pod(pod: Document, now: float) -> Node:
    state, mood = _state(pod)
    restarts = sum(each.get("restartCount", 0) for each in at(pod, "status", "containerStatuses") or [])
    info = [f"{restarts} restarts"] if restarts else []
    if at(pod, "spec", "nodeName"):
        info.append(f"on {pod['spec']['nodeName']}")
    made = age(at(pod, "metadata", "creationTimestamp"), now)
    return Node("□", pod["metadata"]["name"], "Pod", state, mood, made, ", ".join(info))


def _state(pod: Document) -> tuple[str, str]:
    """A pod's state as `kubectl get pods` names it."""
    if at(pod, "metadata", "deletionTimestamp"):
        return "Terminating", "dim"
    for each in at(pod, "status", "containerStatuses") or []:
        waiting = at(each, "state", "waiting", "reason")
        if waiting:
            return str(waiting), "wait" if waiting in ("ContainerCreating", "PodInitializing") else "bad"
    phase = str(at(pod, "status", "phase") or "Pending")
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in at(pod, "status", "conditions") or [])
    if phase == "Running":
        return ("Running", "good") if ready else ("NotReady", "wait")
    return phase, {"Succeeded": "good", "Failed": "bad"}.get(phase, "wait")


def _component(pod: Document) -> Any:
    return (at(pod, "metadata", "labels") or {}).get(LABEL_COMPONENT)
