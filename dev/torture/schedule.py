"""What is done to the pods and the broker, and when: drawn from a seed. It does nothing itself."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

MOST_MEMBERS = 3


class Act(StrEnum):
    """What happens."""

    KILL = "kill -9, then start again under the same name"
    REPLACE = "kill -9, and another pod is started"
    ZOMBIE = "SIGSTOP beyond the session timeout, then SIGCONT"
    PAUSE = "SIGSTOP for less than the session timeout, then SIGCONT"
    JOIN = "another pod joins"
    LEAVE = "SIGTERM"
    SPEC = "another revision is ordered"
    BROKER_KILL = "the broker is killed and started"
    BROKER_STOP = "the broker is stopped and started"
    BROKER_PAUSE = "the broker answers nobody for a while"


_WEIGHTS = {
    Act.KILL: 6,
    Act.REPLACE: 2,
    Act.ZOMBIE: 4,
    Act.PAUSE: 2,
    Act.JOIN: 3,
    Act.LEAVE: 2,
    Act.SPEC: 4,
    Act.BROKER_KILL: 1,
    Act.BROKER_STOP: 1,
    Act.BROKER_PAUSE: 1,
}
_BROKER = (Act.BROKER_KILL, Act.BROKER_STOP, Act.BROKER_PAUSE)


@dataclass(frozen=True)
class Event:
    """Something that is done."""

    at: float
    """Seconds after the first message."""
    act: Act
    which: int
    """Draws the member, or the revision."""
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


def undisturbed(seed: int) -> Schedule:
    """One pod, and nothing happens."""
    return Schedule(seed, 1, ())


def schedule(seed: int, seconds: float, *, broker: bool = True) -> Schedule:
    """Drawn from `seed`, for a stream of so many seconds."""
    dice = random.Random(seed)
    acts = {act: weight for act, weight in _WEIGHTS.items() if broker or act not in _BROKER}
    count = dice.randint(4, 9)
    times = sorted(dice.uniform(0.0, seconds) for _ in range(count))
    events = []
    for at in times:
        act = dice.choices(list(acts), list(acts.values()))[0]
        events.append(Event(at, act, dice.randrange(1000), _seconds(dice, act)))
    return Schedule(seed, dice.randint(1, MOST_MEMBERS), tuple(events))


def _seconds(dice: random.Random, act: Act) -> float:
    match act:
        case Act.ZOMBIE:
            return dice.uniform(1.8, 4.0)
        case Act.PAUSE | Act.BROKER_PAUSE:
            return dice.uniform(0.1, 1.0)
        case Act.KILL | Act.REPLACE:
            return dice.choice([0.0, dice.uniform(0.0, 2.0)])
        case _:
            return dice.uniform(0.0, 1.0)
