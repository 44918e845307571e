"""Everything that the operator is installed into: a cluster with the images in it, and a broker. And where they are.

`.run/` in the clone gets what a person needs: `env` (KUBECONFIG and the broker's addresses), `bin/kubectl`, `bin/helm`.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dev.environment import cluster, images
from dev.environment.cluster import Cluster
from dev.environment.kafka import in_cluster, jars
from dev.environment.supervision.plan import CLONE
from dev.progress import Tell

RUN = CLONE / ".run"


@dataclass(frozen=True)
class Surroundings:
    """A cluster and a broker that are up."""

    name: str
    cluster: Cluster
    bootstrap: str  # for this machine
    bootstrap_in_cluster: str
    images: dict[str, str]  # target: name

    def environment(self) -> dict[str, str]:
        return {
            "KUBECONFIG": self.cluster.kubeconfig,
            "KAFKA_BOOTSTRAP": self.bootstrap,
            "KAFKA_BOOTSTRAP_IN_CLUSTER": self.bootstrap_in_cluster,
        }


def up(name: str, tell: Tell, *, leashed: bool = False) -> Surroundings:
    """Starts what is not there; `leashed`: it goes down when this process ends, however it ends."""
    wanted = [images.image(target) for target in images.TARGETS]
    with ThreadPoolExecutor(1) as beside:  # the first time, for half a minute, most of which it waits for Maven Central
        fetched = None if cluster.uses_kind() else beside.submit(jars.fetched, tell)
        there = cluster.up(name, tell, images=wanted, leashed=leashed)
        if fetched is not None:
            fetched.result()
    bootstrap = in_cluster.up(there, name, tell)
    names = {image.target: image.name for image in wanted}
    return Surroundings(name, there, bootstrap, in_cluster.BOOTSTRAP, names)


def down(name: str, tell: Tell) -> bool:
    """Leaves nothing; False if nothing was there."""
    if name == cluster.DEFAULT:
        shutil.rmtree(RUN, ignore_errors=True)
    return cluster.down(name, tell)


def write_env(there: Surroundings, folder: Path = RUN) -> Path:
    """Writes `env`, to be read by a shell or a program, and links to kubectl and Helm; returns the path of `env`."""
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    for name, target in (("kubectl", there.cluster.kubectl_path), ("helm", there.cluster.helm_path)):
        (folder / "bin" / name).unlink(missing_ok=True)
        (folder / "bin" / name).symlink_to(target)
    written = folder / "env"
    written.write_text("".join(f"{key}={value}\n" for key, value in there.environment().items()))
    return written
