"""`python -m dev.environment.cluster up|down|status`: a whole Kubernetes on this machine, until `down`."""

from __future__ import annotations

import argparse

from dev.environment import cluster
from dev.progress import plain


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.environment.cluster", description=__doc__)
    parser.add_argument("do", choices=["up", "down", "status"])
    parser.add_argument("--name", default=cluster.DEFAULT, help="to keep several apart (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.do == "up":
        print(f"KUBECONFIG={cluster.up(arguments.name, plain).kubeconfig}")
    elif arguments.do == "down":
        print("the cluster is gone" if cluster.down(arguments.name, plain) else "there was no cluster")
    else:
        _show(arguments.name)


def _show(name: str) -> None:
    shown = cluster.status(name)
    if shown is None:
        print("there is no cluster")
        return
    print("the cluster is up")
    for component, state in shown.items():
        print(f"  {component}: {state['state']}, died {state['deaths']} times")


if __name__ == "__main__":
    main()
