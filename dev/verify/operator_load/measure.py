"""The measurements, one after the other on the same fleet."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from anomaly_operator.core.resources.names import DETECTORS
from dev.verify.operator_load.api import Document, at_once
from dev.verify.operator_load.fleet import Fleet
from dev.verify.operator_load.ground import Ground, Operator
from dev.verify.operator_load.pods import address

Figures = dict[str, Any]
_UNREACHABLE: Final = 160
_PAUSE_BETWEEN_EDITS: Final = 0.1


class Watcher:
    """Follows what the operator writes into detectors' statuses."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._seen: dict[str, tuple[int, bool, float]] = {}
        """Generation that was acted on, whether it is ready, and when that was seen."""
        self._candidates: dict[str, bool] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        async for _, document in self._fleet.admin.watch(DETECTORS):
            metadata, status = document["metadata"], document.get("status") or {}
            found = (int(status.get("observedGeneration", 0)), _ready(status), time.monotonic())
            self._candidates[metadata["name"]] = "candidate" in status
            self._seen[metadata["name"]] = found
            self._changed.set()

    @property
    def ready(self) -> int:
        return sum(ready for _, ready, _ in self._seen.values())

    @property
    def candidates(self) -> int:
        """Detectors with a candidate."""
        return sum(self._candidates.values())

    async def wait(self, done: Any, seconds: float) -> bool:
        """Whether `done` is true within so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not done():
                    self._changed.clear()
                    await self._changed.wait()
        return bool(done())

    async def acted(self, name: str, generation: int, seconds: float) -> float | None:
        """When it was seen that the operator has acted on a generation; None when it was not."""
        if not await self.wait(lambda: self._seen.get(name, (0, False, 0.0))[0] >= generation, seconds):
            return None
        return self._seen[name][2]


def _ready(status: Document) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", []))


def say(what: str) -> None:
    """A line for whoever waits."""
    print(f"    {what}", flush=True)


async def settle(
    ground: Ground, fleet: Fleet, watcher: Watcher, patience: float, tell: Callable[[str], None]
) -> tuple[Operator, Figures]:
    """From the operator's start until every detector is ready."""
    started = time.monotonic()
    operator = ground.operator()
    told = 0
    while not await watcher.wait(lambda: watcher.ready >= fleet.detectors, 10.0):
        if watcher.ready // 100 != told:
            told = watcher.ready // 100
            tell(f"{watcher.ready} of {fleet.detectors} are ready after {time.monotonic() - started:.0f} s")
        if time.monotonic() - started > patience or operator.process.poll() is not None:
            raise RuntimeError(f"{watcher.ready} of {fleet.detectors} detectors became ready: {ground.log()[-2000:]}")
    seconds = time.monotonic() - started
    figures = {"settleSeconds": seconds, "settleCpuSeconds": operator.cpu_seconds, "settleWrites": operator.writes}
    return operator, figures


async def edits(fleet: Fleet, watcher: Watcher, names: Sequence[str], count: int, seconds: float = 60.0) -> float:
    """95th percentile of the time from an edit to the status that has it."""
    chosen = random.Random(count).sample(list(names), min(count, len(names)))
    waits: list[asyncio.Task[float]] = []

    async def one(name: str) -> float:
        started = time.monotonic()
        generation = await fleet.edit(name, f"{random.randrange(1, 3600)}s")
        seen = await watcher.acted(name, generation, seconds)
        return seconds if seen is None else max(0.0, seen - started)

    for name in chosen:
        waits.append(asyncio.create_task(one(name)))
        await asyncio.sleep(_PAUSE_BETWEEN_EDITS)
    return _p95(await asyncio.gather(*waits))


def _p95(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


async def idle(operator: Operator, seconds: float, quiet_after: float) -> Figures:
    """Processor time and writes while nothing happens; memory."""
    await asyncio.sleep(quiet_after)
    cpu, writes, started = operator.cpu_seconds, operator.writes, time.monotonic()
    await asyncio.sleep(seconds)
    passed = time.monotonic() - started
    return {
        "idleCpuPercent": 100 * (operator.cpu_seconds - cpu) / passed,
        "idleWritesPerMinute": 60 * (operator.writes - writes) / passed,
        "rssMiB": operator.rss_mebibytes,
        "peakMiB": operator.peak_mebibytes,
    }


async def unreachable(ground: Ground, fleet: Fleet, watcher: Watcher, count: int) -> float:
    """As `edits`, of detectors whose pods answer, while so many others do not."""
    silent = min(_UNREACHABLE, fleet.detectors // 2)
    ground.silent.write_text("\n".join(address(number) for number in range(silent)))
    await asyncio.sleep(12.0)  # until each was asked once, and did not answer
    found = await edits(fleet, watcher, fleet.names, count)
    ground.silent.unlink()
    return found


async def rollouts(fleet: Fleet, watcher: Watcher, operator: Operator, count: int, edited: int) -> Figures:
    """As `edits`, of the others, while so many detectors have a candidate under analysis; processor time meanwhile."""
    under_way, others = fleet.names[-count:], fleet.names[:-count]
    await at_once(under_way, lambda name: fleet.edit(name, "77s"))
    await watcher.wait(lambda: watcher.candidates >= count, 60.0)
    cpu = operator.cpu_seconds
    await asyncio.sleep(10.0)
    figures = {"rollouts": watcher.candidates, "rolloutsCpuPercent": 10 * (operator.cpu_seconds - cpu)}
    found = await edits(fleet, watcher, others, edited)
    return figures | {"rolloutsEditP95Seconds": found, "rolloutsRssMiB": operator.rss_mebibytes}


async def leader_change(ground: Ground, fleet: Fleet, watcher: Watcher, operator: Operator) -> float:
    """From the death of the operator that acts until another one has acted."""
    successor = ground.operator()
    for _ in range(1200):
        if successor.ready:
            break
        await asyncio.sleep(0.1)
    operator.process.send_signal(signal.SIGKILL)
    started, name = time.monotonic(), fleet.names[0]
    generation = await fleet.edit(name, "4242s")
    seen = await watcher.acted(name, generation, 120.0)
    return 120.0 if seen is None else seen - started


async def churn(ground: Ground, fleet: Fleet, watcher: Watcher, operator: Operator, minutes: float) -> Figures:
    """Edits without a pause: how much the memory grows after the first third."""
    ends, before, places = time.monotonic() + 60 * minutes, 0.0, random.Random(1)
    third, number = time.monotonic() + 20 * minutes, 0
    while time.monotonic() < ends:
        number += 1
        name = places.choice(fleet.names)
        generation = await fleet.edit(name, f"{number}s")
        await watcher.acted(name, generation, 10.0)
        if not before and time.monotonic() > third:
            before = operator.rss_mebibytes
    return {"churnEdits": number, "churnGrowthMiB": operator.rss_mebibytes - before}
