"""Episodes that people are told of, whoever decides them; and apart from them, those that each revision would have had alone.

    told        entity 1   ( open . . . . . . . closed )      by the stable revision, or by the candidate for its share
                entity 2   . . ( open . | . . closed )        from | on the candidate decides the entity: its episode goes on
    candidate   all        . . ( open . closed )              is counted: what the candidate would have told
    alone       all        ( open . . . . . closed )          is counted while the candidate decides some: what stable would have

The candidate may have a window of the same name and another size: state is kept by revision and window. What is told stands under
the stable revision's name: it has no other owner, so that a change of deciders neither ends nor repeats an episode.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from anomaly_detector.core.alerts.alert import Alert
from anomaly_detector.core.columns import Int64
from anomaly_detector.core.configuration import Deciders
from anomaly_detector.core.entities.draws import Draws
from anomaly_detector.core.entities.table import Entities
from anomaly_detector.core.episodes.carrying import alone
from anomaly_detector.core.episodes.closures import Closures
from anomaly_detector.core.episodes.policy import EpisodePolicy
from anomaly_detector.core.episodes.table import Episodes


class Comparison(Struct, frozen=True):
    """The candidate's part in it."""

    name: str
    policy: EpisodePolicy
    windows: Sequence[str]
    decides: bool = False
    """Whether any entity is its own."""


class RevisionEpisodes:
    """The episodes of one or two revisions, over one table of entities."""

    def __init__(self, entities: Entities, name: str, policy: EpisodePolicy, windows: Sequence[str]) -> None:
        self._entities = entities
        self.name = name
        """Of the stable revision."""
        self.told = Episodes(entities, policy, windows)
        self.candidate: Episodes | None = None
        self.alone: Episodes | None = None
        self.draws = Draws(entities)
        self._candidate_name = ""

    def adopt(self, name: str, policy: EpisodePolicy, windows: Sequence[str], candidate: "Comparison | None" = None) -> None:
        """Another stable revision, candidate or weight: what is open goes on, in the windows of those that decide."""
        if self.candidate is not None and name == self._candidate_name != self.name:
            self.told.inherit(self.candidate)  # it is promoted
        if candidate is None or not candidate.decides or name != self.name:
            self._drop_alone()
        self.name = name
        if candidate is None or not candidate.decides:
            self.told.adopt(policy, windows)
        else:
            theirs = [each for each in candidate.windows if each not in windows]
            self.told.adopt(policy, [*windows, *theirs], candidate.policy)
        if candidate is None:
            self._drop_candidate()
            return
        if self.candidate is None or candidate.name != self._candidate_name:
            self._drop_candidate()
            self.candidate, self._candidate_name = Episodes(self._entities, candidate.policy, candidate.windows), candidate.name
        self.candidate.adopt(candidate.policy, candidate.windows)
        if candidate.decides:
            self._begin_alone(policy, windows)

    def keep(self, deciders: Deciders) -> None:
        """Drops what is open in windows that who decides the entity now has not."""
        for slot in self.told.remembered():
            self.told.keep(slot, [window.name for window in deciders.of(self._entities.names[slot]).windows])

    def dirty(self) -> list[tuple[int, str]]:
        """Partition and name of the entities whose episodes may have changed since it was last asked."""
        slots = {slot for table in self._tables().values() for slot in table.dirty().tolist()}
        return [(self._entities.partitions[slot], self._entities.names[slot]) for slot in sorted(slots)]

    def of(self, partition: int, entity: str) -> dict[str, dict[str, dict[str, Any]]]:
        """By revision and window, what there is to remember of an entity: plain values. Nothing, for most entities."""
        slot = self._entities.known_slot(partition, entity)
        found = {name: table.state(slot) for name, table in self._tables().items()} if slot is not None else {}
        return {name: state for name, state in found.items() if state}

    def restore(self, partition: int, entity: str, state: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        """Sets an entity's episodes to what `of` gave; those of other revisions and windows are dropped."""
        slot = int(self._entities.admit(partition, [entity])[0])
        for name, table in self._tables().items():
            table.restore(slot, state.get(name, {}))

    def dirty_limits(self) -> set[int]:
        """Partitions whose limit may have changed since it was last asked."""
        return {partition for table in self._tables().values() for partition in table.dirty_partitions()}

    def limit_of(self, partition: int) -> dict[str, dict[str, Any]]:
        """By revision, what there is to remember of a partition's limit: plain values."""
        found = {name: table.state_of_partition(partition) for name, table in self._tables().items()}
        return {name: state for name, state in found.items() if state}

    def restore_limit(self, partition: int, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Sets a partition's limit to what `limit_of` gave."""
        for name, table in self._tables().items():
            if name in state:
                table.restore_partition(partition, state[name])

    def ended(self, closures: Closures) -> list[tuple[int, Alert]]:
        """What is to be told of what a change ends, with partitions."""
        if not closures.any:
            return []
        names, partitions = self._entities.names, self._entities.partitions
        found = []
        for partition, name, slot in sorted((partitions[slot], names[slot], slot) for slot in self.told.remembered()):
            found += [(partition, alert) for alert in closures.of_entity(name, self.told.state(slot))]
        for partition in self.told.limited():
            found += [(partition, alert) for alert in closures.of_partition(partition, self.told.state_of_partition(partition))]
        return found

    def forget(self, partition: int) -> None:
        """Forgets a partition's limits; its entities are cleared by themselves."""
        for table in self._tables().values():
            table.forget_partition(partition)

    def snapshot(self, partition: int) -> dict[str, Any]:
        """Episodes and limits of a partition's entities, in their order."""
        slots = np.array(list(self._entities.known(partition).values()), np.int64)
        episodes = {name: table.take(slots) for name, table in self._tables().items()}
        return {"episodes": episodes, "limit": self.limit_of(partition)}

    def put(self, partition: int, slots: Int64, state: Mapping[str, Any]) -> None:
        """Sets them to a snapshot."""
        for name, table in self._tables().items():
            if name in state["episodes"]:
                table.put(slots, state["episodes"][name])
        self.restore_limit(partition, state["limit"])

    def _tables(self) -> dict[str, Episodes]:
        found = {self.name: self.told}
        if self.candidate is not None:
            found[self._candidate_name] = self.candidate
        if self.alone is not None:
            found[alone(self.name)] = self.alone
        return found

    def _begin_alone(self, policy: EpisodePolicy, windows: Sequence[str]) -> None:
        if self.alone is not None:
            self.alone.adopt(policy, windows)
            return
        self.alone = Episodes(self._entities, policy, windows)
        for slot in self.told.remembered():  # what was told until now, the stable revision told
            self.alone.restore(slot, self.told.state(slot))

    def _drop_alone(self) -> None:
        if self.alone is not None:
            self._entities.detach(self.alone)
            self.alone = None

    def _drop_candidate(self) -> None:
        if self.candidate is not None:
            self._entities.detach(self.candidate)
            self.candidate = None
