"""A broker that lets nobody in without a name, and Secrets as kubelet mounts them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from anomaly_api.assignment import Runtime
from anomaly_api.security import AuthorityReference, Mechanism, PasswordReference, Sasl, Tls
from tests.security.issuer import Issuer, serving
from tests.stream.pods import Topics, runtime

if TYPE_CHECKING:
    from dev.environment.kafka.secured import Secured

PLAIN_USER, PLAIN_PASSWORD = "plain-user", "plain-marker-7d1c"
CA = "brokers-ca"


@dataclass
class Mounted:
    """A folder of Secrets. It changes as kubelet changes it: all files at once, by exchanging a link."""

    folder: Path
    held: dict[str, str] = field(default_factory=dict)
    _turn: int = 0

    def hold(self, files: Mapping[str, str | None]) -> None:
        """Changes some files; None takes one away."""
        self.held = {path: text for path, text in {**self.held, **files}.items() if text is not None}
        self._turn += 1
        fresh = self.folder / f"..{self._turn}"
        for path, text in self.held.items():
            (fresh / path).parent.mkdir(parents=True, exist_ok=True)
            (fresh / path).write_text(text)
        link = self.folder / "..data_tmp"
        link.symlink_to(fresh.name)
        link.replace(self.folder / "..data")
        for name in {path.split("/")[0] for path in self.held} - {each.name for each in self.folder.iterdir()}:
            (self.folder / name).symlink_to(f"..data/{name}")

    @property
    def environment(self) -> dict[str, str]:
        """What tells a pod where it is."""
        return {"ANOMALY_SECRET_FOLDER": str(self.folder)}


@pytest.fixture
def secrets(tmp_path: Path) -> Mounted:
    folder = tmp_path / "secrets"
    folder.mkdir()
    return Mounted(folder)


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    from dev.environment.kafka.secured import AUDIENCE

    with serving(Issuer(tmp_path_factory.mktemp("issuer") / "keys", AUDIENCE)) as running:
        yield running


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Secured]:
    """Shared by the session: each test makes users and topics of its own."""
    from dev.environment.kafka import secured as dev

    folder = tmp_path_factory.mktemp("secured")
    with dev.running(f"tests-{os.getpid()}-secured", folder, {PLAIN_USER: PLAIN_PASSWORD}, issuer.keys) as running:
        yield running


@dataclass
class Plant:
    """Topics of a test's own, a user who may do what a detector must, and how a detector is told of them."""

    secured: Secured
    topics: Topics
    user: str

    @property
    def group(self) -> str:
        return f"group-{self.topics.name}"

    def allow(self, user: str = "") -> None:
        """The rights that the manual lists."""
        self.secured.allow(user or self.user, *rights(self.topics, self.group))

    def runtime(self, *, tls: Tls | None = None, sasl: Sasl | None = None, servers: str = "") -> Runtime:
        order = runtime(self.topics, self.group)
        changes = {"bootstrap_servers": servers or self.secured.sasl, "tls": tls, "sasl": sasl}
        return order.model_copy(update={"kafka": order.kafka.model_copy(update=changes)})


def rights(topics: Topics, group: str) -> list[tuple[str, str, str]]:
    return [
        ("topic", topics.name, "read,describe"),
        ("topic", topics.alerts, "write,describe"),
        ("topic", topics.dead_letters, "write,describe"),
        ("topic", f"{topics.name}.state", "read,write,describe,create,alter"),
        ("group", group, "read"),
        ("transactional-id", f"{group}.*", "write,describe"),
    ]


def by_password(user: str = "", mechanism: Mechanism = Mechanism.SCRAM_SHA_512) -> Sasl:
    return Sasl(mechanism=mechanism, username=user or None, secret_ref=PasswordReference(name="kafka-user"))


def trusting() -> Tls:
    return Tls(ca_secret_ref=AuthorityReference(name=CA))


@pytest.fixture
def plant(secured: Secured) -> Plant:
    topics = Topics(secured.bootstrap)
    topics.create()
    return Plant(secured, topics, f"user-{uuid.uuid4().hex[:8]}")
