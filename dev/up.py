"""`make up`: cluster, broker and the operator installed by its chart; then what a person needs to go on."""

from __future__ import annotations

import argparse
import os
import shlex
import stat
import sys
from pathlib import Path
from typing import Final

from dev.environment import cluster, prerequisites
from dev.environment.prerequisites import RUN, Surroundings
from dev.environment.supervision.plan import CLONE
from dev.progress import Tell, plain, telling

OPERATOR_NAMESPACE: Final = "anomaly-operator"
RELEASE: Final = "anomaly-operator"
CHART: Final = CLONE / "helm" / "anomaly-operator"
_ROLLED_OUT: Final = "180s"


def up(tell: Tell, name: str = cluster.DEFAULT) -> Surroundings:
    """Everything that a detector needs; what is there already is taken. Writes `.run/env`."""
    around = prerequisites.up(name, tell)
    install_operator(around, tell)
    write_commands(around, RUN)
    return around


def write_commands(around: Surroundings, folder: Path) -> None:
    """Where everything is, as `env`, and in `bin` the commands that people are told to type."""
    prerequisites.write_env(around, folder)
    _write_topic_command(folder / "bin" / "topic")


def install_operator(around: Surroundings, tell: Tell) -> None:
    """By its chart, with the images that were built from this clone. RuntimeError says why a rollout did not succeed."""
    images = [f"--set=image.{target}.tag={name.rsplit(':', 1)[1]}" for target, name in around.images.items()]
    with telling(tell, "helm upgrade --install anomaly-operator"):
        around.cluster.helm(
            *("upgrade", "--install", RELEASE, str(CHART), "--namespace", OPERATOR_NAMESPACE, "--create-namespace", *images)
        )
    with telling(tell, "waiting for the operator"):
        status = ("rollout", "status", f"deployment/{RELEASE}", f"--timeout={_ROLLED_OUT}")
        rolled_out = around.cluster.run("--namespace", OPERATOR_NAMESPACE, *status)
        if rolled_out.returncode != 0:
            said = [around.cluster.run("--namespace", OPERATOR_NAMESPACE, *command).stdout for command in _WHY]
            raise RuntimeError("the operator does not start:\n" + rolled_out.stderr + "\n".join(said))


_WHY: Final = (("get", "pods", "-o", "wide"), ("get", "events"), ("logs", f"deployment/{RELEASE}", "--tail=30"))


def _write_topic_command(path: Path) -> None:
    """Kafka's own command-line tools are seldom at hand; this one is."""
    python = shlex.quote(str(CLONE / ".venv/bin/python"))
    path.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(CLONE))} exec {python} -m dev.topic "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def next_steps(around: Surroundings) -> str:
    """Returns what to type now."""
    return f"""
Everything is up. In this shell:

  set -a; . .run/env; set +a; PATH=$PWD/.run/bin:$PATH     # KUBECONFIG, KAFKA_BOOTSTRAP, kubectl, helm, topic

Kubernetes   {around.cluster.kubeconfig}
Kafka        {around.bootstrap}  from this machine
             {around.bootstrap_in_cluster}  from inside the cluster: what a detector's bootstrapServers says

A detector for a topic of your own (a reading is a JSON object, its key says whose it is; the alerts topic is made for you):

  awk 'BEGIN {{for (;;) {{printf "pump-1\\t{{\\"temperature\\": %.2f, \\"pressure\\": %.2f, \\"vibration\\": %.2f}}\\n",
      60 + rand(), 4 + rand(), 2 + rand(); fflush(); system("sleep 0.1")}}}}' | topic write readings &
  sed 's/kafka:9092/{around.bootstrap_in_cluster}/; s/pump-readings/readings/' examples/shortest.yaml | kubectl apply -f -
  kubectl get adet -o wide; kubectl describe adet
  topic read readings.alerts

More to apply is in examples/. `make demo` shows twenty pumps, `make down` takes everything away."""


def main() -> int:
    """Exit status 1 when something did not start."""
    parser = argparse.ArgumentParser(prog="make up", description=__doc__)
    parser.add_argument("--data", help="ignored: `make demo` has a stream of its own")
    parser.parse_args()
    os.chdir(CLONE)
    try:
        around = up(plain)
    except (RuntimeError, OSError) as failure:
        print(f"\nIt did not work: {failure}\n`make down` clears away what is there.", file=sys.stderr)
        return 1
    print(next_steps(around))
    return 0


if __name__ == "__main__":
    sys.exit(main())
