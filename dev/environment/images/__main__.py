"""`python -m dev.environment.images build [target ...]`: builds the images; `--cluster NAME` loads them into it."""

from __future__ import annotations

import argparse
import json

from dev.environment import images
from dev.progress import plain, silent


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.environment.images", description=__doc__)
    parser.add_argument("do", choices=["build", "names"])
    parser.add_argument("targets", nargs="*", metavar="target", help="operator, detector, trainer (default: all)")
    parser.add_argument("--cluster", help="load them into this cluster, which is up")
    parser.add_argument("--json", action="store_true", help="print nothing but the names, by target, as JSON")
    arguments = parser.parse_args()
    wanted = [images.image(target) for target in arguments.targets or images.TARGETS]
    tell = silent if arguments.json else plain
    if arguments.cluster:
        from dev.environment import cluster

        cluster.load(arguments.cluster, wanted, tell)
    elif arguments.do == "build":
        images.build(wanted, tell)
    if arguments.json:
        print(json.dumps({image.target: image.name for image in wanted}))
    else:
        print("\n".join(image.name for image in wanted))


if __name__ == "__main__":
    main()
