"""Episodes of the stable revision and, apart from them, those that the candidate in shadow would have had.

    revision A (stable)      short  ( open . . . . closed )        is told
    revision B (candidate)   short  . . ( open . closed )          is counted

Both have a window named `short`, of different sizes perhaps: state is kept by revision and window.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anomaly_detector.core.columns import Int64
from anomaly_detector.core.entities.table import Entities
from anomaly_detector.core.episodes.policy import EpisodePolicy
from anomaly_detector.core.episodes.table import Episodes


class RevisionEpisodes:
    """The episodes of one or two revisions, over one table of entities."""

    def __init__(self, entities: Entities, name: str, policy: EpisodePolicy, windows: Sequence[str]) -> None:
        self._entities = entities
        self.name = name
        """Of the stable revision."""
        self.stable = Episodes(entities, policy, windows)
        self.candidate: Episodes | None = None
        self._candidate_name = ""

    def adopt(self, name: str, policy: EpisodePolicy, windows: Sequence[str]) -> None:
        """Another stable revision: what is open goes on under its name, in the windows that it has, too."""
        self.name = name
        self.stable.adopt(policy, windows)

    def shadow(self, name: str, policy: EpisodePolicy, windows: Sequence[str]) -> None:
        """A candidate comes, or stays with what is known of it."""
        if self.candidate is not None and name == self._candidate_name:
            self.candidate.adopt(policy, windows)
            return
        self.end_shadow()
        self.candidate, self._candidate_name = Episodes(self._entities, policy, windows), name

    def end_shadow(self) -> None:
        """There is no candidate any more: what it would have told is forgotten."""
        if self.candidate is not None:
            self._entities.detach(self.candidate)
            self.candidate = None

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
        found = {self.name: self.stable}
        if self.candidate is not None:
            found[self._candidate_name] = self.candidate
        return found
