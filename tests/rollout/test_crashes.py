"""The operator is killed after every single write of a rollout, and the outcome is the same.

The cluster of the story is in memory and as strict as the API server: a status is patched only in the version that it was decided
on, pods take over what their ConfigMap says and not what was planned, and a new process knows nothing besides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from anomaly_api.assignment import Assignment
from anomaly_api.comparison import PairedEvidence
from anomaly_api.evidence import DetectorEvidence, RevisionEvidence, SourceEvidence, SourceState
from anomaly_operator.core.plan import plan
from tests.effort import PROFILE
from tests.plan.rollouts import STEPS
from tests.plan.situations import scoring_world
from tests.plan.world import INSTALLATION, World, candidate_rows

TICK = 20.0
TICKS = 12
EVERY = 1 if PROFILE == "night" else 12
"""`make laws` kills after each write, `make test` after some of them."""
GOOD = {"both": 1, "neither": 9}
BAD = {"neither": 9, "only_candidate": 9, "candidate_episodes": 3}


class KilledError(Exception):
    """The process is gone."""


@dataclass
class Story:
    """A rollout, with an operator that is killed after `kill` writes."""

    world: World
    rates: dict[str, int]
    """What the pod counts of the candidate each second."""
    happen: dict[int, Callable[[World], None]]
    """What others do before a tick."""
    kill: int = -1
    written: int = 0
    began: dict[str, float] = field(default_factory=dict)
    told: list[tuple[str, str, int]] = field(default_factory=list)
    """What the pod was told at the end of each tick: stable, candidate, weight."""

    def run(self) -> Story:
        for tick in range(TICKS):
            self.world.now += TICK
            self.happen.get(tick, lambda _: None)(self.world)
            self._pod()
            self._operator()
            now = self.world.assignment
            self.told.append((now.stable.name, now.candidate.name if now.candidate else "", now.weight))
        return self

    @property
    def outcome(self) -> Any:
        kept = ("stable", "candidate", "aborted", "history", "commandHandled")
        return self.told, {name: self.world.status.get(name) for name in kept}, self.world.children

    def _operator(self) -> None:
        for _ in range(12):
            try:
                if not self._pass():
                    return
            except KilledError:
                self.world.stats_written, self.world.apply_error = 0.0, None
            self._pod()
        raise AssertionError("no rest")

    def _pass(self) -> bool:
        planned = plan(self.world.snapshot, INSTALLATION, self.world.now)
        planned.status.pop("source", None)  # figures, of which a new process writes more
        writes = self.world.writes(planned)
        for write in writes:
            write()
            self.written += 1
            if self.written == self.kill:
                raise KilledError
        return bool(writes)

    def _pod(self) -> None:
        """It takes over what its ConfigMap says."""
        assignment: Assignment = self.world.assignment
        seconds = self.world.now - self.began.setdefault(assignment.rollout, self.world.now)
        counts = {name: int(rate * seconds) for name, rate in self.rates.items()}
        stable = RevisionEvidence(revision=assignment.stable.name, role="stable", loaded=True)
        paired = {"paired": [PairedEvidence(window="short", **counts)]}
        self.world.reports["pumps-detector-0"] = DetectorEvidence(
            pod="pumps-detector-0",
            instance="1",
            runtime="",
            assignment=assignment.digest,
            now=self.world.now,
            source=SourceEvidence(state=SourceState.READING, partitions=4),
            revisions=[stable, *candidate_rows(assignment, paired)],
            last_scored=self.world.now,
            last_reading=self.world.now,
        )


def second_model(world: World) -> None:
    world.add_model("pumps-22222222", digit="2")


def third_model(world: World) -> None:
    world.add_model("pumps-33333333", digit="3")


def promote(world: World) -> None:
    world.status["command"] = {"id": "1", "name": "Promote", "revision": world.status["candidate"]["revision"]}


def undo(world: World) -> None:
    world.status["command"] = {"id": "2", "name": "Undo"}


STORIES: dict[str, tuple[dict[str, int], dict[int, Callable[[World], None]], str]] = {
    "promoted": (GOOD, {0: second_model, 5: promote, 10: undo}, "pumps-11111111"),
    "aborted": (BAD, {0: second_model}, "pumps-11111111"),
    "replaced": (GOOD, {0: second_model, 3: third_model, 8: promote}, "pumps-33333333"),
}


def story(name: str, kill: int = -1) -> Story:
    rates, happen, _ = STORIES[name]
    world = scoring_world()
    quick = [{"shadow": {"for": "30s", "windows": 100}}, *STEPS[1:4], {"pause": {"for": "30s"}}]
    world.edit({"rollout": {"steps": quick}})
    world.settle()
    return Story(world, rates, happen, kill).run()


@pytest.mark.parametrize("name", STORIES)
def test_an_operator_that_is_killed_after_any_write_comes_to_the_same_end(name: str) -> None:
    undisturbed = story(name)
    assert undisturbed.world.status["stable"]["model"] == STORIES[name][2]
    assert len(set(undisturbed.told)) > 1, "something happened"
    for kill in range(1, undisturbed.written + 1, EVERY):
        assert story(name, kill).outcome == undisturbed.outcome, f"killed after write {kill} of {undisturbed.written}"
