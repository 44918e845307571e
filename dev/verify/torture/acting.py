"""Does what a schedule says: to the pods at work, to the broker, and to the network between them."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from anomaly_api.assignment import Assignment, Runtime
from dev.environment.kafka.network import Weather
from dev.harness.scoring_pod import ScoringPod
from dev.verify.torture.ground import Ground
from dev.verify.torture.orders import next_order
from dev.verify.torture.schedule import MOST_MEMBERS, ORDERS, Act, Event

OFTEN = {"ANOMALY_CHECKPOINT_READINGS": "300"}
"""A checkpoint after so many readings, so that there are some in a stream of thousands."""
_SMALL_BATCHES = OFTEN | {"ANOMALY_BATCH_MESSAGES": "40"}
"""For pods that often have the next batch to read while the one before is scored; a stream of thousands has few large ones."""
_LOOK_SECONDS = 0.05
_NETWORK = {Act.SLOW: Weather.SLOW, Act.STILL: Weather.STILL, Act.LOST: Weather.LOSSY}


class Acting:
    """The pods of one run, and what befalls them. All calls belong to one thread: pods end with the one that started them."""

    def __init__(self, ground: Ground, runtime: Runtime, orders: Sequence[Assignment], folder: Path) -> None:
        self._ground, self._runtime, self._orders, self._folder = ground, runtime, orders, folder
        self._order = orders[0]
        self._started = 0
        self._later: list[tuple[float, Callable[[], None]]] = []
        self.members: list[ScoringPod] = []

    @property
    def deserted(self) -> bool:
        """Whether nobody is left who reads."""
        return all(member.leaving or not member.running for member in self.members)

    def join(self) -> None:
        """Another pod, on the next link. Every second one decides in small batches."""
        self._started += 1
        name = f"pod-{self._started}"
        environment = _SMALL_BATCHES if self._started % 2 else OFTEN
        member = ScoringPod(self._folder / name, dict(environment))
        links = self._ground.links
        address = links[self._started % len(links)].address
        kafka = self._runtime.kafka.model_copy(update={"bootstrap_servers": address})
        member.start(self._runtime.model_copy(update={"kafka": kafka}), self._order)
        self.members.append(member)

    def await_ready(self, seconds: float) -> None:
        """Until the pods read: what happens is to happen to pods at work. Raises TimeoutError."""
        for member in self.members:
            member.await_ready(seconds)

    def wait_until(self, moment: float) -> None:
        """Until then, and does what falls due."""
        while True:
            for entry in sorted(self._later, key=lambda each: each[0]):
                if entry[0] <= time.monotonic():
                    self._later.remove(entry)
                    entry[1]()
            left = moment - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _LOOK_SECONDS))

    def finish(self) -> None:
        """Until all that was begun has come to its end."""
        while self._later:
            self.wait_until(min(at for at, _ in self._later))

    def do(self, event: Event) -> None:
        """Carries out an event, if there is a pod to which it can happen."""
        running = [member for member in self.members if member.running]
        if event.act in (Act.BROKER_KILL, Act.BROKER_STOP, Act.BROKER_PAUSE):
            self._do_to_broker(event)
        elif event.act in (*_NETWORK, Act.CUT, Act.SILENT):
            self._do_to_network(event)
        elif event.act in ORDERS:
            self._order = next_order(self._order, event.act, event.which, self._orders)
            for each in self.members:
                each.assign(self._order)
        elif event.act is Act.JOIN:
            if len(running) < MOST_MEMBERS:
                self.join()
        elif running:
            self._do_to_member(event, running[event.which % len(running)])

    def stop(self) -> list[str]:
        """All pods end, with exit status 0; or by the signal itself, if they had hardly begun."""
        for member in self.members:
            member.leave()
        ended = {member.name: member.ended() for member in self.members}
        return [
            f"{name} ended with {status}; see {self._folder / name / 'log'}"
            for name, status in ended.items()
            if status not in (0, -signal.SIGTERM)
        ]

    def tell(self) -> None:
        """Their logs then say where all threads stood."""
        for member in self.members:
            member.tell()

    def kill(self) -> None:
        """Kills the pods that are left and clears the network for the next ones."""
        for member in self.members:
            member.kill()
        for link in self._ground.links:
            link.clear()

    def _after(self, seconds: float, do: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, do))

    def _do_to_member(self, event: Event, member: ScoringPod) -> None:
        match event.act:
            case Act.KILL:
                member.kill()
                self._after(event.seconds, lambda: member.restart(self._order))
            case Act.REPLACE:
                member.kill()
                self.members.remove(member)
                self._after(event.seconds, self.join)
            case Act.ZOMBIE | Act.PAUSE:
                member.freeze()
                self._after(event.seconds, member.wake)
            case _:
                member.leave()  # the last one, too: then nobody is there until the end, or until somebody joins

    def _do_to_broker(self, event: Event) -> None:
        broker = self._ground.broker
        if event.act is Act.BROKER_PAUSE:
            broker.pause()
            self._after(event.seconds, broker.resume)
        else:
            broker.resume()  # paused, it would not hear that it is to stop
            (broker.kill if event.act is Act.BROKER_KILL else broker.stop)()
            broker.start()

    def _do_to_network(self, event: Event) -> None:
        """To one pod's link or to all, and to every connection or to every second one."""
        links = self._ground.links
        place, rest = event.which % (len(links) + 1), event.which // (len(links) + 1)
        share = (1, 0) if rest % 2 else (2, rest // 2 % 2)
        for link in [links[place]] if place < len(links) else links:
            if event.act is Act.CUT:
                link.cut(share)
            elif event.act is Act.SILENT:
                link.silence(share)
            else:
                link.turn(_NETWORK[event.act], 0.05 * (1 + rest % 8), share)
                self._after(event.seconds, link.clear)
