"""A schedule of events for the pods, the broker and the network between them, drawn from a seed. It does nothing itself."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from anomaly_api.policy import Delivery
from anomaly_api.source import GroupProtocol

MOST_MEMBERS = 3
_AT_LEAST_ONCE = 0.2
"""Of the schedules, so many are played with `delivery: AtLeastOnce`."""
_CONSUMER = 0.2
"""Of the schedules, so many are played with the `consumer` group protocol."""


class Act(StrEnum):
    """Kinds of event."""

    KILL = "kill -9, then start again under the same name"
    REPLACE = "kill -9, and another pod is started"
    ZOMBIE = "SIGSTOP beyond the session timeout, then SIGCONT"
    PAUSE = "SIGSTOP for less than the session timeout, then SIGCONT"
    JOIN = "another pod joins"
    LEAVE = "SIGTERM"
    SPEC = "another revision is ordered"
    WEIGHT = "a candidate comes, or decides another share of the entities"
    PROMOTE = "the candidate becomes the stable revision"
    ABORT = "the candidate is taken away"
    BROKER_KILL = "the broker is killed and started"
    BROKER_STOP = "the broker is stopped and started"
    BROKER_PAUSE = "the broker answers nobody for a while"
    SLOW = "answers come late for a while"
    STILL = "nothing gets through for a while, in either direction; then all of it does"
    LOST = "answers are lost for a while, then the connections break"
    CUT = "connections break in the middle of an answer"
    SILENT = "connections carry nothing any more, and nobody is told"


_WEIGHTS = {
    Act.KILL: 6,
    Act.REPLACE: 2,
    Act.ZOMBIE: 4,
    Act.PAUSE: 2,
    Act.JOIN: 3,
    Act.LEAVE: 2,
    Act.SPEC: 3,
    Act.WEIGHT: 6,
    Act.PROMOTE: 2,
    Act.ABORT: 2,
    Act.BROKER_KILL: 1,
    Act.BROKER_STOP: 1,
    Act.BROKER_PAUSE: 1,
    Act.SLOW: 2,
    Act.STILL: 3,
    Act.LOST: 3,
    Act.CUT: 2,
    Act.SILENT: 1,
}
ORDERS = (Act.SPEC, Act.WEIGHT, Act.PROMOTE, Act.ABORT)
"""Those that change who decides."""


@dataclass(frozen=True)
class Event:
    """Something that is done."""

    at: float
    """Seconds after the first message."""
    act: Act
    which: int
    """Draws the member, the revision, or the part of the network."""
    seconds: float
    """How long it lasts, where it does."""

    def __str__(self) -> str:
        return f"{self.at:5.2f} s  {self.act} ({self.which}, {self.seconds:.2f} s)"


@dataclass(frozen=True)
class Schedule:
    """A run."""

    seed: int
    members: int
    """At the start."""
    events: tuple[Event, ...]
    delivery: Delivery = Delivery.EXACTLY_ONCE
    protocol: GroupProtocol = GroupProtocol.CLASSIC


def undisturbed(seed: int, delivery: Delivery = Delivery.EXACTLY_ONCE) -> Schedule:
    """One pod, and nothing happens."""
    return Schedule(seed, 1, (), delivery)


def schedule(seed: int, seconds: float, *, rollouts: bool = False) -> Schedule:
    """Drawn from `seed`, for a stream of so many seconds. With `rollouts` it is exactly once, and half of what happens is orders.

    At least once, nobody else is to decide: what was decided and not committed is decided again, by the newest revision.
    """
    dice = random.Random(seed)
    delivery = Delivery.AT_LEAST_ONCE if dice.random() < _AT_LEAST_ONCE and not rollouts else Delivery.EXACTLY_ONCE
    protocol = GroupProtocol.CONSUMER if dice.random() < _CONSUMER else GroupProtocol.CLASSIC
    acts = {act: weight for act, weight in _WEIGHTS.items() if act not in ORDERS or delivery is Delivery.EXACTLY_ONCE}
    if rollouts:
        acts = {act: weight * (3 if act in ORDERS else 1) for act, weight in acts.items()}
    count = dice.randint(6, 14) if rollouts else dice.randint(4, 9)
    times = sorted(dice.uniform(0.0, seconds) for _ in range(count))
    events = []
    for at in times:
        act = dice.choices(list(acts), list(acts.values()))[0]
        events.append(Event(at, act, dice.randrange(1000), _seconds(dice, act)))
    return Schedule(seed, dice.randint(1, MOST_MEMBERS), tuple(events), delivery, protocol)


def _seconds(dice: random.Random, act: Act) -> float:
    match act:
        case Act.ZOMBIE:
            return dice.uniform(1.8, 4.0)
        case Act.PAUSE | Act.BROKER_PAUSE:
            return dice.uniform(0.1, 1.0)
        case Act.SLOW | Act.LOST:
            return dice.uniform(0.1, 2.5)
        case Act.STILL:
            return dice.uniform(0.3, 4.0)  # some beyond the session timeout
        case Act.KILL | Act.REPLACE:
            return dice.choice([0.0, dice.uniform(0.0, 2.0)])
        case _:
            return dice.uniform(0.0, 1.0)
