"""One Kafka broker as a component: its settings, and what a test may do to it."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dev.environment import ports
from dev.environment.kafka import jars
from dev.environment.kafka.jars import Jars
from dev.environment.supervision import group
from dev.environment.supervision.plan import Component, Plan, State
from dev.progress import Tell, silent

NAME = "kafka"
START_SECONDS = 120.0
OFFSETS_PARTITIONS = 4
_BOOTSTRAP = "bootstrap"
NEWCOMERS = {"auto.create.topics.enable": "true", "num.partitions": "4"}
"""For people who try a detector: whoever writes to a topic makes it. Who reads one that is not there still hears so."""


@dataclass(frozen=True)
class Listener:
    """Where the broker listens, and what it tells clients to connect to."""

    name: str
    bind: str
    advertised: str
    protocol: str = "PLAINTEXT"  # SSL, SASL_PLAINTEXT, SASL_SSL: with the overrides that they need


@dataclass(frozen=True)
class Broker:
    """A running broker. What it holds survives `kill`, `stop` and `start`, and goes with its group."""

    state: State
    bootstrap: str
    name: str = NAME
    """Of its component."""

    @property
    def log(self) -> Path:
        """Returns what it says of itself."""
        return self.state.log(self.name)

    def kill(self) -> None:
        """As a crash: no goodbye."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As an administrator does: leaders and logs are closed properly."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        group.send_signal(self.state, self.name, number, final=True)
        group.wait_until(self.state, self.name, "Stopped", START_SECONDS)

    def start(self) -> None:
        """After `kill` or `stop`; returns when it takes connections."""
        group.order(self.state, "start", component=self.name)
        group.wait_until(self.state, self.name, "Ready", START_SECONDS)

    def pause(self) -> None:
        """Stops the broker's process without ending it: it answers nobody."""
        group.send_signal(self.state, self.name, signal.SIGSTOP, final=False)

    def resume(self) -> None:
        group.send_signal(self.state, self.name, signal.SIGCONT, final=False)


def component(
    programs: Jars,
    folder: Path,
    listeners: list[Listener],
    controller: int,
    overrides: Mapping[str, str],
    machine: Sequence[str] = jars.BRIEF,
) -> Component:
    """Writes the settings and an empty store into `folder`. `machine` are options of the virtual machine."""
    folder.mkdir(parents=True, exist_ok=True)
    programs.copy_store(folder / "data")
    made = settings(listeners, controller, str(folder / "data"), overrides)
    (folder / "server.properties").write_text(jars.text(made))
    return Component(
        NAME,
        programs.java("kafka.Kafka", str(folder / "server.properties"), machine=machine),
        ready=f"tcp://{listeners[0].bind}",
    )


def settings(listeners: list[Listener], controller: int, data: str, overrides: Mapping[str, str]) -> dict[str, str]:
    """Returns those of a broker alone; the first listener is its own, too."""
    protocols = [f"{item.name}:{item.protocol}" for item in listeners]
    return {
        **jars.quorum(controller),
        "listeners": ",".join([*(f"{i.name}://{i.bind}" for i in listeners), f"CONTROLLER://127.0.0.1:{controller}"]),
        "advertised.listeners": ",".join(f"{item.name}://{item.advertised}" for item in listeners),
        "listener.security.protocol.map": ",".join([*protocols, "CONTROLLER:PLAINTEXT"]),
        "inter.broker.listener.name": listeners[0].name,
        "log.dirs": data,
        # A topic that is misspelt must be missing, not made.
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": str(OFFSETS_PARTITIONS),
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        # Tests wait for rebalances: no waiting for members that may still come.
        "group.initial.rebalance.delay.ms": "0",
        "group.coordinator.rebalance.protocols": "classic,consumer",
        # A killed broker may come back once the controller has missed it for this long; 9 s by default.
        "broker.heartbeat.interval.ms": "500",
        "broker.session.timeout.ms": "3000",
        **overrides,
    }


def up(
    name: str,
    *,
    leashed: bool,
    tell: Tell = silent,
    overrides: Mapping[str, str] | None = None,
    more: Sequence[Listener] = (),
    machine: Sequence[str] = jars.BRIEF,
) -> Broker:
    """A broker on free ports of the loopback, with `more` listeners; the one that is there already, if it is."""
    programs = jars.fetched(tell)
    state = State.of(name)
    port, controller = ports.free(2)
    address = f"127.0.0.1:{port}"

    def plan() -> Plan:
        listeners = [Listener("PLAINTEXT", address, address), *more]
        made = component(programs, state.folder / NAME, listeners, controller, overrides or {}, machine)
        (state.folder / _BOOTSTRAP).write_text(address)
        return Plan((made,))

    group.start(state, plan, leashed=leashed)
    group.wait_ready(state, tell)
    return Broker(state, bootstrap(state))


def bootstrap(state: State) -> str:
    """The address of a broker that is up."""
    return (state.folder / _BOOTSTRAP).read_text()


@contextmanager
def running(
    name: str,
    tell: Tell = silent,
    overrides: Mapping[str, str] | None = None,
    more: Sequence[Listener] = (),
    machine: Sequence[str] = jars.BRIEF,
) -> Iterator[Broker]:
    """A broker for as long as the context and this process live."""
    try:
        yield up(name, leashed=True, tell=tell, overrides=overrides, more=more, machine=machine)
    finally:
        group.down(State.of(name))
