"""The demo from an empty topic to the verdict, on surroundings that are up. It draws nothing itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

from dev.demo import topics
from dev.demo.outcome import Figures, Outcome
from dev.demo.picture import Picture, latencies
from dev.demo.producer import Producer
from dev.demo.scenario import Scenario
from dev.demo.screen import Screen
from dev.demo.topics import AlertReader
from dev.demo.watching import Seen, Watcher, as_document
from dev.environment.cluster import Cluster
from dev.environment.prerequisites import Surroundings
from dev.progress import telling
from dev.up import OPERATOR_NAMESPACE

NAMESPACE = "demo"
SCORED_WITHIN = 120.0
MODEL_WITHIN = 300.0
DRAINED_WITHIN = 60.0
_PATIENCE_WITH_STALLED = 15.0


class DemoFailed(Exception):  # noqa: N818 - it is what the demo did
    """The demo failed; the message says what to look at."""


class Story:
    """One run. The detector and its topics stay, so that a person can look at them."""

    def __init__(self, around: Surroundings, scenario: Scenario, screen: Screen, began: float) -> None:
        self._around, self._scenario, self._screen, self._began = around, scenario, screen, began
        self._phase, self._applied = "", 0.0
        self._stalled_since: float | None = None

    def run(self) -> Outcome:
        """DemoFailed when it did not work."""
        name, topic = self._scenario.name, self._scenario.topic
        self._clear_away()
        bootstrap = self._around.bootstrap
        with ExitStack() as running:
            with telling(self._screen.tell, "making the topics"):
                topics.make_anew(bootstrap, [topic, f"{topic}.alerts", f"{topic}.dead-letters"])
            self._producer = running.enter_context(Producer(bootstrap, self._scenario))
            with telling(
                self._screen.tell, f"writing {self._scenario.history * self._scenario.recording.step / 86400:.0f} days of history"
            ):
                self._producer.write_history()
            self._producer.play()
            self._alerts = running.enter_context(AlertReader(bootstrap, f"{topic}.alerts"))
            with telling(self._screen.tell, f"kubectl apply -f examples/{name}.yaml"):
                self._around.cluster.kubectl("apply", "--namespace", NAMESPACE, "-f", str(self._scenario.example))
            self._applied = time.monotonic()
            kubeconfig = self._around.cluster.kubeconfig
            self._watcher = running.enter_context(Watcher(kubeconfig, NAMESPACE, name, OPERATOR_NAMESPACE))
            return self._play()

    def _clear_away(self) -> None:
        """Returns what an earlier run left."""
        cluster = self._around.cluster
        need_namespace(cluster)
        detector = ("--namespace", NAMESPACE, "--ignore-not-found", "--cascade=foreground", "--timeout=60s")
        with telling(self._screen.tell, "clearing away what an earlier run left"):
            cluster.kubectl("delete", "anomalydetector", self._scenario.name, *detector)

    def _play(self) -> Outcome:
        self._until("waiting for the first scored window", SCORED_WITHIN, lambda seen: seen.windows > 0)
        scored = time.monotonic() - self._applied
        self._until("the statistical scorer decides while a model is trained", MODEL_WITHIN, lambda seen: seen.model is not None)
        served = time.monotonic() - self._applied
        judged = self._producer.begin_judged()
        wanted = (judged.stretch.end - self._producer.progress().tick) / self._scenario.judged_rate
        self._until("anomalies are put in", 3 * wanted + 60, lambda _: self._producer.progress().done)
        windows = self._watcher.seen.windows
        self._until("the detector catches up", DRAINED_WITHIN, lambda seen: self._drained(seen, windows))
        return self._outcome(scored, served)

    def _drained(self, seen: Seen, windows: int) -> bool:
        """Everything read, and an alert in flight has had the time to arrive."""
        return seen.lag == 0 and seen.windows >= windows and self._quiet_for(1.5)

    def _quiet_for(self, seconds: float) -> bool:
        arrivals = self._alerts.arrivals
        last = max(arrivals[-1].at if arrivals else 0.0, max(self._producer.written.values(), default=0.0))
        return time.time() - last > seconds

    def _until(self, phase: str, within: float, done: Callable[[Seen], bool]) -> None:
        self._phase = phase
        give_up = time.monotonic() + within
        while True:
            seen = self._watcher.next(timeout=1.0)
            self._screen.show(self._picture())
            if done(seen):
                return
            self._give_up_when_stalled(seen)
            if time.monotonic() > give_up:
                raise DemoFailed(f"{phase}: not done within {within:.0f} s.\n{self._circumstances()}")

    def _give_up_when_stalled(self, seen: Seen) -> None:
        stalled = next((c for c in seen.status.conditions or [] if c.type == "Stalled" and c.status == "True"), None)
        if stalled is None:
            self._stalled_since = None
            return
        self._stalled_since = self._stalled_since or time.monotonic()
        if time.monotonic() - self._stalled_since > _PATIENCE_WITH_STALLED:
            raise DemoFailed(f"the detector is stalled: {stalled.reason}: {stalled.message}\n{self._circumstances()}")

    def _circumstances(self) -> str:
        cluster, name = self._around.cluster, self._scenario.name
        pods = cluster.run("get", "pods", "--namespace", NAMESPACE, "-o", "wide").stdout
        logs = cluster.run("logs", "--namespace", OPERATOR_NAMESPACE, "deployment/anomaly-operator", "--tail=20").stdout
        trouble = f"while looking: {self._watcher.trouble}\n" if self._watcher.trouble else ""
        return (
            f"status of {name}: {as_document(self._watcher.seen)}\n{trouble}pods:\n{pods}\noperator:\n{logs}\n"
            f"Look further with: kubectl --namespace {NAMESPACE} describe adet {name}"
        )

    def _picture(self) -> Picture:
        return Picture(
            self._scenario,
            self._phase,
            time.monotonic() - self._applied,
            self._watcher.seen,
            self._producer.progress(),
            self._producer.judged,
            tuple(self._alerts.arrivals),
        )

    def _outcome(self, scored: float, served: float) -> Outcome:
        picture = self._picture()
        self._screen.show(picture)
        about = [a.at for a in picture.arrivals if a.alert.announces]
        return Outcome(
            picture.verdict(),
            Figures(
                apply_to_scored=scored,
                apply_to_model=served,
                start_to_alert=about[0] - self._began if about else float("nan"),
                latencies=tuple(latencies(picture.recording, picture.arrivals, self._producer.written)),
                detector_memory=picture.seen.memory.get("detector", float("nan")),
                operator_memory=picture.seen.memory.get("operator", float("nan")),
            ),
            self._scenario.recording.step,
            self._scenario.judged_rate,
        )


def need_namespace(cluster: Cluster) -> None:
    """Makes the demos' namespace, at the restricted level, if it is not there."""
    if cluster.run("get", "namespace", NAMESPACE).returncode != 0:
        cluster.kubectl("create", "namespace", NAMESPACE)
        cluster.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")


def next_steps(scenario: Scenario) -> str:
    """What to type when it has ended."""
    return f"""
The stream has ended; the detector waits for more. To look around:

  set -a; . .run/env; set +a; PATH=$PWD/.run/bin:$PATH
  kubectl get adet --namespace {NAMESPACE} -o wide
  kubectl describe adet {scenario.name} --namespace {NAMESPACE}
  kubectl get amodel --namespace {NAMESPACE}
  topic read {scenario.topic}.alerts --no-follow
  make down"""
