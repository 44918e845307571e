"""What a run comes to, and what is said when it falls short."""

import math
from dataclasses import replace

from dev.demo.judge import Finding, Opened, Verdict
from dev.demo.outcome import Figures, Outcome, Promise
from dev.demo.recording import Anomaly

PROMISE = Promise(found_share=0.9)
GOOD = Figures(4.0, 40.0, 60.0, (0.02, 0.05), 90e6, 120e6)


def finding(kind: str, delay: int | None) -> Finding:
    return Finding(Anomaly(kind, "a", 100, 120), None if delay is None else Opened("a", 100 + delay))


def outcome(findings: list[Finding], false: int = 0, figures: Figures = GOOD) -> Outcome:
    return Outcome(Verdict(tuple(findings), (Opened("a", 1),) * false, 4.0), figures, step=10.0, rate=5.0)


def test_a_run_that_keeps_its_promises_has_nothing_to_say() -> None:
    kept = outcome([finding("spike", 1)] * 9 + [finding("spike", None)], false=4)

    assert kept.failures(PROMISE) == kept.excesses(PROMISE) == []


def test_a_kind_that_is_found_too_seldom_is_named_even_when_others_are_found() -> None:
    ten = [finding("spike", 1)] * 10 + [finding("drift", 30)] * 8 + [finding("drift", None)] * 2

    assert outcome(ten).failures(PROMISE) == ["drift: 8 of 10 found, at least 90% are promised"]


def test_too_many_false_alerts_are_a_failure() -> None:
    assert len(outcome([finding("spike", 1)], false=5).failures(PROMISE)) == 1


def test_every_figure_beyond_its_limit_is_named() -> None:
    slow = Figures(21.0, 91.0, 60.0, (1.2,), 151e6, 201e6)

    assert len(outcome([finding("spike", 1)], figures=slow).excesses(PROMISE)) == 5


def test_what_could_not_be_measured_is_an_excess() -> None:
    unmeasured = replace(GOOD, latencies=(), operator_memory=math.nan)

    assert len(outcome([finding("spike", 1)], figures=unmeasured).excesses(PROMISE)) == 2


def test_nothing_put_in_is_a_failure() -> None:
    assert outcome([]).failures(PROMISE) == ["no anomaly was put in: nothing could be judged"]


def test_the_table_has_a_row_a_kind_and_one_for_all_with_the_median_delay() -> None:
    table = outcome([finding("spike", 2), finding("spike", 4), finding("spike", 9), finding("drift", None)], false=3).table()

    assert table[1:] == [
        ("spike", "3", "3", "0", "", "40 s", "0.8 s"),
        ("drift", "1", "0", "1", "", "-", "-"),
        ("all", "4", "3", "1", "3", "40 s", "0.8 s"),
    ]
