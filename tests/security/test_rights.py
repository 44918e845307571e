"""Access lists: what a scoring pod may not do is said before it is needed, by operation and name, and used once it may."""

from __future__ import annotations

from pathlib import Path

import pytest

from anomaly_api.evidence import SourceState
from anomaly_api.security import CA_FILE, PASSWORD_FILE
from tests.security.conftest import Mounted, Plant, by_password, rights, trusting
from tests.security.test_pods import running, said, works

pytestmark = pytest.mark.integration

# Which of the rights is missing at first, and what must be said.
LACKING = {
    "source": (0, "Describe on topic {topic}"),
    "alerts": (1, "Describe on topic {topic}.alerts"),
    "dead-letters": (2, "Describe on topic {topic}.dead-letters"),
    "group": (4, "Read on group {group}"),
    "transactional-id": (5, "Write and Describe on transactional ids that begin with {group}."),
}


@pytest.mark.parametrize("what", LACKING)
def test_a_right_that_is_missing_is_named(plant: Plant, secrets: Mounted, tmp_path: Path, what: str) -> None:
    place, words = LACKING[what]
    every = rights(plant.topics, plant.group)
    plant.secured.scram(plant.user, "good")
    plant.secured.allow(plant.user, *every[:place], *every[place + 1 :])
    secrets.hold({CA_FILE: plant.secured.authority.certificate, PASSWORD_FILE: "good"})
    with running(tmp_path, plant.runtime(tls=trusting(), sasl=by_password(plant.user)), secrets) as member:
        said(member, SourceState.NOT_AUTHORIZED, words.format(topic=plant.topics.name, group=plant.group))
        plant.secured.allow(plant.user, every[place])
        works(plant, member)


@pytest.mark.parametrize(
    ("place", "allowed", "words"),
    [(0, "describe", "Read on topic {topic}"), (1, "describe", "Write on topic {topic}.alerts")],
)
def test_an_operation_that_is_missing_is_named(
    plant: Plant, secrets: Mounted, tmp_path: Path, place: int, allowed: str, words: str
) -> None:
    every = rights(plant.topics, plant.group)
    kind, name, _ = every[place]
    plant.secured.scram(plant.user, "good")
    plant.secured.allow(plant.user, *every[:place], (kind, name, allowed), *every[place + 1 :])
    secrets.hold({CA_FILE: plant.secured.authority.certificate, PASSWORD_FILE: "good"})
    with running(tmp_path, plant.runtime(tls=trusting(), sasl=by_password(plant.user)), secrets) as member:
        said(member, SourceState.NOT_AUTHORIZED, words.format(topic=plant.topics.name))
        plant.secured.allow(plant.user, every[place])
        works(plant, member)


def test_a_state_topic_that_may_not_be_made_is_asked_for(plant: Plant, secrets: Mounted, tmp_path: Path) -> None:
    every = rights(plant.topics, plant.group)
    kind, name, _ = every[3]
    plant.secured.scram(plant.user, "good")
    plant.secured.allow(plant.user, *every[:3], (kind, name, "read,write,describe"), *every[4:])
    secrets.hold({CA_FILE: plant.secured.authority.certificate, PASSWORD_FILE: "good"})
    with running(tmp_path, plant.runtime(tls=trusting(), sasl=by_password(plant.user)), secrets) as member:
        said(member, SourceState.STATE_TOPIC_UNUSABLE, name, "create it with 2 partitions and cleanup.policy=compact")
        plant.topics.create(name)
        works(plant, member)
