"""The outcome of a demo's run: the table, the figures, and what falls short of the promise. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dev.demo.judge import Finding, Verdict, percentile


@dataclass(frozen=True)
class Promise:
    """The figures that a run is held to."""

    found_share: float
    """Of each kind."""
    false_per_entity_day: float = 1.0
    scored_seconds: float = 20.0
    model_seconds: float = 90.0
    latency_p99_seconds: float = 1.0
    detector_bytes: float = 150e6
    operator_bytes: float = 200e6


PROMISES = {"pumps": Promise(found_share=0.9), "servers": Promise(found_share=0.7)}
"""Servers are as they are: 19 of their 24 labelled anomalies are found."""


@dataclass(frozen=True)
class Figures:
    """Measured in one run; seconds and bytes."""

    apply_to_scored: float
    apply_to_model: float
    start_to_alert: float
    """From the start of the command to the first alert about an anomaly."""
    latencies: tuple[float, ...]
    """Reading to alert."""
    detector_memory: float
    operator_memory: float


@dataclass(frozen=True)
class Outcome:
    """One run."""

    verdict: Verdict
    figures: Figures
    step: float
    """Event time between two readings, in seconds."""
    rate: float
    """Readings of an entity a second of wall time."""

    def failures(self, promise: Promise) -> list[str]:
        """Returns what was missed or alerted for nothing beyond what is promised, a sentence each: it did not work."""
        return list(self._wrong(promise))

    def excesses(self, promise: Promise) -> list[str]:
        """Returns what took longer or more than is promised, a sentence each; a busy machine may do that."""
        return list(self._exceeded(promise))

    def _wrong(self, promise: Promise) -> Iterator[str]:
        if not self.verdict.findings:
            yield "no anomaly was put in: nothing could be judged"
        for kind in self.verdict.kinds:
            findings = self.verdict.of(kind)
            found = sum(finding.alert is not None for finding in findings)
            if found < promise.found_share * len(findings):
                yield f"{kind}: {found} of {len(findings)} found, at least {promise.found_share:.0%} are promised"
        rate = self.verdict.false_per_entity_day
        if rate > promise.false_per_entity_day:
            yield f"{rate:.2f} false alerts an entity and day of event time, at most {promise.false_per_entity_day:g} is promised"

    def _exceeded(self, promise: Promise) -> Iterator[str]:
        figures = self.figures
        p99 = percentile(figures.latencies, 0.99)
        for what, measured, limit, unit in (
            ("apply to the first scored window", figures.apply_to_scored, promise.scored_seconds, " s"),
            ("apply to the trained model serving", figures.apply_to_model, promise.model_seconds, " s"),
            ("reading to alert, 99th percentile", p99, promise.latency_p99_seconds, " s"),
            ("memory of the detector", figures.detector_memory / 1e6, promise.detector_bytes / 1e6, " MB"),
            ("memory of the operator", figures.operator_memory / 1e6, promise.operator_bytes / 1e6, " MB"),
        ):
            if not measured <= limit:  # not a number fails, too
                yield f"{what}: {measured:.2f}{unit}, at most {limit:g}{unit} is promised"

    def table(self) -> list[tuple[str, ...]]:
        """A row a kind and one for all; the first is the heading."""
        heading = ("anomaly", "put in", "found", "missed", "false alerts", "median event time to detection", "as played")
        rows: list[tuple[str, ...]] = [heading]
        rows.extend(self._row(kind, self.verdict.of(kind), "") for kind in self.verdict.kinds)
        rows.append(self._row("all", self.verdict.findings, str(len(self.verdict.false))))
        return rows

    def _row(self, kind: str, findings: tuple[Finding, ...], false: str) -> tuple[str, ...]:
        delays = sorted(finding.delay for finding in findings if finding.delay is not None)
        median = delays[len(delays) // 2] if delays else None
        return (
            kind,
            str(len(findings)),
            str(len(delays)),
            str(len(findings) - len(delays)),
            false,
            *(("-", "-") if median is None else (f"{median * self.step:g} s", f"{median / self.rate:.1f} s")),
        )

    def lines(self) -> list[str]:
        """The figures, a line each."""
        figures, verdict = self.figures, self.verdict
        p50, p99 = percentile(figures.latencies, 0.5), percentile(figures.latencies, 0.99)
        return [
            f"false alerts: {len(verdict.false)} in {verdict.entity_days:.1f} entity-days of event time"
            f" ({verdict.false_per_entity_day:.2f} an entity and day)",
            f"apply to the first scored window: {figures.apply_to_scored:.1f} s",
            f"apply to the trained model serving: {figures.apply_to_model:.1f} s",
            f"start of the command to the first alert: {figures.start_to_alert:.1f} s",
            f"reading to alert: p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms ({len(figures.latencies)} alerts)",
            f"memory: detector {figures.detector_memory / 1e6:.0f} MB, operator {figures.operator_memory / 1e6:.0f} MB",
        ]
