"""The live view in a terminal."""

from __future__ import annotations

import time

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.panel import Panel
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from dev.demo.outcome import Outcome, Promise
from dev.demo.picture import Picture, clock, described
from dev.progress import Step

_ROWS = 12
_OTHER_LINES = 22
"""Of the view, besides the rows of anomalies and alerts."""
_WIDE = 140
"""Columns from which both stand side by side."""
_FOUND = {True: Text("found", "green"), False: Text("missed", "red"), None: Text("...", "yellow")}
_STATUS = {"True": "green", "False": "red", "Unknown": "yellow"}
# A condition that is good news when it is False.
_INVERTED = ("Reconciling", "Stalled")


class Live:
    """Draws the last picture four times a second."""

    def __init__(self) -> None:
        self._console = Console()
        self._running: list[tuple[str, float]] = []
        self._picture: Picture | None = None
        self._live = RichLive(get_renderable=self._draw, console=self._console, refresh_per_second=4, transient=True)
        self._live.start()

    def tell(self, step: Step) -> None:
        """Steps that run have a spinner; those that ended stay as lines above."""
        if step.seconds is None:
            self._running.append((step.what, time.monotonic()))
            return
        self._running = [running for running in self._running if running[0] != step.what]
        mark = "[red]failed[/]" if step.failed else "[green]ok[/]"
        self._console.print(f"{mark}  {step.what} [dim]({step.seconds:.1f} s)[/]", highlight=False)

    def show(self, picture: Picture) -> None:
        self._picture = picture

    def end(self, outcome: Outcome, promise: Promise) -> None:
        self.close()
        heading, *rows = outcome.table()
        table = Table(*heading)
        for row in rows:
            table.add_row(*row)
        self._console.print(table)
        for line in outcome.lines():
            self._console.print(line)
        for text in outcome.failures(promise):
            self._console.print(f"[red]not as promised:[/] {text}")
        for text in outcome.excesses(promise):
            self._console.print(f"[yellow]more than promised:[/] {text}")

    def close(self) -> None:
        self._picture, self._running = None, []
        self._live.stop()

    def _draw(self) -> RenderableType:
        now = time.monotonic()
        steps = [Spinner("dots", f"{what} ({now - began:.0f} s)") for what, began in self._running]
        if self._picture is None:
            return Group(*steps)
        size = self._console.size
        room = max(size.height - _OTHER_LINES, 2)
        return Group(drawn(self._picture, min(_ROWS, room if size.width >= _WIDE else room // 2)), *steps)


def drawn(picture: Picture, rows: int = _ROWS) -> RenderableType:
    """The stream, the conditions, and alerts beside what was put in, the last so many of each."""
    return Group(_stream(picture), _conditions(picture), _beside(picture, max(rows, 1)))


def _stream(picture: Picture) -> RenderableType:
    progress = picture.progress
    table = Table.grid(padding=(0, 2))
    table.add_row("phase", picture.phase)
    table.add_row("stream", f"{progress.per_second:.0f} readings/s, event time {clock(progress.event_time)}")
    table.add_row("scored", f"{picture.seen.windows:,} windows, {picture.seen.lag} readings waiting")
    table.add_row("training", picture.training)
    table.add_row("model", picture.model)
    return Panel(table, title=f"{picture.scenario.about}  ·  {picture.since_apply:.0f} s since apply", title_align="left")


def _conditions(picture: Picture) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for condition in picture.seen.status.conditions or []:
        good = {"True": "False", "False": "True"}.get(condition.status) if condition.type in _INVERTED else condition.status
        table.add_row(condition.type, Text(condition.status, _STATUS[good or "Unknown"]), condition.reason, condition.message)
    return Panel(table, title="kubectl describe adet", title_align="left")


def _beside(picture: Picture, rows: int) -> RenderableType:
    put_in = Table("when", "entity", "put in", "", box=None, padding=(0, 1))
    for anomaly in picture.put_in[-rows:]:
        when = clock(picture.recording.time(anomaly.start))
        put_in.add_row(when, anomaly.entity, anomaly.kind, _FOUND[picture.found(anomaly)])
    alerts = Table("when", "entity", "alert", "", box=None, padding=(0, 1))
    for opened, alert in picture.opened[-rows:]:
        about = picture.explained(opened)
        said = Text(about.kind, "green") if about else Text("nothing known", "red") if picture.judged else Text("")
        alerts.add_row(clock(picture.recording.time(opened.tick)), opened.entity, described(alert), said)
    return Columns([Panel(put_in, title="anomalies"), Panel(alerts, title="alerts")])
