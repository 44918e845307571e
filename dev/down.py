"""`make down`: takes away what `make up` and `make demo` brought; what was built stays in the cache."""

from __future__ import annotations

import argparse
import sys

from dev.environment import cluster, prerequisites
from dev.progress import plain


def main() -> int:
    """Always leaves nothing; says whether there was anything."""
    parser = argparse.ArgumentParser(prog="make down", description=__doc__)
    parser.add_argument("--data", help="ignored")
    parser.parse_args()
    was_there = prerequisites.down(cluster.DEFAULT, plain)
    print("everything is gone" if was_there else "there was nothing")
    return 0


if __name__ == "__main__":
    sys.exit(main())
