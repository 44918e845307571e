"""`python -m dev.environment.kafka up|down|status`: a broker on this machine's loopback, until `down`."""

from __future__ import annotations

import argparse

from dev.environment.kafka import broker
from dev.environment.supervision import group
from dev.environment.supervision.plan import State
from dev.progress import plain


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.environment.kafka", description=__doc__)
    parser.add_argument("do", choices=["up", "down", "status"])
    parser.add_argument("--name", default="kafka", help="to keep several apart (default: kafka)")
    arguments = parser.parse_args()
    state = State.of(arguments.name)
    if arguments.do == "up":
        print(f"KAFKA_BOOTSTRAP={broker.up(arguments.name, leashed=False, tell=plain).bootstrap}")
    elif arguments.do == "down":
        print("the broker is gone" if group.down(state) else "there was no broker")
    elif group.is_up(state):
        print(f"KAFKA_BOOTSTRAP={broker.bootstrap(state)}")
        for name, shown in group.status(state).items():
            print(f"{name}: {shown['state']}, died {shown['deaths']} times")
    else:
        print("there is no broker")


if __name__ == "__main__":
    main()
