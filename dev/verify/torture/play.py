"""Plays many schedules, several at once, each of them on a ground of its own."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dev.progress import Tell, silent
from dev.verify.torture.ground import Ground, ground
from dev.verify.torture.schedule import Schedule
from dev.verify.torture.trial import Result, Trial


class Play:
    """The results come in `results`, in the order of the plans; `stop` leaves out what has not begun."""

    def __init__(self, plans: Iterable[Schedule], jobs: int, name: str, folder: Path, tell: Tell = silent) -> None:
        self._folder, self._tell = folder, tell
        self.plans = list(plans)
        self.results: list[Future[Result]] = [Future() for _ in self.plans]
        self.ended: queue.SimpleQueue[int] = queue.SimpleQueue()
        """Places of the results that are there, in the order in which they came."""
        self._left: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        for place in range(len(self.plans)):
            self._left.put(place)
        names = [f"{name}-{job}" for job in range(min(jobs, len(self.plans)))]
        self._threads = [threading.Thread(target=self._work, args=(each,), name=each, daemon=True) for each in names]
        for _ in names:
            self._left.put(None)
        for thread in self._threads:
            thread.start()

    def folder(self, place: int) -> Path:
        """Orders and logs of its pods."""
        plan = self.plans[place]
        return self._folder / f"{place}-seed-{plan.seed}-{plan.delivery.value}"

    def stop(self) -> None:
        """Waits for what is being played."""
        while not self._left.empty():
            self._left.get()
        for _ in self._threads:
            self._left.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, name: str) -> None:
        """A thread: pods end with it."""
        again: int | None = None
        try:
            while True:
                with ground(name, self._tell) as mine:
                    again = self._play_on(mine, again)
                if again is None:
                    return
        except Exception as error:  # noqa: BLE001 - the outer loop of this thread: whoever waits for its results is told
            for place in (again, *iter(self._left.get, None)):
                if place is not None:
                    self.results[place].set_exception(error)
                    self.ended.put(place)

    def _play_on(self, mine: Ground, again: int | None) -> int | None:
        """One schedule after the other, `again` first. A broker that is stuck says nothing of the pods: then it ends with the
        place of the schedule that is to be played again, on another one.
        """
        while (place := self._left.get() if again is None else again) is not None:
            result = Trial(mine, self.plans[place], self.folder(place)).run()
            if result.stuck_broker and again is None:
                shutil.rmtree(self.folder(place))
                return place
            self.results[place].set_result(replace(result, again=again is not None))
            self.ended.put(place)
            again = None
        return None


@contextmanager
def playing(plans: Iterable[Schedule], jobs: int, name: str, folder: Path) -> Iterator[Play]:
    """For as long as the context lives."""
    play = Play(plans, jobs, name, folder)
    try:
        yield play
    finally:
        play.stop()
