"""How the demo is shown: lines for a log, and the choice between them and the live view."""

from __future__ import annotations

import sys
import time
from typing import Protocol

from dev.demo.outcome import Outcome, Promise
from dev.demo.picture import Picture, clock, described
from dev.progress import Step, plain

_RATE_EVERY = 15.0


class Screen(Protocol):
    """Draws; decides nothing."""

    def tell(self, step: Step) -> None:
        """Something long begins or ends."""
        ...

    def show(self, picture: Picture) -> None:
        """Returns what there is to see has changed."""
        ...

    def end(self, outcome: Outcome, promise: Promise) -> None:
        """The table and the figures."""
        ...

    def close(self) -> None:
        """Leaves the terminal as it was."""
        ...


class Lines:
    """A line for each thing that changes."""

    def __init__(self) -> None:
        self._last: Picture | None = None
        self._said: dict[str, str] = {}
        self._rate_at = 0.0

    def tell(self, step: Step) -> None:
        plain(step)

    def show(self, picture: Picture) -> None:
        """Returns what is new since the last picture."""
        self._once("phase", picture.phase, picture)
        self._conditions(picture)
        training = picture.seen.status.training
        step = "" if training is None else f"{training.state} {(training.progress or 0) // 25}"
        self._once("training", f"training: {picture.training}", picture, step)
        self._once("model", f"model: {picture.model}", picture)
        self._anomalies_and_alerts(picture)
        if time.monotonic() - self._rate_at > _RATE_EVERY:
            self._rate_at = time.monotonic()
            self._say(picture, f"{picture.progress.per_second:.0f} readings/s, event time {clock(picture.progress.event_time)}")
        self._last = picture

    def _anomalies_and_alerts(self, picture: Picture) -> None:
        before = self._last
        for anomaly in picture.put_in[len(before.put_in) if before else 0 :]:
            when = clock(picture.recording.time(anomaly.start))
            self._say(picture, f"put in  {anomaly.entity:<8} {when}  {anomaly.kind}")
        for opened, alert in picture.opened[len(before.opened) if before else 0 :]:
            known = picture.explained(opened)
            nothing = "nothing known" if picture.judged else "before there is a model"
            about = f"{known.kind}, {opened.tick - known.start} readings in" if known else nothing
            when = clock(picture.recording.time(opened.tick))
            self._say(picture, f"ALERT   {opened.entity:<8} {when}  {described(alert)}  [{about}]")

    def _conditions(self, picture: Picture) -> None:
        """Returns those that changed; what several say alike is said once."""
        said = set()
        for condition in picture.seen.status.conditions or []:
            text = f"{condition.type}={condition.status} {condition.reason}"
            known = condition.message in said
            said.add(condition.message)
            self._once(condition.type, text if known else f"{text}: {condition.message}", picture, text)

    def _once(self, about: str, text: str, picture: Picture, key: str | None = None) -> None:
        """Unless `key` (the text itself, if there is none) is what was said last `about` this."""
        key = text if key is None else key
        if self._said.get(about) != key:
            self._said[about] = key
            self._say(picture, text)

    def _say(self, picture: Picture, text: str) -> None:
        print(f"{picture.since_apply:6.1f} s  {text}", flush=True)

    def end(self, outcome: Outcome, promise: Promise) -> None:
        rows = outcome.table()
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        print()
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
        print()
        print("\n".join(outcome.lines()))
        for text in outcome.failures(promise):
            print(f"NOT AS PROMISED: {text}")
        for text in outcome.excesses(promise):
            print(f"more than promised: {text}")
        sys.stdout.flush()

    def close(self) -> None:
        """Does nothing: a plain screen has no state to restore."""


def suitable() -> Screen:
    """The live view where there is a terminal, lines where there is none."""
    if not sys.stdout.isatty():
        return Lines()
    from dev.demo.live import Live  # needs rich, which a log does not

    return Live()
