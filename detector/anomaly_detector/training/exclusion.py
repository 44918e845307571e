"""Which windows a model does not learn from: what somebody called wrong, what was alerted, what a suppression covered.

    learned from                                           | held out
    labelled and suppressed times are left out             | left out
    alerted, and nobody said that it was nothing: left out | kept: a budget counts an alert as false until somebody says what it
                                                           | was, and a threshold that never saw one would fall with each training

No kind is left out that would take, with those before it, more than `mostPercent` of the windows: so a model that alerts all the
time can be trained again.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import translate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.alerting import Suppression
from anomaly_api.assignment import TrainingOrder
from anomaly_api.learning import Exclusion
from anomaly_api.model import Excluded
from anomaly_api.schedule import ScheduleError, holding
from anomaly_api.source import Window
from anomaly_detector.core.columns import MICROSECONDS
from anomaly_detector.core.feedback.ledger import Ledger, Period
from anomaly_detector.training.data.samples import Gathering, LeftOut, Sample, Sooner

_MINUTE: Final = 60_000_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Times:
    """Windows of one size: whose they are, and when they end."""

    names: Sequence[str]
    """Entity of each slot."""
    slots: NDArray[np.int64]
    times: NDArray[np.int64]
    """[n] Microseconds."""
    span: int
    """Event time that a window covers, microseconds."""


@dataclass(frozen=True)
class Exclusions:
    """The times that are left out, by kind."""

    wrong: Sequence[Period] = ()
    alerted: Sequence[Period] = ()
    normal: Sequence[Period] = ()
    """Times that somebody called normal: they are learned from, though they are new, but for their newest part."""
    suppress: Sequence[Suppression] = ()
    asked: Exclusion = field(default_factory=Exclusion)

    unread: str = ""
    """What could not be read, for people."""

    @classmethod
    def of(cls, ledger: Ledger, suppress: Sequence[Suppression], asked: Exclusion, unread: str = "") -> "Exclusions":
        """What the topics tell, as far as it is asked for."""
        return cls(
            ledger.wrong() if asked.labels else (),
            ledger.alerted() if asked.alerts else (),
            ledger.normal() if asked.labels else (),
            suppress if asked.suppressed else (),
            asked,
            unread,
        )

    def without(self, kind: str) -> "Exclusions":
        """The same but for one kind: labels, suppressed or alerts."""
        return replace(
            self,
            wrong=() if kind == "labels" else self.wrong,
            suppress=() if kind == "suppressed" else self.suppress,
            alerted=() if kind == "alerts" else self.alerted,
        )

    def labelled(self, windows: Times) -> NDArray[np.bool_]:
        """[n] Windows that reach into a time that somebody called wrong."""
        return _within(windows, self.wrong)

    def suppressed(self, windows: Times) -> NDArray[np.bool_]:
        """[n] Windows that begin or end while a suppression of their entity holds."""
        found = np.zeros(len(windows.times), bool)
        for rule in self.suppress:
            try:
                holds = holding(rule)
            except ScheduleError:
                continue  # it suppresses nothing in the pods either
            concerns = re.compile(translate(rule.entities)).match
            mine = np.array([concerns(name) is not None for name in windows.names], bool)[windows.slots]
            for moments in (windows.times, windows.times - windows.span):
                minutes, place = np.unique(moments // _MINUTE, return_inverse=True)
                found |= mine & np.array([holds(minute * _MINUTE) for minute in minutes.tolist()], bool)[place]
        return found

    def alarming(self, windows: Times) -> NDArray[np.bool_]:
        """[n] Windows that reach into an episode of which nobody said that it was nothing."""
        return _within(windows, self.alerted)

    def from_held_out(self, windows: Times) -> NDArray[np.bool_]:
        """[n] Windows that no threshold comes from."""
        return self.labelled(windows) | self.suppressed(windows)

    def sooner(self, names: Sequence[str], last: int, holdout_percent: int) -> list[Sooner]:
        """The parts of normal times that are learned from; `last`: event time of the newest reading, microseconds.

        What somebody calls normal goes on. A model that held all of it out, for it is new, would not know it.
        """
        numbers = {name: number for number, name in enumerate(names)}
        return [
            Sooner(numbers[each.entity], each.begin, each.begin + (last - each.begin) * (100 - holdout_percent) // 100)
            for each in self.normal
            if each.entity in numbers and each.begin < last
        ]

    def apply(self, sample: Sample, windows: Times, held_out_after: int) -> tuple[Sample, Excluded, "Exclusions"]:
        """The windows that are left, how many were left out, and these exclusions without those that would take too many.

        `held_out_after`: event time, microseconds, from which on windows are held out.
        """
        most = len(sample) * self.asked.most_percent // 100
        out = np.zeros(len(sample), bool)
        counts, refused, left = dict[str, int](), list[str](), self
        for name, covered in (
            ("labels", self.labelled(windows)),
            ("suppressed", self.suppressed(windows)),
            ("alerts", self.alarming(windows) & (windows.times <= held_out_after)),
        ):
            more = covered & ~out
            counts[name] = int(np.count_nonzero(more))
            if counts[name] + np.count_nonzero(out) > most:
                refused.append(f"{name} would take {counts[name]} of {len(sample)} windows, and are learned from all the same")
                counts[name], left = 0, left.without(name)
                continue
            out |= more
        told = Excluded(**counts, message="; ".join(filter(None, (self.unread, *refused))) or None)
        return sample.at(np.flatnonzero(~out)) if out.any() else sample, told, left


@dataclass(frozen=True)
class Remaining:
    """What is left to learn from."""

    samples: dict[str, Sample]
    """By window."""
    names: Sequence[str]
    """Entity of each slot of the samples."""
    excluded: Excluded | None
    """None: nothing was left out."""
    left_out: LeftOut
    """What is not to be judged by, where held-out readings are read again."""
    sooner: Sequence[Sooner]
    """New times that are learned from."""


def remaining(gathered: Gathering, order: TrainingOrder, exclusions: Exclusions) -> Remaining:
    """The windows to learn from; they are given up by `gathered`."""
    names, samples, told = gathered.slot_names, gathered.samples(), list[Excluded]()
    left = dict[str, Exclusions]()

    def times_of(window: Window, names: Sequence[str], sample: Sample) -> Times:
        return Times(names, sample.slots, sample.times, round((window.size - 1) * gathered.interval * MICROSECONDS))

    for window in order.pipeline.windows:
        sample = samples[window.name]
        border = int(np.quantile(sample.times, 1 - order.training.holdout_percent / 100, method="lower"))
        samples[window.name], found, left[window.name] = exclusions.apply(sample, times_of(window, names, sample), border)
        told.append(found)
        if sum(found.model_dump(exclude={"message"}).values()) or found.message:
            log.info("window %s, left out of %d windows: %s", window.name, len(sample), found.model_dump(exclude_none=True))
    all_of = {name: sum(getattr(each, name) for each in told) for name in ("labels", "suppressed", "alerts")}
    message = "; ".join(dict.fromkeys(each.message for each in told if each.message)) or None
    excluded = Excluded(**all_of, message=message) if any(all_of.values()) or message else None
    return Remaining(
        samples,
        names,
        excluded,
        lambda window, names, sample: left[window.name].from_held_out(times_of(window, names, sample)),
        exclusions.sooner(names, gathered.last_time or 0, order.training.holdout_percent),
    )


def _within(windows: Times, periods: Iterable[Period]) -> NDArray[np.bool_]:
    """[n] Windows that share a reading with a period of their entity, or come as near as a window is long."""
    found = np.zeros(len(windows.times), bool)
    by_entity: dict[str, list[Period]] = {}
    for period in periods:
        by_entity.setdefault(period.entity, []).append(period)
    for slot in np.unique(windows.slots).tolist() if by_entity else ():
        mine = by_entity.get(windows.names[slot])
        if not mine:
            continue
        places = np.flatnonzero(windows.slots == slot)
        begins = np.sort(np.array([period.begin - windows.span for period in mine], np.int64))
        ends = np.sort(np.array([period.end + windows.span for period in mine], np.int64))
        times = windows.times[places]
        # more periods have begun than are over: it is within one, however they overlap
        found[places] = np.searchsorted(begins, times, side="right") > np.searchsorted(ends, times, side="left")
    return found
